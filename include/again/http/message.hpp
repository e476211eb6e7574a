// SPDX-License-Identifier: MIT
/// \file
/// `request` and `response`: the two HTTP messages.
///
/// ```cpp
/// auto order = http::request::post("/orders").header("Accept", "text/plain").body(json).idempotency_key_auto().accept(409);
/// ```
#pragma once

#include <again/core/clock.hpp>
#include <again/http/attempt_hook.hpp>
#include <again/http/body.hpp>
#include <again/http/headers.hpp>
#include <again/http/idempotency.hpp>
#include <again/http/method.hpp>
#include <again/http/status.hpp>
#include <again/http/url.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// How much of a response's body is read where its status alone counts (`request::status_decides`).
struct drain_limits {
  std::uint64_t keep = std::uint64_t{16} << 10U;  ///< bytes of it in the response. 16 KiB: the reason of a refusal
  /// Bytes that are read at most, so that the connection can be used again. 64 KiB: more costs more than a new connection.
  std::uint64_t read = std::uint64_t{64} << 10U;
  duration time = std::chrono::seconds{1};  ///< for the reading, from the end of the head on

  friend bool operator==(const drain_limits&, const drain_limits&) = default;
};

/// A request, and what decides whether it may be sent again. Building it refuses nothing: `validate` checks the whole request, and
/// a client calls it before it sends. Lifetime: it owns its texts; a copy shares the body.
// A class with constructors, so that it may be written inside a `co_await` expression with g++ 12.
class request {
 public:
  /// `target` is an origin-form (RFC 9112 3.2.1): path and query, as they follow the host in a URL.
  explicit request(http::method m, std::string target = "/") : method_{m}, target_{std::move(target)} {}

  static request get(std::string target) { return request{http::method::get, std::move(target)}; }
  static request head(std::string target) { return request{http::method::head, std::move(target)}; }
  static request post(std::string target) { return request{http::method::post, std::move(target)}; }
  static request put(std::string target) { return request{http::method::put, std::move(target)}; }
  static request patch(std::string target) { return request{http::method::patch, std::move(target)}; }
  static request delete_(std::string target) { return request{http::method::delete_, std::move(target)}; }
  static request options(std::string target) { return request{http::method::options, std::move(target)}; }

  /// Adds a header field, also if there is one of that name.
  request& header(std::string name, std::string_view value) & { return headers_.add(std::move(name), value), *this; }
  /// Sets the content. A `const char*` or string is its bytes; see `body` for files, factories and one-shot bodies.
  request& body(http::body b) & { return body_ = std::move(b), *this; }
  /// Adds statuses that are a value and not an error, besides 2xx and 3xx: `.accept(404)`, `.accept({404, 410})`.
  request& accept(const status_set& statuses) & { return accept_ = accept_ | statuses, *this; }
  /// Sends an Idempotency-Key: the given one (without quotes), or one that is made before the first attempt. A request with a key
  /// may be sent again with every method, because the server promises to act on a key once.
  request& idempotency_key(std::string key) & { return key_ = std::move(key), key_kind_ = key_kind::given, *this; }
  request& idempotency_key_auto() & { return key_.clear(), key_kind_ = key_kind::automatic, *this; }
  /// Says whether another send is harmless; it outranks the method and the key.
  request& idempotent(bool yes = true) & { return idempotent_ = yes, *this; }
  /// The largest response body in bytes; a larger one is the error `too_large`. Default: the client's.
  request& max_body(std::uint64_t bytes) & { return max_body_ = bytes, *this; }
  /// A response is complete with its head, whatever happens to its body: too large, endless, slow, or cut short. So a request that the
  /// server has accepted is not sent again. Of the body `d` is read; where it had no end by then, the response's `body_cut` says so.
  request& status_decides(const drain_limits& d = {}) & { return drain_ = d, *this; }
  /// How many redirects are followed at most; 0: a redirect is the response. Default: the client's.
  request& max_redirects(int n) & { return max_redirects_ = n, *this; }
  /// Sends the attempt's number, from 1, as a header field of that name.
  request& attempt_header(std::string name) & { return attempt_header_ = std::move(name), *this; }
  /// Calls `hook` before each attempt: it prepares the header fields of that attempt alone (see attempt_hook.hpp). A further one is
  /// called after those that were added before.
  request& each_attempt(attempt_hook hook) & { return each_attempt_ = each_attempt_.then(std::move(hook)), *this; }

  request&& header(std::string name, std::string_view value) && { return std::move(header(std::move(name), value)); }
  request&& body(http::body b) && { return std::move(body(std::move(b))); }
  request&& accept(const status_set& statuses) && { return std::move(accept(statuses)); }
  request&& idempotency_key(std::string key) && { return std::move(idempotency_key(std::move(key))); }
  request&& idempotency_key_auto() && { return std::move(idempotency_key_auto()); }
  request&& idempotent(bool yes = true) && { return std::move(idempotent(yes)); }
  request&& max_body(std::uint64_t bytes) && { return std::move(max_body(bytes)); }
  request&& status_decides(const drain_limits& d = {}) && { return std::move(status_decides(d)); }
  request&& max_redirects(int n) && { return std::move(max_redirects(n)); }
  request&& attempt_header(std::string name) && { return std::move(attempt_header(std::move(name))); }
  request&& each_attempt(attempt_hook hook) && { return std::move(each_attempt(std::move(hook))); }

