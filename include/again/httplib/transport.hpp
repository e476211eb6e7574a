// SPDX-License-Identifier: MIT
/// \file
/// `httplib_transport`: the transport over cpp-httplib (0.11.3 and newer): pooled connections, blocking sends on bounded worker
/// threads, cancellation and bounds that work in every phase.
///
/// The response is read by us wherever the library's classes let us derive from them: always without TLS, and with TLS before 0.16.
/// Elsewhere interim responses cost the connection, some versions percent-decode header values, and a status line of more than about
/// 20,000 bytes crashes the process (before 0.53, std::regex). A body that ends with its connection is taken as whole where the
/// connection ends in order, under TLS with close_notify. HTTP/1.1 only. docs/http.md has the whole list.
///
/// One send, from top to bottom: detail/send.hpp (what a coroutine awaits), send_pool (queue), worker (thread), connect_and_send
/// (addresses), connection (a client of cpp-httplib), own_exchange or library_exchange, wire (the socket).
#pragma once

#include <again/http/invalid.hpp>
#include <again/http/transport.hpp>
#include <again/httplib/detail/send.hpp>
#include <again/httplib/detail/send_pool.hpp>
#include <again/httplib/detail/tls_setup.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// Why the PEM file `path` cannot be the `cacert` of a transport: "'typo.pem': No such file or directory"; nullopt: it can.
std::optional<invalid> validate_cacert(const std::string& path);

/// What one open connection takes of the process's limit on descriptors. Two only where cpp-httplib (0.16 and later) opens
/// the sockets of https connections itself: what we see of them goes through a duplicate.
#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
inline constexpr std::size_t descriptors_per_connection = std::is_final_v<httplib::SSLClient> ? 2 : 1;
#else
inline constexpr std::size_t descriptors_per_connection = 1;
#endif

/// What a transport is set up with. Every default is finite.
struct httplib_options {
  /// Threads at most, each making one attempt at a time; they start when first needed. 64: what one slow server can hold without
  /// harm (8 KiB of memory each), and where loopback throughput has long stopped to grow.
  std::size_t workers = 64;
  /// Attempts that may wait for a worker or a connection; one more is the error `overloaded`. 1024: what 64 workers do in a second.
  std::size_t queue = 1024;
  /// Connections per origin at most. 64: as many as workers, so that alone this bounds nothing.
  std::size_t max_connections = 64;
  /// An idle connection is closed after this. 4 s: just less than the 5 s after which Apache and Node close theirs, because a
  /// request that crosses the server's close may or may not have been received.
  duration keep_idle = std::chrono::seconds{4};
  /// And any connection after this, once its attempt is over. 5 min: how long a changed address may go unnoticed.
  duration keep_at_most = std::chrono::minutes{5};
  /// PEM file of the certificates to trust for https; empty: the system's. Verification is always on.
  std::string cacert{};
  /// PEM files of the certificate that we show to a server that asks for one, with its issuers, and of its key, without a password.
  /// Empty: none; an empty key: it is in the same file.
  std::string client_certificate{}, client_key{};
  /// "http://host:port": http requests go through this proxy. https through it is refused as `unsupported` where cpp-httplib's CONNECT
  /// can hang (before 0.13.2).
  std::string proxy{};
  /// Path of a Unix-domain socket that stands for every origin; http only.
  std::string unix_socket{};
  address_family family = address_family::any;
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
  /// A look-up that failed is not made again for as long as it took, and at most for this: one that times out after seconds is not
  /// repeated for each request, and one that fails at once is. 0: always again. 2 s: what a request loses at most once a name is back.
  duration keep_failed_lookup = std::chrono::seconds{2};
};

/// Threads: all members from any. Destroying it cancels the attempts that run (each still gives its result) and joins its workers.
class httplib_transport {
 public:
  /// Throws std::invalid_argument with a reason if the options contradict themselves, the proxy is no URL, or a file of certificates
  /// cannot be read, holds none, or does not fit its key.
  explicit httplib_transport(httplib_options options = {});
  httplib_transport(const httplib_transport&) = delete;
  httplib_transport& operator=(const httplib_transport&) = delete;
  ~httplib_transport() { pool_->shut_down(); }

  /// One attempt; see `transport`. Cost beyond cpp-httplib's: one allocation, one trip to a worker and back (about 5 µs).
  [[nodiscard]] detail::httplib_send send(std::shared_ptr<const outgoing> what, int number) {
    const char* const refusal = refuses(*what);
    return detail::httplib_send{pool_, std::move(what), number, refusal};
  }

 private:
  const char* refuses(const outgoing& what) const noexcept;

