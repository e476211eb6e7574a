// SPDX-License-Identifier: MIT
/// \file
/// `httplib_connection`: one connection of cpp-httplib, and one attempt on it, blocking.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/transport.hpp>
#include <again/httplib/detail/diagnose.hpp>
#include <again/httplib/detail/framing.hpp>
#include <again/httplib/detail/httplib_versions.hpp>
#include <again/httplib/detail/response_parser.hpp>
#include <again/httplib/detail/socket_watch.hpp>
#include <again/httplib/detail/tls_setup.hpp>
#include <again/httplib/detail/wire.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Where a connection goes, besides the origin.
struct route {
  std::string unix_socket;  ///< path; empty: TCP
  std::string proxy_host;   ///< requests go through it, https ones in a tunnel; empty: none
  int proxy_port = 0;

  /// The name to resolve for a connection to `o`; empty: none.
  const std::string& host_to_resolve(const origin& o) const noexcept {
    return !unix_socket.empty() ? unix_socket_host() : proxy_host.empty() ? o.host : proxy_host;
  }

 private:
  static const std::string& unix_socket_host() noexcept {
    static const std::string none;
    return none;
  }
};

/// Used by one thread at a time; `watch()` is for the cancelling one as well.
class httplib_connection {
 public:
  using steady = std::chrono::steady_clock;

  /// `nowhere`: a descriptor that is no socket, and stays open.
  httplib_connection(const origin& o, const route& r, tls_roots& roots, int nowhere)
      : origin_{o}, route_{r}, roots_{&roots}, watch_{o.scheme == scheme::https, nowhere} {}

  socket_watch& watch() noexcept { return watch_; }
  bool open() const { return client_ && client_->is_socket_open() != 0; }
  steady::time_point opened_at() const noexcept { return opened_at_; }
  steady::time_point idle_since() const noexcept { return idle_since_; }
  /// Where it was opened to; empty: a Unix-domain socket, or nowhere yet.
  const std::string& address() const noexcept { return address_; }
  bool content_touched() const noexcept { return content_touched_; }
  /// Is the client worth keeping when its connection is closed? A TLS context costs a millisecond and 64 KiB.
  bool costly() const noexcept { return tls() && client_ != nullptr; }

  void close() {
    if (client_) client_->stop();
    watch_.release();
  }
  /// Before each `attempt`, and before anybody may interrupt it: closes a connection that is not as we left it.
  void prepare() {
    if (open() && !watch_.silent()) close();
    watch_.begin(open());
  }

  /// One attempt: on the open connection, or on a new one to `address` (a number; unused for Unix sockets).
  /// `content` may be null; `content_touched` says afterwards whether anything of it was read.
  send_result attempt(const outgoing& what, int number, const std::string& address, body::reader* content) {
    if (!client_ && !create()) {
      return unexpected<send_failure>{
          send_failure{error_kind::tls_verify, reach::not_sent, "the certificates to trust could not be read"}};
    }
    const bool reused = open();
    const duration connect_limit = at_least_a_millisecond(what.limits.connect);
    const duration idle_limit = at_least_a_millisecond(what.limits.idle);
    client_->set_connection_timeout(connect_limit);
    client_->set_read_timeout(idle_limit);
    client_->set_write_timeout(idle_limit);
    if (!reused) aim(address_ = address);

    exchange x{what, content, watch_};
    httplib::Request request;
    fill(request, what, number, x);
    if (plain_wire_ != nullptr) use(*plain_wire_, x, idle_limit, reused);
    if (tls_wire_ != nullptr) use(*tls_wire_, x, idle_limit, reused);
    httplib::Response head;
    httplib::Error code = httplib::Error::Success;
    const auto begun = x.progress = steady::now();
    httplib_says says = httplib_says::other;
    try {
      says = client_->send(request, head, code) ? httplib_says::success : translate(code);
    } catch (const std::exception&) {  // such as stoi's in some versions; the client's own books are wrong after that
      client_.reset();
      plain_wire_ = nullptr;
      tls_wire_ = nullptr;
    }
    const auto now = steady::now();
    content_touched_ = x.done > 0;
    idle_since_ = now;
    if (!reused) opened_at_ = begun;
    if (says == httplib_says::success) {
      if (tls() && !watch_.is_secured()) {  // a proxy's response to CONNECT, passed off as the origin's
        close();
        return unexpected<send_failure>{
            send_failure{error_kind::refused, reach::not_sent, "the proxy refused the tunnel"}};
      }
      if (!x.seen.headers_complete && !x.reader) x.take_head(head);  // no body: our handler was not asked
    }
    if (says == httplib_says::write && !tls() && !x.reader && !x.seen.headers_complete) x.look_for_an_early_response();
    if (x.reader) {
      x.take_from_reader(says == httplib_says::success);
      // The library has found its own end of the body; whether that is the end of the response, our reader knows.
      if (says == httplib_says::success && !x.seen.no_body && !x.seen.until_close) says = httplib_says::other;
    }
    x.seen.quiet = now - x.progress;
    const bool whole =
        x.reader ? x.seen.no_body
                 : says == httplib_says::success && !x.seen.interim && !x.seen.bad_framing && !x.seen.until_close;
    diagnosis d{true, error_kind::status, reach::answered, {}};
    if (!whole) d = diagnose(says, x.seen, watch_.examine(), tls(), now - begun, connect_limit, idle_limit);
    if (!d.success || x.must_close)
      close();
    else if (plain_wire_ != nullptr)
      watch_.moved(x.written, x.heard);
    if (!open()) watch_.release();

    x.response.url = url{what.origin, what.request.target()};
    if (d.success) return std::move(x.response);
    send_failure failure{d.kind, d.reach, std::move(d.text)};
    if (x.seen.headers_complete) failure.partial = std::move(x.response);
    return unexpected<send_failure>{std::move(failure)};
  }

