// SPDX-License-Identifier: MIT
/// \file
/// What a response asks of the next attempt: Retry-After in seconds or as a date (RFC 9110 10.2.3), the rate limit fields, and
/// X-Should-Retry. A value that cannot be read counts as absent, never as 0.
#pragma once

#include <again/core/clock.hpp>
#include <again/http/date.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/headers.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// The wait that one Retry-After value asks for (RFC 9110 10.2.3): seconds in digits, or an HTTP date, which is compared with `now`
/// and is 0 in the past. A wait above 292 years is `forever`. `nullopt` for signs, fractions, units, lists and other text.
constexpr std::optional<duration> parse_retry_after(std::string_view value, wall_time now) noexcept;

/// The wait that the header fields of a response ask for. A date is compared with the response's own Date where that is valid, so
/// that a wrong clock on either side has no effect. A cache sends the Date of a stored response as it was and counts in Age how long
/// ago that is (RFC 9111 5.1), so the server's time is Date plus Age. Of repeated fields the first counts.
/// `rate_limit`: where there is no Retry-After field, read the rate limit fields, in this order:
/// RateLimit (draft-ietf-httpapi-ratelimit-headers, `"name";r=0;t=30` and the older `remaining=0, reset=30`),
/// RateLimit-Reset, X-RateLimit-Reset-After, X-RateLimit-Retry-After, X-RateLimit-Reset, X-Rate-Limit-Reset. From 10^9 on
/// a number is seconds since 1970, from 10^12 on milliseconds. Where quota remains they ask for no wait.
inline std::optional<duration> retry_after(const headers& fields, wall_time now, bool rate_limit = false) noexcept;

/// Whether X-Should-Retry or Stripe-Should-Retry asks for another attempt: "true" or "false", in any case; else `nullopt`.
inline std::optional<bool> should_retry(const headers& fields) noexcept {
  for (const std::string_view name : {"X-Should-Retry", "Stripe-Should-Retry"}) {
    if (detail::equal_ignoring_case(fields.get(name), "true")) return true;
    if (detail::equal_ignoring_case(fields.get(name), "false")) return false;
  }
  return std::nullopt;
}

// ── definitions ──