  bool unix_ = false, proxy_ = false;
  std::shared_ptr<detail::send_pool> pool_;
};

// ── definitions ──

inline std::optional<invalid> validate_cacert([[maybe_unused]] const std::string& path) {
#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
  auto read = detail::read_roots(path);
  return read ? std::nullopt : std::optional{std::move(read.error())};
#else
  return invalid{"this program's cpp-httplib was built without TLS"};
#endif
}

namespace detail {

inline pool_settings settings_of(httplib_options&& o) {
  if (o.workers == 0) throw std::invalid_argument{"again: httplib_options: workers must be at least 1"};
  if (o.max_connections == 0) throw std::invalid_argument{"again: httplib_options: max_connections must be at least 1"};
  if (o.resolver_threads == 0)
    throw std::invalid_argument{"again: httplib_options: resolver_threads must be at least 1"};
  if (o.keep_failed_lookup < duration::zero() || o.keep_failed_lookup > std::chrono::hours{24})
    throw std::invalid_argument{"again: httplib_options: keep_failed_lookup must be from 0 to 24 h"};
  if (o.keep_idle <= duration::zero() || o.keep_at_most <= duration::zero()) {
    throw std::invalid_argument{"again: httplib_options: keep_idle and keep_at_most must be positive"};
  }
  if (!o.proxy.empty() && !o.unix_socket.empty()) {
    throw std::invalid_argument{"again: httplib_options: a proxy cannot be reached through unix_socket"};
  }
  if (o.deny_private_addresses && !(o.proxy.empty() && o.unix_socket.empty())) {
    throw std::invalid_argument{"again: httplib_options: deny_private_addresses: through a proxy or a Unix-domain "
                                "socket no address can be seen"};
  }
  if (o.unix_socket.size() >= sizeof(sockaddr_un::sun_path)) {
    throw std::invalid_argument{"again: httplib_options: the path of unix_socket is too long"};
  }
  pool_settings s;
  s.workers = o.workers;
  s.queue = o.queue;
  s.connections = o.max_connections;
  s.keep = {.idle = std::min<duration>(o.keep_idle, std::chrono::hours{24}), .age = o.keep_at_most};
  s.certificates = {std::move(o.cacert), std::move(o.client_certificate), std::move(o.client_key)};
  s.look_ups = o.resolver_threads;
  s.keep_failed_lookup = o.keep_failed_lookup;
  s.via.public_only = o.deny_private_addresses;
  s.via.unix_socket = std::move(o.unix_socket);
  if (!o.proxy.empty()) {
    const auto proxy = parse_origin(o.proxy);
    if (!proxy) throw std::invalid_argument{"again: httplib_options: proxy: " + proxy.error().text()};
    if (proxy->scheme != scheme::http)
      throw std::invalid_argument{"again: httplib_options: proxy: only http:// proxies"};
    s.via.proxy_host = proxy->host;
    s.via.proxy_port = proxy->port;
  }
  if (o.resolve) {
    s.look_up = [ask = std::move(o.resolve)](const std::string& host) {
      resolved found{ask(host), {}};
      if (found.addresses.empty()) found.reason = "no address";
      return found;
    };
  } else {
    const int family = o.family == address_family::ipv4   ? AF_INET
                       : o.family == address_family::ipv6 ? AF_INET6
                                                          : AF_UNSPEC;
    s.look_up = [family](const std::string& host) { return look_up(host, family); };
  }
  return s;
}

}  // namespace detail

inline httplib_transport::httplib_transport(httplib_options options)
    : unix_{!options.unix_socket.empty()},
      proxy_{!options.proxy.empty()},
      pool_{std::make_shared<detail::send_pool>(detail::settings_of(std::move(options)))} {}

inline const char* httplib_transport::refuses(const outgoing& what) const noexcept {
  if (detail::httplib_rewrites_queries && !detail::survives_rewriting(what.request.target()))
    return "this cpp-httplib (0.29 to 0.48) would send another query than this one";
  if (what.origin.scheme == scheme::http) return nullptr;
  if (!detail::httplib_has_tls) return "https: this program's cpp-httplib was built without TLS";
  if (unix_) return "https over a Unix-domain socket";
  if (proxy_ && !detail::connect_is_safe<>())
    return "https through a proxy: this cpp-httplib can hang for ever where CONNECT is refused";
  if (proxy_ && what.request.headers().contains("Proxy-Authorization"))
    return "https through a proxy: Proxy-Authorization would go to the origin, inside the tunnel";
  return nullptr;
}

static_assert(transport<httplib_transport>);

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
