// SPDX-License-Identifier: MIT
/// \file
/// `request` and `response`.
#pragma once

#include <again/http/body.hpp>
#include <again/http/headers.hpp>
#include <again/http/idempotency.hpp>
#include <again/http/method.hpp>
#include <again/http/status.hpp>
#include <again/http/url.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// What is sent, and what is known of it: `request::post("/orders").header("Accept", "text/plain").body(text).accept(409)`.
/// Nothing is refused while it is built; `validate` says all, and a client asks it before anything is sent.
/// A class with constructors, so that it may be written inside a `co_await` expression with g++ 12.
class request {
 public:
  /// `target` is an origin-form: path and query, as they stand in a URL after the host.
  explicit request(http::method m, std::string target = "/") : method_{m}, target_{std::move(target)} {}

  static request get(std::string target) { return request{http::method::get, std::move(target)}; }
  static request head(std::string target) { return request{http::method::head, std::move(target)}; }
  static request post(std::string target) { return request{http::method::post, std::move(target)}; }
  static request put(std::string target) { return request{http::method::put, std::move(target)}; }
  static request patch(std::string target) { return request{http::method::patch, std::move(target)}; }
  static request delete_(std::string target) { return request{http::method::delete_, std::move(target)}; }
  static request options(std::string target) { return request{http::method::options, std::move(target)}; }

  /// Adds a header field, besides those there are of that name.
  request& header(std::string name, std::string_view value) & { return headers_.add(std::move(name), value), *this; }
  /// The content. A `const char*` or string is bytes; see `body` for files, factories and one-shot bodies.
  request& body(http::body b) & { return body_ = std::move(b), *this; }
  /// Statuses that are a response and not an error, besides 2xx and 3xx: `.accept(404)`, `.accept({404, 410})`.
  request& accept(const status_set& statuses) & { return accept_ = accept_ | statuses, *this; }
  /// One Idempotency-Key for this operation: given here (without quotes), or made before its first attempt. With a key the
  /// request may be sent again whatever its method: the server must honour it.
  request& idempotency_key(std::string key) & { return key_ = std::move(key), key_kind_ = key_kind::given, *this; }
  request& idempotency_key_auto() & { return key_.clear(), key_kind_ = key_kind::automatic, *this; }
  /// Your word on whether a repetition is harmless; it outranks the method and the key.
  request& idempotent(bool yes = true) & { return idempotent_ = yes, *this; }
  /// At most so many bytes of response body; more is the error `too_large`. Default: the client's.
  request& max_body(std::uint64_t bytes) & { return max_body_ = bytes, *this; }
  /// At most so many redirects; 0: a redirect is the response. Default: the client's.
  request& max_redirects(int n) & { return max_redirects_ = n, *this; }
  /// Sends the attempt's number, from 1, as a header of that name.
  request& attempt_header(std::string name) & { return attempt_header_ = std::move(name), *this; }

  request&& header(std::string name, std::string_view value) && { return std::move(header(std::move(name), value)); }
  request&& body(http::body b) && { return std::move(body(std::move(b))); }
  request&& accept(const status_set& statuses) && { return std::move(accept(statuses)); }
  request&& idempotency_key(std::string key) && { return std::move(idempotency_key(std::move(key))); }
  request&& idempotency_key_auto() && { return std::move(idempotency_key_auto()); }
  request&& idempotent(bool yes = true) && { return std::move(idempotent(yes)); }
  request&& max_body(std::uint64_t bytes) && { return std::move(max_body(bytes)); }
  request&& max_redirects(int n) && { return std::move(max_redirects(n)); }
  request&& attempt_header(std::string name) && { return std::move(attempt_header(std::move(name))); }

  const http::method& method() const noexcept { return method_; }
  const std::string& target() const noexcept { return target_; }
  const http::headers& headers() const noexcept { return headers_; }
  http::headers& headers() noexcept { return headers_; }
  const http::body& body() const noexcept { return body_; }
  const status_set& accept() const noexcept { return accept_; }
  std::optional<std::uint64_t> max_body() const noexcept { return max_body_; }
  std::optional<int> max_redirects() const noexcept { return max_redirects_; }