namespace detail {

/// `seconds` as a `duration`, at most `forever`, never negative.
constexpr duration wait_of(std::chrono::seconds seconds) noexcept {
  constexpr long long most = forever.count() / 1'000'000'000;
  return seconds.count() <= 0 ? duration::zero() : seconds.count() > most ? forever : duration{seconds};
}

/// From `now` to `when`, exact to the nanosecond where the result fits; 0 in the past.
constexpr duration wait_until(date when, wall_time now) noexcept {
  const auto whole = std::chrono::floor<std::chrono::seconds>(now);
  const duration wait = wait_of(when - whole), past = now - whole;
  return wait == forever ? forever : std::max(duration::zero(), wait - past);
}

/// "12" or "12.5" seconds, at most `forever`.
constexpr std::optional<duration> decimal_seconds(std::string_view text) noexcept {
  constexpr long long most = forever.count();
  std::string_view fraction = text;
  const auto whole = digits(take_until(fraction, '.'), most);
  if (!whole) return std::nullopt;
  duration out = wait_of(std::chrono::seconds{*whole});
  if (text.find('.') != std::string_view::npos) {
    if (!digits(fraction, most)) return std::nullopt;
    duration unit = std::chrono::milliseconds{100};
    for (std::size_t i = 0; i < fraction.size() && unit.count() > 0; ++i, unit /= 10)
      out = saturating_add(out, unit * (fraction[i] - '0'));
  }
  return out;
}

/// The wait of a number in an X-RateLimit field, which is a span or a time since 1970.
constexpr std::optional<duration> reset_wait(std::string_view text, wall_time server_now) noexcept {
  const auto n = decimal_seconds(trim(text));
  if (!n || *n < std::chrono::seconds{1'000'000'000}) return n;
  const duration moment = *n < forever ? *n : duration::zero();
  if (moment == duration::zero()) {  // too large for nanoseconds: milliseconds, or nothing
    const auto ms = digits(trim(text), forever.count());
    if (ms && *ms < 1'000'000'000'000) return forever;  // seconds since 1970, some centuries ahead
    if (!ms || *ms > forever.count() / 1'000'000) return std::nullopt;
    return std::max(duration::zero(), duration{std::chrono::milliseconds{*ms}} - server_now.time_since_epoch());
  }
  return std::max(duration::zero(), moment - server_now.time_since_epoch());
}

/// As `take_until`, but a separator inside a quoted string does not count.
constexpr std::string_view take_unquoted(std::string_view& text, char separator) noexcept {
  bool quoted = false;
  std::size_t i = 0;
  for (; i < text.size() && (quoted || text[i] != separator); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '\\' && quoted) ++i;
  }
  const std::string_view head = text.substr(0, i);
  text.remove_prefix(std::min(text.size(), i + 1));
  return head;
}

/// The wait of a RateLimit field: the longest one among the quotas that are used up.
constexpr std::optional<duration> rate_limit_wait(std::string_view list) noexcept {
  std::optional<duration> longest;
  std::optional<long long> remaining, reset;  // of the older form
  while (!list.empty()) {
    std::string_view item = take_unquoted(list, ',');
    if (const auto old = trim(item); old.starts_with("remaining="))
      remaining = digits(old.substr(10), 1LL << 40);
    else if (old.starts_with("reset="))
      reset = digits(old.substr(6), 1LL << 40);
    take_unquoted(item, ';');  // the quota's name
    std::optional<long long> r, t;
    while (!item.empty()) {
      const std::string_view parameter = trim(take_unquoted(item, ';'));
      if (parameter.starts_with("r=")) r = digits(parameter.substr(2), 1LL << 40);
      if (parameter.starts_with("t=")) t = digits(parameter.substr(2), 1LL << 40);
    }
    if (r == 0 && t) longest = std::max(longest.value_or(duration::zero()), wait_of(std::chrono::seconds{*t}));
  }
  if (!longest && reset && remaining.value_or(0) == 0) longest = wait_of(std::chrono::seconds{*reset});
  return longest;
}

/// The server's time when it sent the response: its Date plus its Age, or `now` where they are absent, unreadable or too far away.
inline wall_time server_time(const headers& fields, wall_time now) noexcept {
  const auto sent = parse_http_date(fields.get("Date"), now);
  if (!sent) return now;
  constexpr long long most = forever.count() / 1'000'000'000;
  std::string_view age = fields.get("Age");  // a list by mistake counts as its first member (RFC 9111 5.1)
  const long long since = sent->time_since_epoch().count() + digits(trim(take_until(age, ',')), most).value_or(0);
  return since < most && since > -most ? wall_time{duration{std::chrono::seconds{since}}} : now;
}

inline std::optional<duration> rate_limit_fields(const headers& fields, wall_time server_now) noexcept {
  if (const auto list = fields.find("RateLimit")) return rate_limit_wait(*list);
  for (const std::string_view left : {"RateLimit-Remaining", "X-RateLimit-Remaining", "X-Rate-Limit-Remaining"})
    if (digits(fields.get(left), 1).value_or(0) > 0) return std::nullopt;
  for (const std::string_view reset : {"RateLimit-Reset", "X-RateLimit-Reset-After", "X-RateLimit-Retry-After",
                                       "X-RateLimit-Reset", "X-Rate-Limit-Reset"})
    if (const auto value = fields.find(reset)) return reset_wait(*value, server_now);
  return std::nullopt;
}

}  // namespace detail

constexpr std::optional<duration> parse_retry_after(std::string_view value, wall_time now) noexcept {
  value = detail::trim(value);
  if (const auto seconds = detail::digits(value, forever.count()))
    return detail::wait_of(std::chrono::seconds{*seconds});
  const auto when = parse_http_date(value, now);
  if (!when) return std::nullopt;
  return detail::wait_until(*when, now);
}

inline std::optional<duration> retry_after(const headers& fields, wall_time now, bool rate_limit) noexcept {
  now = detail::server_time(fields, now);
  if (const auto value = fields.find("Retry-After")) return parse_retry_after(*value, now);
  return rate_limit ? detail::rate_limit_fields(fields, now) : std::nullopt;
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
