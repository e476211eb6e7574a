// SPDX-License-Identifier: MIT
/// \file
/// HTTP dates (RFC 9110 5.6.7): `parse_http_date` reads all three forms, `format_http_date` writes them.
#pragma once

#include <again/core/clock.hpp>
#include <again/http/detail/chars.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// Seconds of UTC. They hold the years 0 to 9999, which the nanoseconds of `wall_time` do not.
using date = std::chrono::sys_seconds;

enum class date_form {
  imf,      ///< "Sun, 06 Nov 1994 08:49:37 GMT"; the only form to send
  rfc850,   ///< "Sunday, 06-Nov-94 08:49:37 GMT"
  asctime,  ///< "Sun Nov  6 08:49:37 1994"
};

/// Reads an HTTP date. `nullopt` if the text is not exactly one of the three forms, or if there is no such day or time. The name
/// of the day is not compared with the date. A two-digit year is the latest one that is at most 50 years after `now`. The rfc850
/// form with a four-digit year, as nginx writes it, is read as well.
constexpr std::optional<date> parse_http_date(std::string_view text, wall_time now) noexcept;

/// Writes an HTTP date, for years 0 to 9999.
std::string format_http_date(date when, date_form form = date_form::imf);

// ── definitions ──

namespace detail {

inline constexpr std::array<std::string_view, 7> days{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                      "Thursday", "Friday", "Saturday"};
inline constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/// Reads a text from its front; `ok` is false once a part was not there.
struct date_scanner {
  std::string_view rest;
  bool ok = true;

  constexpr void literal(std::string_view text) noexcept {
    ok = ok && rest.starts_with(text);
    if (ok) rest.remove_prefix(text.size());
  }
  /// Exactly `width` digits; with `padded` the first one may be a space.
  constexpr int number(std::size_t width, bool padded = false) noexcept {
    if (rest.size() < width) ok = false;
    if (!ok) return 0;
    std::string_view part = rest.substr(0, width);
    if (padded && part.front() == ' ') part.remove_prefix(1);
    const auto n = digits(part, 99999);
    ok = n.has_value();
    rest.remove_prefix(width);
    return ok ? static_cast<int>(*n) : 0;
  }
  constexpr unsigned month() noexcept {
    for (unsigned m = 0; m < months.size(); ++m)
      if (rest.starts_with(months[m])) return rest.remove_prefix(3), m + 1;
    ok = false;
    return 0;
  }
  constexpr std::chrono::seconds time() noexcept {
    const int h = number(2);
    literal(":");
    const int m = number(2);
    literal(":");
    const int s = number(2);
    ok = ok && h < 24 && m < 60 && s <= 60;  // 60: a leap second
    return std::chrono::hours{h} + std::chrono::minutes{m} + std::chrono::seconds{s};
  }
};

constexpr std::chrono::year_month_day civil(int y, unsigned m, int d) noexcept {
  return {std::chrono::year{y}, std::chrono::month{m}, std::chrono::day{static_cast<unsigned>(d)}};
}

/// The latest year ending in `two` digits for which the date is at most 50 years after `now`.
constexpr int full_year(int two, unsigned m, int d, std::chrono::seconds time, wall_time now) noexcept {
  const auto today = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day ymd{today};
  const auto latest =
      std::chrono::sys_days{(ymd.year() + std::chrono::years{50}) / ymd.month() / ymd.day()} + (now - today);
  int year = static_cast<int>(ymd.year()) / 100 * 100 + 100 + two;
  while (std::chrono::sys_days{civil(year, m, d)} + time > std::chrono::floor<std::chrono::seconds>(latest))
    year -= 100;
  return year;
}

}  // namespace detail

constexpr std::optional<date> parse_http_date(std::string_view text, wall_time now) noexcept {
  detail::date_scanner in{text};
  std::size_t day_name = 0;
  bool full = false;
  for (; day_name < detail::days.size(); ++day_name) {
    full = text.starts_with(detail::days[day_name]);
    if (full || text.starts_with(detail::days[day_name].substr(0, 3))) break;
  }
  if (day_name == detail::days.size()) return std::nullopt;
  in.literal(full ? detail::days[day_name] : detail::days[day_name].substr(0, 3));

  int year = 0, day = 0;
  unsigned month = 0;
  std::chrono::seconds time{};
  if (full) {
    in.literal(", ");
    day = in.number(2);
    in.literal("-");
    month = in.month();
    in.literal("-");
    const bool four = in.rest.size() > 2 && detail::is_digit(in.rest[2]);
    year = in.number(four ? 4 : 2);
    in.literal(" ");
    time = in.time();
    in.literal(" GMT");
    if (in.ok && !four) year = detail::full_year(year, month, day, time, now);
  } else if (in.rest.starts_with(',')) {
    in.literal(", ");
    day = in.number(2);
    in.literal(" ");
    month = in.month();
    in.literal(" ");
    year = in.number(4);
    in.literal(" ");
    time = in.time();
    in.literal(" GMT");
  } else {
    in.literal(" ");
    month = in.month();
    in.literal(" ");
    day = in.number(2, true);
    in.literal(" ");
    time = in.time();
    in.literal(" ");
    year = in.number(4);
  }
  const auto ymd = detail::civil(year, month, day);
  if (!in.ok || !in.rest.empty() || !ymd.ok()) return std::nullopt;
  return std::chrono::sys_days{ymd} + time;
}

inline std::string format_http_date(date when, date_form form) {
  const auto midnight = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day ymd{midnight};
  const auto seconds = (when - midnight).count();
  const auto padded = [](long long n, std::size_t width) {
    const std::string digits = std::to_string(n);
    return std::string(digits.size() < width ? width - digits.size() : 0, '0') + digits;
  };
  const std::string_view name = detail::days[std::chrono::weekday{midnight}.c_encoding()];
  const std::string month{detail::months[static_cast<unsigned>(ymd.month()) - 1]};
  const std::string day = padded(static_cast<unsigned>(ymd.day()), 2);
  const std::string year = padded(static_cast<int>(ymd.year()), 4);
  const std::string time =
      padded(seconds / 3600, 2) + ":" + padded(seconds / 60 % 60, 2) + ":" + padded(seconds % 60, 2);
  switch (form) {
    case date_form::imf: break;
    case date_form::rfc850:
      return std::string{name} + ", " + day + "-" + month + "-" + year.substr(2) + " " + time + " GMT";
    case date_form::asctime:
      return std::string{name.substr(0, 3)} + " " + month + " " + (day[0] == '0' ? " " + day.substr(1) : day) + " " +
             time + " " + year;
  }
  return std::string{name.substr(0, 3)} + ", " + day + " " + month + " " + year + " " + time + " GMT";
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