  /// It carries a key, or will.
  bool keyed() const noexcept { return key_kind_ != key_kind::none || headers_.contains(idempotency_key_field); }
  /// The key that is sent, without quotes; empty while none is made.
  const std::string& idempotency_key() const noexcept { return key_; }
  /// Makes the key that `idempotency_key_auto` promised, unless there is one. A client calls it once per operation.
  void settle_idempotency_key() {
    if (key_kind_ == key_kind::automatic && key_.empty()) key_ = fresh_idempotency_key();
  }
  void settle_idempotency_key(random_stream& stream) {
    if (key_kind_ == key_kind::automatic && key_.empty()) key_ = fresh_idempotency_key(stream);
  }
  /// What `judge` needs to know. Ask after the attempt: opening a one-shot body changes the response.
  request_facts facts() const noexcept {
    return {.method = method_, .keyed = keyed(), .idempotent = idempotent_, .replayable = body_.replayable()};
  }
  /// The same request for another target; where the method changes, without body and key.
  request redirected(const http::method& m, std::string target) const {
    request next = *this;
    next.target_ = std::move(target);
    if (m != method_) {
      next.method_ = m;
      next.body_ = {};
      next.key_.clear();
      next.key_kind_ = key_kind::none;
    }
    return next;
  }
  /// The header fields that attempt `number` sends: those added, the key, the number. No framing, no Host.
  http::headers fields(int number = 1) const;

  friend std::optional<invalid> validate(const request& r);

 private:
  enum class key_kind : std::uint8_t { none, automatic, given };

  http::method method_;
  std::string target_;
  http::headers headers_;
  http::body body_;
  status_set accept_;
  std::string key_;
  std::string attempt_header_;
  std::optional<std::uint64_t> max_body_;
  std::optional<int> max_redirects_;
  std::optional<bool> idempotent_;
  key_kind key_kind_ = key_kind::none;
};

/// Why this request cannot be sent, or nothing. Refused: a method that is no token, CONNECT (it belongs to proxies), a body
/// with TRACE (RFC 9110 9.3.8), a target that is no origin-form, header names that are no tokens, values with control
/// characters, fields that frame the message or belong to the connection (Content-Length, Transfer-Encoding, Host,
/// Connection, …), an Idempotency-Key that cannot be one, or two of them.
std::optional<invalid> validate(const request& r);

/// A response.
struct response {
  response() = default;
  explicit response(int s, http::headers h = {}, std::string b = {})
      : status{s}, headers{std::move(h)}, body{std::move(b)} {}

  int status = 0;
  http::headers headers;
  std::string body;
  std::string version = "1.1";  ///< of HTTP, as in "1.1"
  http::url url;                ///< where it came from, after redirects
  int redirects = 0;            ///< how many were followed to get there; each was a request of its own

  /// The first header of that name.
  std::optional<std::string_view> header(std::string_view name) const noexcept { return headers.find(name); }
};

/// The number a response has in logs and traces.
inline int again_code(const response& r) noexcept { return r.status; }

// ── definitions ──

inline http::headers request::fields(int number) const {
  http::headers out = headers_;
  if (!key_.empty()) out.add(std::string{idempotency_key_field}, idempotency_key_value(key_));
  if (!attempt_header_.empty()) out.set(attempt_header_, std::to_string(number));
  return out;
}

inline std::optional<invalid> validate(const request& r) {
  constexpr std::string_view ours[] = {"Connection", "Content-Length",   "Expect", "Host",
                                       "Keep-Alive", "Proxy-Connection", "TE",     "Trailer",
                                       "Upgrade",    "Transfer-Encoding"};
  const auto refuse_ours = [&](const std::string& name) -> std::optional<invalid> {
    for (const std::string_view one : ours)
      if (detail::equal_ignoring_case(name, one)) return invalid{"header '" + name + "' is set by the transport alone"};
    return std::nullopt;
  };
  if (!r.method_.valid()) {
    return invalid{"the method is not a token of 1 to " + std::to_string(http::method::capacity) + " characters"};
  }
  if (r.method_ == http::method::connect) return invalid{"CONNECT is for proxies; name a proxy instead"};
  if (r.method_ == http::method::trace && !r.body_.absent()) return invalid{"TRACE carries no body"};
  if (auto bad = validate_target(r.target_)) return bad;
  for (const auto& [name, value] : r.headers_) {
    if (auto bad = validate_field(name, value)) return bad;
    if (auto bad = refuse_ours(name)) return bad;
  }
  if (auto bad = refuse_ours(r.attempt_header_)) return bad;
  if (detail::equal_ignoring_case(r.attempt_header_, idempotency_key_field))
    return invalid{"the attempt header would replace the Idempotency-Key, which is the same for all attempts"};
  if (!r.attempt_header_.empty() && !detail::is_token(r.attempt_header_)) {
    return invalid{"the attempt header's name is not a token"};
  }
  if (r.headers_.count(idempotency_key_field) + (r.key_kind_ != request::key_kind::none ? 1U : 0U) > 1)
    return invalid{"more than one Idempotency-Key"};
  if (r.key_kind_ == request::key_kind::given) return validate_idempotency_key(r.key_);
  return std::nullopt;
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