  const http::method& method() const noexcept { return method_; }
  const std::string& target() const noexcept { return target_; }
  const http::headers& headers() const noexcept { return headers_; }
  http::headers& headers() noexcept { return headers_; }
  const http::body& body() const noexcept { return body_; }
  const status_set& accept() const noexcept { return accept_; }
  std::optional<std::uint64_t> max_body() const noexcept { return max_body_; }
  const std::optional<drain_limits>& drain() const noexcept { return drain_; }
  std::optional<int> max_redirects() const noexcept { return max_redirects_; }
  const attempt_hook& each_attempt() const noexcept { return each_attempt_; }

  /// Whether it carries an Idempotency-Key, also one that is still to be made.
  bool keyed() const noexcept { return key_kind_ != key_kind::none || headers_.contains(idempotency_key_field); }
  /// The key that is sent, without quotes; empty before it is made.
  const std::string& idempotency_key() const noexcept { return key_; }
  /// Makes the key that `idempotency_key_auto` asked for, unless there is one. A client calls it once per operation.
  void settle_idempotency_key() {
    if (key_kind_ == key_kind::automatic && key_.empty()) key_ = fresh_idempotency_key();
  }
  void settle_idempotency_key(random_stream& stream) {
    if (key_kind_ == key_kind::automatic && key_.empty()) key_ = fresh_idempotency_key(stream);
  }
  /// What `judge` needs to know. Call it after the attempt: `replayable` changes when a one-shot body is opened.
  request_facts facts() const noexcept {
    return {.method = method_, .keyed = keyed(), .idempotent = idempotent_, .replayable = body_.replayable()};
  }
  /// The same request for another target. Where the method changes, body and key are dropped.
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
  /// The request of attempt `number`, after the hook of `each_attempt`, and without it. Error: why this attempt cannot be sent.
  expected<request, invalid> for_attempt(int number, wall_time now) const;
  /// The header fields that attempt `number` sends: those added, the key and the attempt's number, but no framing and no Host.
  http::headers fields(int number = 1) const;
  /// The same, one after another and without a copy: `f(name, value)`.
  template <class F> void each_field(int number, F f) const;

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
  attempt_hook each_attempt_;
  std::optional<std::uint64_t> max_body_;
  std::optional<drain_limits> drain_;
  std::optional<int> max_redirects_;
  std::optional<bool> idempotent_;
  key_kind key_kind_ = key_kind::none;
};

/// Why this request cannot be sent, or `nullopt`. Refused are a method that is no token, CONNECT (it is for proxies), a body with
/// TRACE (RFC 9110 9.3.8), a target that is no origin-form, a header name that is no token, a value with control characters, a
/// field that frames the message or belongs to the connection (Content-Length, Transfer-Encoding, Host, Connection, …), an
/// Idempotency-Key that is not valid, and two of them.
std::optional<invalid> validate(const request& r);

/// A response. Its body is complete unless `body_cut`, or it is the partial response of an `error`.
struct response {
  response() = default;
  explicit response(int s, http::headers h = {}, std::string b = {})
      : status{s}, headers{std::move(h)}, body{std::move(b)} {}

  int status = 0;
  http::headers headers;
  std::string body;
  std::string version = "1.1";  ///< of HTTP, such as "1.1"
  http::url url;                ///< where it came from, after redirects
  int redirects = 0;            ///< how many redirects were followed; each was one more request
  bool body_cut = false;        ///< the request said that the status decides, and the body is not all here

  /// The value of the first header field of that name. Lifetime: until the headers change.
  std::optional<std::string_view> header(std::string_view name) const noexcept { return headers.find(name); }
};

/// The number of a response in logs and traces: its status.
inline int again_code(const response& r) noexcept { return r.status; }

// ── definitions ──

template <class F> void request::each_field(int number, F f) const {
  for (const auto& [name, value] : headers_) {
    const bool replaced = !attempt_header_.empty() && detail::equal_ignoring_case(name, attempt_header_);
    if (!replaced) f(std::string_view{name}, std::string_view{value});
  }
  if (!key_.empty()) f(idempotency_key_field, std::string_view{idempotency_key_value(key_)});
  if (!attempt_header_.empty()) f(std::string_view{attempt_header_}, std::string_view{std::to_string(number)});
}
inline http::headers request::fields(int number) const {
  http::headers out;
  out.reserve(headers_.size() + 2);
  each_field(number, [&out](std::string_view name, std::string_view value) { out.append(name, value); });
  return out;
}

inline expected<request, invalid> request::for_attempt(int number, wall_time now) const {
  using refused = unexpected<invalid>;
  request made = *this;
  made.each_attempt_ = {};
  if (!each_attempt_) return made;
  if (auto bad = each_attempt_(attempt_info{number, now, *this}, made.headers_)) return refused{*std::move(bad)};
  if (made.headers_.all(idempotency_key_field) != headers_.all(idempotency_key_field))
    return refused{invalid{"each_attempt changed the Idempotency-Key, which is the same for all attempts"}};
  if (auto bad = validate(made)) return refused{*std::move(bad)};
  return made;
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
