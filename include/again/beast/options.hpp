// SPDX-License-Identifier: MIT
/// \file
/// `beast::options`: what a transport over Boost.Beast is set up with. Every default is finite.
#pragma once

#include <again/beast/detail/library.hpp>
#include <again/core/clock.hpp>
#include <again/http/transport.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {

struct options {
  /// Connections per origin at most. 64: where loopback throughput has long stopped to grow, and what a server bears from one client.
  std::size_t max_connections = 64;
  /// Attempts that may wait for a connection; one more is the error `overloaded`. 1024: what 64 connections do in a second.
  std::size_t queue = 1024;
  /// An idle connection is closed after this. 4 s: just less than the 5 s after which Apache and Node close theirs, because a
  /// request that crosses the server's close may or may not have been received.
  duration keep_idle = std::chrono::seconds{4};
  /// And any connection after this, once its attempt is over. 5 min: how long a changed address may go unnoticed.
  duration keep_at_most = std::chrono::minutes{5};
  /// The next address of a name is tried beside the first after this. 250 ms: RFC 8305 5; a dead IPv6 costs this, once.
  duration next_address_after = std::chrono::milliseconds{250};
  /// PEM file of the certificates to trust for https; empty: the system's. Verification is always on, TLS is 1.2 at least.
  std::string cacert{};
  /// PEM files of the certificate that we show to a server that asks for one, with its issuers, and of its key, without a password.
  /// Empty: none; an empty key: it is in the same file.
  std::string client_certificate{}, client_key{};
  /// "sha256//BASE64": the SHA-256 of the only public key that a server may have, besides a certificate that we trust. Several are
  /// separated by ";". As curl's --pinnedpubkey.
  std::string pinned_public_key{};
  /// "http://host:port": all requests go through this proxy, https ones in a tunnel (CONNECT).
  std::string proxy{};
  /// For the proxy: Basic (RFC 7617). Never sent to an origin.
  std::string proxy_user{}, proxy_password{};
  /// Path of a Unix-domain socket that stands for every origin.
  std::string unix_socket{};
  http::address_family family = http::address_family::any;
  /// No connection to an address that is not public: loopback, private, link-local, multicast and so on (http/special_address.hpp). For
  /// URLs, redirects and names that come from outside. What counts is the address that is connected to, whatever the name says the
  /// next time. The error is `denied`. Not with a proxy, which resolves names itself, nor with a Unix-domain socket.
  bool deny_private_addresses = false;
  /// Names to addresses (as numbers, best first), in place of the system's getaddrinfo. May block and throw: it is called on threads
  /// for nothing else. What it refers to must outlive a call that still runs when the transport is gone: the transport does not wait
  /// for a look-up that hangs.
  std::function<std::vector<std::string>(const std::string& host)> resolve{};
  /// Names looked up at a time. 2: one that hangs leaves one.
  std::size_t resolver_threads = 2;
  /// Threads at most that open and read bodies which are not in memory; they start when first needed. 4: a pipe that hangs leaves three.
  std::size_t body_threads = 4;
  /// A look-up that failed is not made again for as long as it took, and at most for this: one that times out after seconds is not
  /// repeated for each request, and one that fails at once is. 0: always again. 2 s: what a request loses at most once a name is back.
  duration keep_failed_lookup = std::chrono::seconds{2};
};

}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