 private:
  /// What the callbacks of one attempt work on.
  struct exchange final : wire_listener {
    exchange(const outgoing& w, body::reader* b, socket_watch& s)
        : what{w}, content{b}, socket{s}, max_body{w.request.max_body().value_or(w.limits.max_body)} {}

    // Where we read ourselves.
    bool hear(std::string_view bytes) override {
      progress = steady::now();
      heard += bytes.size();
      return listening().feed(bytes) == response_reader::state::more;
    }
    void hear_end() override { static_cast<void>(listening().end()); }
    bool satisfied() const override { return reader && reader->whole(); }

    void wrote(std::size_t n) override { written += n; }

    // Where the library reads.
    bool take_head(const httplib::Response& head) {
      if (head.status < 200 && head.status != 101 && what.request.method() != method::head && is_unframed(head)) {
        // An interim response: the library takes what follows, which is the final one, for its body.
        progress = steady::now();
        must_close = true;
        listening();
        return true;
      }
      response.status = head.status;
      response.version = head.version.starts_with("HTTP/") ? head.version.substr(5) : head.version;
      response.headers.reserve(head.headers.size());
      for (const auto& [name, value] : head.headers) response.headers.add(name, without_controls(value));
      seen.headers_complete = true;
      progress = steady::now();
      const framing f = framing_of(response.headers);
      const bool bodyless = response.status == 204 || response.status == 304 || what.request.method() == method::head;
      seen.chunked = f.kind == framing::chunked;
      seen.until_close = f.kind == framing::none && !bodyless;
      // 421: not on this connection, but perhaps on another (RFC 9110 15.5.20). 304: some versions wait for a body.
      must_close =
          f.close || response.status < 200 || response.status == 304 || response.status == 421 || seen.until_close;
      seen.interim = response.status < 200;
      seen.no_body = response.status == 304;
      seen.bad_framing = f.kind == framing::nonsense && !bodyless;
      if (f.kind == framing::length && !bodyless) {
        seen.too_large = f.length_value > max_body;
        // On a server's word alone no more than this.
        if (!seen.too_large)
          response.body.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(f.length_value, 1U << 20U)));
      }
      return !seen.interim && !seen.no_body && !seen.bad_framing && !seen.too_large;
    }
    static bool is_unframed(const httplib::Response& head) {
      return !head.has_header("Content-Length") && !head.has_header("Transfer-Encoding");
    }
    bool take_body(const char* data, std::size_t n) {
      progress = steady::now();
      if (reader) return reader->feed({data, n}) == response_reader::state::more;
      const std::size_t room = static_cast<std::size_t>(std::min<std::uint64_t>(n, max_body - response.body.size()));
      response.body.append(data, room);
      seen.too_large = room < n;
      return !seen.too_large;
    }
    response_reader& listening() {
      if (!reader) reader.emplace(max_body, what.request.method() == method::head);
      return *reader;
    }
    /// A server may respond and close before the request is written out; what it said is still there.
    void look_for_an_early_response() {
      std::array<char, 4096> buffer;
      must_close = true;
      while (const std::size_t n = socket.read_rest(buffer)) {
        if (listening().feed({buffer.data(), n}) != response_reader::state::more) return;
      }
      if (!reader) return;
      const auto end = socket.examine();
      if (reader->until_close() && end.peer_closed && !end.reset) {
        static_cast<void>(reader->end());
        ended_in_order = true;
      }
      if (!reader->whole()) reader.reset();
    }
    void take_from_reader(bool ended) {
      if (ended) static_cast<void>(reader->end());
      using states = response_reader::state;
      const states state = reader->feed({});
      seen.headers_complete = reader->has_head();
      seen.read_here = true;
      seen.head_begun = reader->begun();
      seen.until_close = state == states::whole && reader->until_close() && !ended_in_order;
      seen.no_body = state == states::whole && !seen.until_close;  // complete, by our own judgement
      seen.malformed = state == states::nonsense ? reader->why() : nullptr;
      seen.too_large = state == states::too_large;
      must_close = must_close || reader->last();
      response = reader->take();
      must_close = must_close || response.status == 421;
    }
    /// Writes the next part of the request's body. False: it cannot be had.
    bool give(httplib::DataSink& sink, bool chunked) {
      progress = steady::now();
      if (const auto all = content->bytes()) {
        if (done == 0 && !all->empty()) sink.write(all->data(), all->size());
        done = all->size();
      } else {
        std::array<char, 16384> buffer;
        const auto n = content->read(buffer);
        if (!n) {
          seen.body_failure = n.error();
          socket.shut();
          return false;
        }
        done += *n;
        if (*n > 0) return sink.write(buffer.data(), *n), true;
      }
      if (chunked) sink.done();
      return true;
    }

    const outgoing& what;
    body::reader* const content;
    socket_watch& socket;
    const std::uint64_t max_body;
    http::response response;
    std::optional<response_reader> reader;
    observed seen;
    bool must_close = false;
    bool ended_in_order = false;  // the connection, as we have looked up already
    std::uint64_t done = 0;       // of the content
    std::uint64_t written = 0, heard = 0;
    steady::time_point progress;
  };

