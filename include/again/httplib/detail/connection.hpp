// SPDX-License-Identifier: MIT
/// \file
/// `httplib_connection`: one connection of cpp-httplib, and one attempt on it, blocking.
#pragma once

#include <again/http/transport.hpp>
#include <again/httplib/detail/diagnose.hpp>
#include <again/httplib/detail/httplib_versions.hpp>
#include <again/httplib/detail/library_exchange.hpp>
#include <again/httplib/detail/own_exchange.hpp>
#include <again/httplib/detail/socket_watch.hpp>
#include <again/httplib/detail/tls_peer.hpp>
#include <again/httplib/detail/tls_setup.hpp>
#include <again/httplib/detail/wire.hpp>
#include <again/net/detail/route.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Owns a client of cpp-httplib with at most one open socket. Threads: used by one at a time; `watch()` by the thread that
/// cancels as well.
class httplib_connection {
 public:
  using steady = std::chrono::steady_clock;

  /// `dead_fd`: a descriptor that is no socket, and stays open.
  httplib_connection(const origin& o, const route& r, tls_credentials& credentials, int dead_fd)
      : origin_{o},
        route_{r},
        credentials_{&credentials},
        watch_{o.scheme == scheme::https, dead_fd},
        peer_{o.host, watch_} {}

  httplib_connection(const httplib_connection&) = delete;
  httplib_connection& operator=(const httplib_connection&) = delete;
  ~httplib_connection() { close(); }

  socket_watch& watch() noexcept { return watch_; }
  bool open() const { return client_ && client_->is_socket_open() != 0; }
  steady::time_point opened_at() const noexcept { return opened_at_; }
  steady::time_point idle_since() const noexcept { return idle_since_; }
  /// Where it was opened to; empty: a Unix-domain socket, or not opened yet.
  const std::string& address() const noexcept { return address_; }
  bool content_touched() const noexcept { return content_touched_; }
  /// The last attempt has opened no connection, because this process or the system has no descriptor left.
  bool lacks_descriptor() const noexcept { return lacks_descriptor_; }
  /// Is the client worth keeping when its connection is closed? A TLS context costs a millisecond and 64 KiB.
  bool costly() const noexcept { return tls() && client_ != nullptr; }

  void close() {
    if (client_) client_->stop();
    watch_.release();
  }
  /// Before each `attempt`, and before another thread may interrupt it: closes a connection that is not as we left it.
  void prepare() {
    if (open() && !watch_.silent()) close();
    watch_.begin(open());
  }

  /// One attempt: on the open connection, or on a new one to `address` (a number; unused for Unix sockets).
  /// `content` may be null; `content_touched` says afterwards whether anything of it was read. `stop` is told where the result is
  /// decided before the attempt has ended.
  send_result attempt(const outgoing& what, int number, const std::string& address, body::reader* content,
                      cancel_switch& stop) {
    if (!client_ && !create_client()) {
      return unexpected<send_failure>{
          send_failure{error_kind::shortage, reach::not_sent, "no memory for a TLS context or its certificates"}};
    }
    const bool reused = open();
    lacks_descriptor_ = false;
    if (tls()) peer_.begin();
    const bounds limits{in_range_of_poll(what.limits.connect), in_range_of_poll(what.limits.idle)};
    client_->set_connection_timeout(limits.connect);
    client_->set_read_timeout(limits.idle);
    client_->set_write_timeout(limits.idle);
    if (!reused) aim_at(address_ = address);
    if (plain_wire_ != nullptr || tls_wire_ != nullptr) {
      own_exchange x{what, content, watch_, stop};
      if (plain_wire_ != nullptr) exchange_over(*plain_wire_, x, limits, reused);
      if (tls_wire_ != nullptr) exchange_over(*tls_wire_, x, limits, reused);
      send_result r = run(x, what, number, limits, reused);
      if (r && open() && plain_wire_ != nullptr) watch_.moved(x.written(), x.read());
      return r;
    }
    library_exchange x{what, content, watch_, stop};
    return run(x, what, number, limits, reused);
  }

 private:
#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
  using secure_client = typename own_wire_if_derivable<httplib::SSLClient>::type;
#else
  using secure_client = httplib::ClientImpl;
#endif
  struct bounds {
    duration connect, idle;
  };

  /// At least a millisecond, and at most what fits into poll()'s milliseconds.
  static duration in_range_of_poll(duration d) noexcept {
    return std::clamp<duration>(d, std::chrono::milliseconds{1}, std::chrono::hours{24 * 20});
  }
  bool tls() const noexcept { return origin_.scheme == scheme::https; }

  // ── before the send ──

