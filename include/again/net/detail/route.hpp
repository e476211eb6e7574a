// SPDX-License-Identifier: MIT
/// \file
/// `route`: where a connection goes, besides the origin, and where it may not go.
#pragma once

#include <again/http/special_address.hpp>
#include <again/http/url.hpp>

#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Plain data, constant for a transport.
struct route {
  std::string unix_socket;  ///< path; empty: TCP
  std::string proxy_host;   ///< requests go through it, https ones in a tunnel; empty: none
  int proxy_port = 0;
  bool public_only = false;  ///< no connection to an address of a special purpose

  /// Do the connections of all origins lead to one peer?
  bool one_peer() const noexcept { return !unix_socket.empty() || !proxy_host.empty(); }
  /// The name to resolve for a connection to `o`; empty: none.
  const std::string& host_to_resolve(const origin& o) const noexcept {
    static const std::string none;
    return !unix_socket.empty() ? none : proxy_host.empty() ? o.host : proxy_host;
  }
  /// Leaves the addresses that a connection may go to, in their order. Returns why the first of the others may not, or nothing.
  std::string keep_allowed(std::vector<std::string>& addresses) const {
    std::string refusal;
    if (!public_only) return refusal;
    std::vector<std::string> allowed;
    for (std::string& a : addresses) {
      if (const auto purpose = special_purpose(a); !purpose) {
        allowed.push_back(std::move(a));
      } else if (refusal.empty()) {
        refusal.append(a).append(" is not public (").append(*purpose).append(")");
      }
    }
    addresses = std::move(allowed);
    return refusal;
  }
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
