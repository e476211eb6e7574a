// SPDX-License-Identifier: MIT
/// \file
/// `exchange`: one request and its response on a connection. Both directions go on at once (RFC 9112 9.3 and 9.5): a whole response ends
/// the writing, and so does the head of one of 300 and above; with any other the peer may still be reading.
#pragma once

#include <again/beast/detail/body_feed.hpp>
#include <again/beast/detail/connection.hpp>
#include <again/beast/detail/response_reader.hpp>
#include <again/core/clock.hpp>
#include <again/http/transport.hpp>
#include <again/net/detail/diagnosis.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <poll.h>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// Appends a header field to a message.
inline void append_field(std::string& to, std::string_view name, std::string_view value) {
  to.append(name).append(": ").append(value).append("\r\n");
}

/// What a request says of its way.
struct request_route {
  bool absolute = false;             ///< the target is a whole URL: for a proxy
  std::string_view authorization{};  ///< of the proxy; empty: none
};

/// The body of a request, as an attempt has it.
struct request_content {
  enum kinds { none, bytes, parts } kind = none;
  std::string_view all{};               ///< bytes
  std::optional<std::uint64_t> size{};  ///< parts: their sum, if it is known
};

/// The request's head, with the framing of its body.
inline std::string request_head(const http::outgoing& what, int number, const request_content& content,
                                const request_route& route) {
  const http::request& r = what.request;
  const std::string authority = what.origin.authority();
  std::string head;
  head.reserve(512);
  head.append(r.method().text()).append(" ");
  if (route.absolute) head.append("http://").append(authority);
  head.append(r.target()).append(" HTTP/1.1\r\n");
  append_field(head, "Host", authority);
  r.each_field(number, [&head](std::string_view name, std::string_view value) { append_field(head, name, value); });
  if (!route.authorization.empty() && !r.headers().contains("Proxy-Authorization"))
    append_field(head, "Proxy-Authorization", route.authorization);
  const auto& m = r.method();
  switch (content.kind) {
    case request_content::none:  // RFC 9110 8.6
      if (m == http::method::post || m == http::method::put || m == http::method::patch)
        append_field(head, "Content-Length", "0");
      break;
    case request_content::bytes: append_field(head, "Content-Length", std::to_string(content.all.size())); break;
    case request_content::parts:
      if (content.size) {
        append_field(head, "Content-Length", std::to_string(*content.size));
      } else {
        append_field(head, "Transfer-Encoding", "chunked");
      }
  }
  return head.append("\r\n");
}

/// In the pool's turns. Refers to request and body; owns the response.
class exchange {
 public:
  exchange(const http::outgoing& what, int number, const request_content& content, const request_route& route)
      : what_{what},
        head_{request_head(what, number, content, route)},
        rest_of_head_{head_},
        rest_of_body_{content.all},
        reader_{what.max_body(), what.request.method() == http::method::head},
        chunked_{content.kind == request_content::parts && !content.size},
        source_over_{content.kind != request_content::parts} {}
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;

  /// Writes, and waits for what comes. True: it is over.
  bool begin(connection& c, time_point now) {
    progress_ = now;
    write(c);
    if (!over_) c.want_read();
    return over_;
  }
  /// Writes and reads what the socket takes and has, through `space`. True: it is over.
  bool go_on(connection& c, std::span<char> space, time_point now) {
    now_ = now;
    if (!over_ && !write_over_ && !c.waits_to_write()) write(c);
    if (!over_ && !c.waits_to_read()) read(c, space);
    return over_;
  }
  /// It can write no more without the next part of the body.
  bool needs_part() const noexcept { return needs_part_ && !over_ && !write_over_; }
  /// How many were taken.
  std::size_t parts() const noexcept { return parts_; }
  /// The next part: `n` bytes at `bytes`, which has `body_feed::before` bytes of room before them and `behind` behind them; 0: the end.
  void take_part(char* bytes, std::size_t n, time_point now) {
    needs_part_ = false;
    ++parts_;
    progress_ = now_ = now;
    source_over_ = n == 0;
    rest_of_body_ = chunked_ ? as_chunk(bytes, n) : std::string_view{bytes, n};
  }
  /// It could not be had, and why.
  void lose_part(std::string why) {
    body_failure_ = std::move(why);
    over_ = true;
  }
  /// When it ends if nothing moves until then. For a body of ours the peer is not to blame.
  time_point patience() const noexcept {
    const time_point silent = needs_part() ? never : saturating_add(progress_, what_.limits.idle);
    return read_until_ ? std::min(silent, *read_until_) : silent;
  }
  /// It has.
  void run_out() noexcept { over_ = silence_ = true; }

  /// There is a response, whatever happens to its body: the status decides, and the head is here.
  bool decided() const noexcept { return read_until_.has_value(); }
  /// Was anything asked of a body in parts?
  bool content_touched() const noexcept { return touched_; }
  /// How far has the request got?
  reach how_far(connection& c) noexcept {
    if (reader_.has_head()) return reach::answered;
    if (written_ == 0) return reach::not_sent;
    return c.tls() == nullptr && (read_ > 0 || c.has_unread()) ? reach::answered : reach::maybe_sent;
  }
  /// Can the connection take another request afterwards?
  bool reusable() const noexcept {
    return reader_.whole() && !broken_ && !must_close_ && write_over_ && rest_of_head_.empty() &&
           rest_of_body_.empty() && !reader_.last() && reader_.status() != 421;
  }

