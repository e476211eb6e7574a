// SPDX-License-Identifier: MIT
/// \file
/// `route`: where a connection goes, besides the origin.
#pragma once

#include <again/http/url.hpp>

#include <string>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Plain data, constant for a transport.
struct route {
  std::string unix_socket;  ///< path; empty: TCP
  std::string proxy_host;   ///< requests go through it, https ones in a tunnel; empty: none
  int proxy_port = 0;

  /// Do the connections of all origins lead to one peer?
  bool one_peer() const noexcept { return !unix_socket.empty() || !proxy_host.empty(); }
  /// The name to resolve for a connection to `o`; empty: none.
  const std::string& host_to_resolve(const origin& o) const noexcept {
    static const std::string none;
    return !unix_socket.empty() ? none : proxy_host.empty() ? o.host : proxy_host;
  }
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