  bool create_client() {
    const std::string host = route_.unix_socket.empty() ? origin_.host : route_.unix_socket;
#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
    if (tls()) {
      auto client = std::make_unique<secure_client>(host, origin_.port);
      X509_STORE* const trusted = credentials_->trusted();
      if (!client->is_valid() || trusted == nullptr) return false;
      client->enable_server_certificate_verification(false);  // peer_ verifies, and more strictly
      peer_.guard(context_of(*client), trusted);
      if (!credentials_->show_in(context_of(*client))) return false;
      if constexpr (!std::is_same_v<secure_client, httplib::SSLClient>) tls_wire_ = client.get();
      watch_sockets_of(*client);
      client_ = std::move(client);
    }
#endif
    if (!client_) {
      auto client = std::make_unique<own_wire_client<httplib::ClientImpl>>(host, origin_.port);
      plain_wire_ = client.get();
      watch_sockets_of(*client);
      client_ = std::move(client);
    }
    configure(*client_);
    if (!route_.unix_socket.empty()) client_->set_address_family(AF_UNIX);
    client_->set_socket_options([this](auto fd) { watch_.opened(static_cast<int>(fd)); });
    return true;
  }
  template <class Client> void watch_sockets_of(Client& client) noexcept {
    if constexpr (requires { client.watch; }) client.watch = &watch_;  // not the library's own class
  }
  void forget_client() noexcept {
    watch_.closing();  // where it closes its socket only in its destructor, there is no hook
    client_.reset();
    plain_wire_ = nullptr;
    tls_wire_ = nullptr;
  }
  void aim_at(const std::string& address) {
    if (!route_.unix_socket.empty()) return;
    if (!route_.proxy_host.empty()) return client_->set_proxy(address, route_.proxy_port);
    if (plain_wire_ == nullptr && tls_wire_ == nullptr) client_->set_hostname_addr_map({{origin_.host, address}});
  }
  template <class Client> void exchange_over(Client& client, own_exchange& x, const bounds& limits, bool reused) const {
    if constexpr (requires { client.next; }) {
      client.next = {&x, limits.idle, limits.connect, {}};
      const bool tunnel = tls() && !route_.proxy_host.empty();
      if (!reused && !tunnel) client.next.to = target();
    }
  }
  peer_address target() const {
    if (!route_.unix_socket.empty()) return peer_address::unix_domain(route_.unix_socket);
    return peer_address::tcp(address_, route_.proxy_host.empty() ? origin_.port : route_.proxy_port);
  }

  // ── the send, and what came of it ──

  template <class Exchange>
  send_result run(Exchange& x, const outgoing& what, int number, const bounds& limits, bool reused) {
    httplib::Request request = x.request(number);
    x.let_library_read(request);
    httplib::Response head;
    httplib::Error code = httplib::Error::Success;
    const auto begun = steady::now();
    x.moved();
    httplib_says says = httplib_says::other;
    try {
      says = client_->send(request, head, code) ? httplib_says::success : translate(code);
    } catch (const std::exception&) {  // such as stoi's in some versions; the client's own books are wrong after that
      forget_client();
    }
    const auto now = steady::now();
    content_touched_ = x.content_touched();
    idle_since_ = now;
    if (!reused) opened_at_ = begun;
    if (says == httplib_says::success && tls() && !watch_.is_secured()) {
      close();  // a proxy's response to CONNECT, passed off as the origin's
      return unexpected<send_failure>{
          send_failure{error_kind::refused, reach::not_sent, "the proxy refused the tunnel"}};
    }
    says = x.settle(says, head);
    x.seen.quiet = now - x.last_progress();
    diagnosis d{true, error_kind::status, reach::answered, {}};
    if (!x.whole(says)) {
      const auto socket = watch_.examine();
      lacks_descriptor_ = socket.connect_error == EMFILE || socket.connect_error == ENFILE;
      d = diagnose(says, x.seen, socket, tls(), now - begun, limits.connect, limits.idle);
      if (tls() && !d.success) peer_.explain(d);
    }
    if (!d.success || x.must_close) close();
    if (!open()) watch_.release();

    x.response.url = url{what.origin, what.request.target()};
    if (d.success || x.decided()) return x.take_response(d.success);
    send_failure failure{d.kind, d.reach, std::move(d.text)};
    if (x.seen.headers_complete) failure.partial = std::move(x.response);
    return unexpected<send_failure>{std::move(failure)};
  }

  const origin origin_;
  const route route_;
  tls_credentials* const credentials_;
  socket_watch watch_;  // before the client, which reports to both until it is gone
  tls_peer peer_;
  std::unique_ptr<httplib::ClientImpl> client_;
  own_wire_client<httplib::ClientImpl>* plain_wire_ = nullptr;  // the client, where we read and write ourselves
  secure_client* tls_wire_ = nullptr;                           // the same, over TLS
  steady::time_point opened_at_{}, idle_since_{};
  std::string address_;
  bool content_touched_ = false, lacks_descriptor_ = false;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