#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
  using secure_client = typename wired_if_possible<httplib::SSLClient>::type;
#else
  using secure_client = httplib::ClientImpl;
#endif

  static duration at_least_a_millisecond(duration d) noexcept {  // and at most what fits into poll()'s milliseconds
    return std::clamp<duration>(d, std::chrono::milliseconds{1}, std::chrono::hours{24 * 20});
  }
  bool tls() const noexcept { return origin_.scheme == scheme::https; }

  bool create() {
    const std::string host = route_.unix_socket.empty() ? origin_.host : route_.unix_socket;
#if defined(CPPHTTPLIB_OPENSSL_SUPPORT)
    if (tls()) {
      auto client = std::make_unique<secure_client>(host, origin_.port);
      if (!client->is_valid() || !use_roots(*client, *roots_)) return false;
      report_to(context_of(*client), watch_);
      if constexpr (!std::is_same_v<secure_client, httplib::SSLClient>) tls_wire_ = client.get();
      client_ = std::move(client);
    }
#endif
    if (!client_) {
      auto client = std::make_unique<own_wire_client<httplib::ClientImpl>>(host, origin_.port);
      plain_wire_ = client.get();
      client_ = std::move(client);
    }
    configure(*client_);
    if (!route_.unix_socket.empty()) client_->set_address_family(AF_UNIX);
    client_->set_socket_options([this](auto fd) { watch_.opened(static_cast<int>(fd)); });
    return true;
  }
  template <class Client> static void use(Client& client, exchange& x, duration idle_limit, bool reused) {
    if constexpr (requires { client.next; }) {
      client.next = {&x, idle_limit};
      if (!reused) client.forget_socket();
    }
  }
  void aim(const std::string& address) {
    if (!route_.unix_socket.empty()) return;
    if (!route_.proxy_host.empty()) return client_->set_proxy(address, route_.proxy_port);
    client_->set_hostname_addr_map({{origin_.host, address}});
  }

  static void fill(httplib::Request& request, const outgoing& what, int number, exchange& x) {
    request.method = what.request.method().text();
    request.path = what.request.target();
    request.headers.emplace("Host", what.origin.authority());
    for (const auto& [name, value] : what.request.fields(number)) request.headers.emplace(name, value);
    request.response_handler = [&x](const httplib::Response& head) { return x.take_head(head); };
    request.content_receiver = [&x](const char* data, std::size_t n, auto, auto) { return x.take_body(data, n); };
    if (x.content == nullptr) return;
    const auto size = x.content->size();
    if (size) {
      if (*size == 0) {  // the library says so itself where it must (and then does not look whether we did)
        const auto& m = what.request.method();
        if (m != method::post && m != method::put && m != method::patch) request.headers.emplace("Content-Length", "0");
        return;
      }
      request.content_length_ = static_cast<std::size_t>(*size);
    } else {
      request.is_chunked_content_provider_ = true;
      request.headers.emplace("Transfer-Encoding", "chunked");
    }
    request.content_provider_ = [&x, chunked = !size](std::size_t, std::size_t, httplib::DataSink& sink) {
      return x.give(sink, chunked);
    };
    suppress_expect(request);
  }

  const origin origin_;
  const route route_;
  tls_roots* const roots_;
  socket_watch watch_;  // before the client, which reports to it until it is gone
  std::unique_ptr<httplib::ClientImpl> client_;
  own_wire_client<httplib::ClientImpl>* plain_wire_ = nullptr;  // the client, where we read and write ourselves
  secure_client* tls_wire_ = nullptr;
  steady::time_point opened_at_{}, idle_since_{};
  std::string address_;
  bool content_touched_ = false;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
