// SPDX-License-Identifier: MIT
/// \file
/// `peer_address`: where a connection goes, as the kernel takes it.
#pragma once

#include <again/core/expected.hpp>

#include <algorithm>
#include <cstddef>
#include <string>

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Plain data. `size` is 0 where the text is no address.
struct peer_address {
  ::sockaddr_storage storage{};
  ::socklen_t size = 0;

  int family() const noexcept { return storage.ss_family; }
  const ::sockaddr* get() const noexcept { return reinterpret_cast<const ::sockaddr*>(&storage); }

  /// `number`: an IPv4 or IPv6 address, with its scope where it has one.
  static peer_address tcp(const std::string& number, int port) {
    peer_address a;
    ::addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    ::addrinfo* found = nullptr;
    if (::getaddrinfo(number.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return a;
    a.size = found->ai_addrlen;
    std::copy_n(reinterpret_cast<const char*>(found->ai_addr), a.size, reinterpret_cast<char*>(&a.storage));
    ::freeaddrinfo(found);
    return a;
  }
  static peer_address unix_domain(const std::string& path) noexcept {
    peer_address a;
    auto& to = reinterpret_cast<::sockaddr_un&>(a.storage);
    if (path.size() > sizeof to.sun_path) return a;
    to.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), to.sun_path);
    a.size = static_cast<::socklen_t>(offsetof(::sockaddr_un, sun_path) + path.size());
    return a;
  }
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