  /// After it is over, or was broken off and is decided.
  http::send_result take(connection& c) {
    const auto& drain = what_.request.drain();
    const bool whole = reader_.whole();
    if (!body_failure_.empty()) return failed({false, http::error_kind::invalid_request, how_far(c), body_failure_});
    if (whole || decided()) {
      http::response r = taken();
      if (drain) {
        r.body_cut = !whole || r.body.size() > drain->keep;
        if (r.body.size() > drain->keep) {
          r.body.resize(static_cast<std::size_t>(drain->keep));
          r.body.shrink_to_fit();
        }
      }
      return r;
    }
    switch (reader_.feed({})) {
      case response_reader::state::too_large:
        return failed({false, http::error_kind::too_large, reach::answered, "the body is larger than allowed"});
      case response_reader::state::malformed:
        return failed({false, http::error_kind::protocol, reach::answered, reader_.reason()});
      default: break;
    }
    const bool answered = reader_.has_head();
    http::detail::diagnosis d = http::detail::diagnose({.reach = how_far(c),
                                                        .head = answered,
                                                        .begun = reader_.begun(),
                                                        .reset = error_ == ECONNRESET,
                                                        .silence = silence_,
                                                        .writing = !write_over_,
                                                        .error = error_});
    if (!answered && c.tls() != nullptr && c.tls()->alert() != nullptr) {
      d.kind = http::error_kind::tls_handshake;
      d.text = std::string{"the peer ended the TLS session: "} + c.tls()->alert();
    }
    return failed(std::move(d));
  }

 private:
  http::response taken() {
    http::response r = reader_.take();
    r.url = http::url{what_.origin, what_.request.target()};
    return r;
  }
  http::send_result failed(http::detail::diagnosis d) {
    http::send_failure f{d.kind, d.reach, std::move(d.text)};
    if (reader_.has_head()) f.partial = taken();
    return unexpected<http::send_failure>{std::move(f)};
  }

  // ── writing ──

  void write(connection& c) {
    for (;;) {
      if (rest_of_head_.empty() && rest_of_body_.empty()) {
        write_over_ = source_over_;
        touched_ = needs_part_ = !source_over_;
        return;
      }
      const progress p = c.write(rest_of_head_, rest_of_body_);
      if (p.n > 0) {
        auto n = static_cast<std::size_t>(p.n);
        written_ += n;
        progress_ = now_ = std::max(now_, progress_);
        const std::size_t of_head = std::min(n, rest_of_head_.size());
        rest_of_head_.remove_prefix(of_head);
        rest_of_body_.remove_prefix(n - of_head);
      } else if (p.needs != 0) {
        p.needs == POLLOUT ? c.want_write() : c.want_read();
        return;
      } else {  // the peer may have responded, and closed: what it has said is still there
        error_ = p.error;
        write_over_ = broken_ = true;
        return;
      }
    }
  }
  /// In the room around it.
  static std::string_view as_chunk(char* bytes, std::size_t n) noexcept {
    if (n == 0) return "0\r\n\r\n";
    char size[body_feed::before + 1];
    const auto digits = static_cast<std::size_t>(std::snprintf(size, sizeof size, "%zx\r\n", n));
    std::copy_n(size, digits, bytes - digits);
    std::copy_n("\r\n", 2, bytes + n);
    return {bytes - digits, digits + n + 2};
  }

  // ── reading ──

  void read(connection& c, std::span<char> space) {
    for (int rounds = 0; rounds < most_rounds; ++rounds) {
      std::string_view bytes;
      const progress p = c.read(space, bytes);
      if (p.needs != 0) {
        if (p.needs == POLLOUT) c.want_write();
        break;
      }
      if (p.n <= 0) return end_of_input(p);
      read_ += bytes.size();
      progress_ = now_;
      const auto state = reader_.feed(bytes);
      if (reader_.has_head()) head_has_come();
      if (state != response_reader::state::more) {
        over_ = true;
        return;
      }
      if (!write_over_ && reader_.has_head() && reader_.status() >= 300) write_over_ = must_close_ = true;
      if (c.tls() == nullptr && connection::drained(bytes)) break;
    }
    c.want_read();
  }
  void end_of_input(const progress& p) noexcept {
    over_ = true;
    if (p.n == 0) {
      static_cast<void>(reader_.end());
      must_close_ = true;
    } else {
      broken_ = true;
    }
    if (error_ == 0) error_ = p.error;
  }
  void head_has_come() noexcept {
    const auto& drain = what_.request.drain();
    if (!drain || read_until_) return;
    read_until_ = saturating_add(now_, std::min<duration>(drain->time, std::chrono::hours{24}));
  }

  static constexpr int most_rounds = 32;  // then others have their turn

  const http::outgoing& what_;
  std::string head_;
  std::string_view rest_of_head_, rest_of_body_;
  response_reader reader_;
  std::string body_failure_;
  std::optional<time_point> read_until_;
  time_point progress_{}, now_{};
  std::size_t parts_ = 0;
  std::uint64_t written_ = 0, read_ = 0;
  int error_ = 0;
  const bool chunked_;
  bool source_over_, needs_part_ = false, touched_ = false, write_over_ = false, must_close_ = false, broken_ = false,
                     silence_ = false, over_ = false;
};

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
