// SPDX-License-Identifier: MIT
/// \file
/// `beast::transport`: HTTP over Boost.Beast and Boost.Asio, without a thread for each request.
///
/// ```cpp
/// boost::asio::io_context io;
/// again::beast::transport transport{io.get_executor()};                // on your loop; or {}: on a thread of its own
/// again::http::client_over api{transport, *again::http::parse_origin("https://api.example")};
/// auto quote = co_await again::asio::async_retry(polite, api.get("/quote/ACME"));        // in an asio::awaitable
/// ```
///
/// It models `http::transport`, and gives the results that `httplib_transport` gives; docs/http.md has a table of what differs.
///
/// - Loop: with an executor, everything runs in handlers of it: an `io_context`, a strand or a `thread_pool`. Without one, a thread of
///   its own runs an `io_context`, and results come back to the loop that awaits them. Look-ups of names run on threads of their own.
/// - Bodies that are not in memory are opened and read on threads for that, so that a file on a slow disk holds up no other request. What
///   they refer to must outlive a read that still hangs when the transport is gone: it does not wait for that.
/// - Lifetime: destroying it cancels the attempts that run; each still gives its result. The execution context may be destroyed
///   before it: attempts that are awaited elsewhere end as `cancelled`.
/// - Threads: all members from any.
/// - Cost: one allocation for each attempt beside those of its messages; 4 KiB for each connection.
///
/// One send, from top to bottom: detail/send.hpp (what a coroutine awaits), pool (bounds, idle connections), attempt, connector (look-up,
/// race of addresses, tunnel, TLS), exchange (request and response), connection (the socket), response_reader (Beast's parser).
#pragma once

#include <again/beast/detail/library.hpp>
#include <again/beast/detail/own_loop.hpp>
#include <again/beast/detail/pool.hpp>
#include <again/beast/detail/send.hpp>
#include <again/beast/options.hpp>
#include <again/http/transport.hpp>
#include <again/http/url.hpp>
#include <again/net/detail/resolver.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <openssl/evp.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {

class transport {
 public:
  /// On a thread of its own. Throws std::invalid_argument with a reason if the options contradict themselves, the proxy is no URL, or a
  /// file of certificates cannot be read, holds none, or does not fit its key; std::system_error if no thread can be started.
  explicit transport(options o = {});
  /// On the loop of `ex`. Throws std::logic_error if its execution context is being destroyed, and as above.
  explicit transport(const net::any_io_executor& ex, options o = {});
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  ~transport() { pool_->shut_down(); }

  /// One attempt; see `http::transport`.
  [[nodiscard]] detail::beast_send send(std::shared_ptr<const http::outgoing> what, int number) {
    const char* const refusal = refuses(*what);
    return detail::beast_send{pool_, std::move(what), number, refusal};
  }

 private:
  const char* refuses(const http::outgoing& what) const noexcept {
    if (proxy_ && what.origin.scheme == http::scheme::https && what.request.headers().contains("Proxy-Authorization"))
      return "https through a proxy: Proxy-Authorization would go to the origin, inside the tunnel";
    return nullptr;
  }

  bool proxy_ = false;
  std::unique_ptr<detail::own_loop> own_;  // ends after the pool's last turn
  std::shared_ptr<detail::pool> pool_;
};

// ── definitions ──

namespace detail {

[[noreturn]] inline void refuse(const std::string& why) {
  throw std::invalid_argument{"again: beast::options: " + why};
}

/// "Basic " and base64 (RFC 7617).
inline std::string basic_authorization(const std::string& user, const std::string& password) {
  const std::string both = user + ":" + password;
  std::string text(4 * ((both.size() + 2) / 3) + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                reinterpret_cast<const unsigned char*>(both.data()), static_cast<int>(both.size()));
  text.resize(static_cast<std::size_t>(n));
  return "Basic " + text;
}

inline pool_settings settings_of(options&& o) {
  if (o.max_connections == 0) refuse("max_connections must be at least 1");
  if (o.resolver_threads == 0) refuse("resolver_threads must be at least 1");
  if (o.body_threads == 0) refuse("body_threads must be at least 1");
  if (o.keep_failed_lookup < duration::zero() || o.keep_failed_lookup > std::chrono::hours{24})
    refuse("keep_failed_lookup must be from 0 to 24 h");
  if (o.keep_idle <= duration::zero() || o.keep_at_most <= duration::zero())
    refuse("keep_idle and keep_at_most must be positive");
  if (o.next_address_after <= duration::zero()) refuse("next_address_after must be positive");
  if (!o.proxy.empty() && !o.unix_socket.empty()) refuse("a proxy cannot be reached through unix_socket");
  if (o.deny_private_addresses && !(o.proxy.empty() && o.unix_socket.empty()))
    refuse("deny_private_addresses: through a proxy or a Unix-domain socket no address can be seen");
  if (o.unix_socket.size() >= sizeof(::sockaddr_un::sun_path)) refuse("the path of unix_socket is too long");
  if (o.proxy.empty() && !(o.proxy_user.empty() && o.proxy_password.empty()))
    refuse("proxy_user and proxy_password without a proxy");
  if (o.proxy_user.find(':') != std::string::npos) refuse("proxy_user must not contain a colon (RFC 7617)");
  if (o.proxy_user.empty() && !o.proxy_password.empty()) refuse("proxy_password without proxy_user");
  pool_settings s;
  s.queue = o.queue;
  s.connections = o.max_connections;
  s.keep_idle = std::min<duration>(o.keep_idle, std::chrono::hours{24});
  s.keep_at_most = o.keep_at_most;
  s.next_address_after = o.next_address_after;
  s.certificates = {std::move(o.cacert), std::move(o.client_certificate), std::move(o.client_key)};
  s.pinned = std::move(o.pinned_public_key);
  s.look_ups = o.resolver_threads;
  s.body_threads = o.body_threads;
  s.keep_failed_lookup = o.keep_failed_lookup;
  s.via.public_only = o.deny_private_addresses;
  s.via.unix_socket = std::move(o.unix_socket);
  if (!o.proxy.empty()) {
    const auto proxy = http::parse_origin(o.proxy);
    if (!proxy) refuse("proxy: " + proxy.error().text());
    if (proxy->scheme != http::scheme::http) refuse("proxy: only http:// proxies");
    s.via.proxy_host = proxy->host;
    s.via.proxy_port = proxy->port;
    if (!o.proxy_user.empty()) s.proxy_authorization = basic_authorization(o.proxy_user, o.proxy_password);
  }
  if (o.resolve) {
    s.look_up = [ask = std::move(o.resolve)](const std::string& host) {
      http::detail::resolved found{ask(host), {}};
      if (found.addresses.empty()) found.reason = "no address";
      return found;
    };
  } else {
    const int family = o.family == http::address_family::ipv4   ? AF_INET
                       : o.family == http::address_family::ipv6 ? AF_INET6
                                                                : AF_UNSPEC;
    s.look_up = [family](const std::string& host) { return http::detail::look_up(host, family); };
  }
  return s;
}

}  // namespace detail

inline transport::transport(options o) : proxy_{!o.proxy.empty()}, own_{std::make_unique<detail::own_loop>()} {
  pool_ = detail::pool::make(own_->executor(), detail::settings_of(std::move(o)), true);
}
inline transport::transport(const net::any_io_executor& ex, options o)
    : proxy_{!o.proxy.empty()}, pool_{detail::pool::make(ex, detail::settings_of(std::move(o)), false)} {}

static_assert(http::transport<transport>);

}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
