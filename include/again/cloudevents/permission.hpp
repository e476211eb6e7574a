// SPDX-License-Identifier: MIT
/// \file
/// The permission of a receiver of webhooks, as "HTTP 1.1 Web Hooks for Event Delivery" has it (CloudEvents, chapter 4): before the first
/// event an OPTIONS request asks whether events are wanted, and how many a minute. It keeps a sender from being used against a site that
/// expects no events.
///
/// ```cpp
/// const again::cloudevents::permission_question question{"events.example.com", 120};
/// auto permission = co_await again::cloudevents::ask_permission(api, "/hook", question);    // expected<permission, http::error>
/// if (permission && permission->granted) begin(permission->per_minute);
/// ```
///
/// - A response without consent is a value with `granted == false`: the status alone is never consent. With a callback the receiver may
///   consent later: your server then gets a GET or POST of that URL, whose WebHook-Allowed-Rate `parse_allowed_rate` reads.
/// - Errors: those of the send; a question that cannot be asked is `invalid_request`.
/// - Once it is granted, each delivery carries the fields of `delivery_fields`.
/// - Lifetime: the client outlives the task.
#pragma once

#include <again/coro/task.hpp>
#include <again/http/client.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/error.hpp>
#include <again/http/headers.hpp>
#include <again/http/invalid.hpp>
#include <again/http/message.hpp>
#include <again/http/transport.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace cloudevents {

inline constexpr std::string_view request_origin_field = "WebHook-Request-Origin";
inline constexpr std::string_view request_callback_field = "WebHook-Request-Callback";
inline constexpr std::string_view request_rate_field = "WebHook-Request-Rate";
inline constexpr std::string_view allowed_origin_field = "WebHook-Allowed-Origin";
inline constexpr std::string_view allowed_rate_field = "WebHook-Allowed-Rate";

/// What is asked for. A class with constructors, so that it may be written inside a `co_await` expression with g++ 12.
class permission_question {
 public:
  /// `sender`: a DNS name for the whole sending system, such as "events.example.com".
  explicit permission_question(std::string sender, std::optional<std::int64_t> requests_per_minute = {},
                               std::string callback_url = {})
      : origin{std::move(sender)}, per_minute{requests_per_minute}, callback{std::move(callback_url)} {}

  std::string origin;
  std::optional<std::int64_t> per_minute;
  std::string callback;  ///< a URL of yours that is hard to guess, where the receiver may consent later; empty: none
};

/// What the receiver said. A class with constructors, as above.
class permission {
 public:
  permission(bool yes, std::optional<std::int64_t> most) : granted{yes}, per_minute{most} {}

  bool granted;
  std::optional<std::int64_t> per_minute;  ///< requests a minute; nothing: no bound
  friend bool operator==(const permission&, const permission&) = default;
};

/// Why this cannot be asked, or `nullopt`.
inline std::optional<http::invalid> validate(const permission_question& q) {
  if (q.origin.empty()) return http::invalid{"the origin of webhooks is a DNS name, such as events.example.com"};
  for (std::size_t i = 0; i < q.origin.size(); ++i) {
    const char c = q.origin[i];
    if (!http::detail::is_alpha(c) && !http::detail::is_digit(c) && c != '.' && c != '-' && c != '_')
      return http::invalid{"the origin of webhooks is a DNS name, which has no " + http::detail::shown(c), i};
  }
  if (q.per_minute && *q.per_minute < 1) return http::invalid{"a rate is at least 1 request a minute"};
  return std::nullopt;
}

/// The OPTIONS request that asks.
inline http::request permission_request(const permission_question& q, std::string target) {
  http::request r = http::request::options(std::move(target));
  r.header(std::string{request_origin_field}, q.origin);
  if (!q.callback.empty()) r.header(std::string{request_callback_field}, q.callback);
  if (q.per_minute) r.header(std::string{request_rate_field}, std::to_string(*q.per_minute));
  return r;
}

/// "120" or "*", which is no bound (`most` holds nothing). Else `nullopt`.
struct allowed_rate {
  std::optional<std::int64_t> most;
};
inline std::optional<allowed_rate> parse_allowed_rate(std::string_view text) noexcept {
  constexpr long long largest = 1'000'000'000'000;
  text = http::detail::trim(text);
  if (text == "*") return allowed_rate{};
  const auto n = http::detail::digits(text, largest);
  return n && *n > 0 ? std::optional{allowed_rate{*n}} : std::nullopt;
}

/// What a response to the question means. Consent is WebHook-Allowed-Origin with the origin that was asked about, in any case, or "*".
/// A rate that is missing or cannot be read is the one that was asked for.
inline permission read_permission(const permission_question& q, const http::response& r) {
  const auto origin = r.headers.find(allowed_origin_field);
  const bool one = r.headers.count(allowed_origin_field) == 1;
  if (!one || (*origin != "*" && !http::detail::equal_ignoring_case(*origin, q.origin))) return {false, std::nullopt};
  const auto rate = parse_allowed_rate(r.headers.get(allowed_rate_field));
  return {true, rate ? rate->most : q.per_minute};
}

/// Asks the receiver at `target`. To try again: `retry(policy, [&] { return ask_permission(api, target, question); })`.
template <http::transport T>
task<expected<permission, http::error>> ask_permission(const http::client_over<T>& client, std::string target,
                                                       permission_question question) {
  using failed = unexpected<http::error>;
  if (const auto bad = validate(question)) {
    co_return failed{http::error{client.settings().rules, http::request_facts{}, http::error_kind::invalid_request,
                                 reach::not_sent, bad->text()}};
  }
  auto sent = co_await client.send(permission_request(question, std::move(target)));
  if (!sent) co_return failed{std::move(sent.error())};
  co_return read_permission(question, *sent);
}

/// What each delivery carries after the handshake.
inline http::headers delivery_fields(const permission_question& q) {
  return {{std::string{request_origin_field}, q.origin}};
}

}  // namespace cloudevents
}  // namespace AGAIN_ABI
}  // namespace again
