// SPDX-License-Identifier: MIT
/// \file
/// The rules of CloudEvents 1.0 for names and values of attributes, as pure functions.
#pragma once

#include <again/core/detail/json_writer.hpp>
#include <again/http/detail/chars.hpp>

#include <cstddef>
#include <optional>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace cloudevents {
namespace detail {

using http::detail::is_alpha;
using http::detail::is_digit;

/// Lower-case letters and digits, and not `data`.
constexpr bool is_attribute_name(std::string_view name) noexcept {
  for (const char c : name)
    if (!is_digit(c) && !(c >= 'a' && c <= 'z')) return false;
  return !name.empty() && name != "data";
}

/// The code point of a well-formed sequence of UTF-8.
constexpr char32_t code_point(std::string_view sequence) noexcept {
  const auto byte = [&sequence](std::size_t i) { return static_cast<unsigned char>(sequence[i]); };
  if (sequence.size() == 1) return byte(0);
  char32_t code = byte(0) & (0x7fU >> sequence.size());
  for (std::size_t i = 1; i < sequence.size(); ++i) code = code << 6U | (byte(i) & 0x3fU);
  return code;
}

/// The position of the first character that a String may not have: no UTF-8, a control character, a noncharacter of Unicode.
inline std::optional<std::size_t> forbidden_character(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = again::detail::utf8_length(text.substr(i));
    if (n == 0) return i;
    const char32_t c = code_point(text.substr(i, n));
    const bool control = c < 0x20 || (c >= 0x7f && c <= 0x9f);
    const bool noncharacter = (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffeU) == 0xfffe;
    if (control || noncharacter) return i;
    i += n;
  }
  return std::nullopt;
}

/// Characters of RFC 3986 alone, with whole percent codes. A reference may be relative; `absolute`: it begins with a scheme.
constexpr bool is_uri(std::string_view text, bool absolute) noexcept {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size() || http::detail::hex_value(text[i + 1]) < 0 || http::detail::hex_value(text[i + 2]) < 0)
        return false;
      i += 2;
    } else if (!is_alpha(c) && !is_digit(c) &&
               std::string_view{"-._~:/?#[]@!$&'()*+,;="}.find(c) == std::string_view::npos) {
      return false;
    }
  }
  if (!absolute) return !text.empty();
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || !is_alpha(text[0])) return false;
  for (const char c : text.substr(0, colon))
    if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') return false;
  return true;
}

/// Reads `count` digits, and what stands behind them if that is `end`.
constexpr std::optional<int> take_number(std::string_view& text, std::size_t count, char end = '\0') noexcept {
  if (text.size() < count + (end == '\0' ? 0U : 1U)) return std::nullopt;
  const auto n = http::detail::digits(text.substr(0, count), 9999);
  if (!n || (end != '\0' && text[count] != end)) return std::nullopt;
  text.remove_prefix(count + (end == '\0' ? 0U : 1U));
  return static_cast<int>(*n);
}

/// A date and time of RFC 3339 5.6, such as "2018-04-05T17:31:00.5+02:00".
constexpr bool is_timestamp(std::string_view text) noexcept {
  const auto year = take_number(text, 4, '-'), month = take_number(text, 2, '-'), day = take_number(text, 2);
  if (!year || !month || !day || text.empty() || (text[0] != 'T' && text[0] != 't')) return false;
  text.remove_prefix(1);
  const auto hour = take_number(text, 2, ':'), minute = take_number(text, 2, ':'), second = take_number(text, 2);
  if (!hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 60) return false;
  const bool leap = (*year % 4 == 0 && *year % 100 != 0) || *year % 400 == 0;
  const int days[] = {31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (*month < 1 || *month > 12 || *day < 1 || *day > days[*month - 1]) return false;
  if (text.starts_with('.')) {
    const std::size_t digits = text.find_first_not_of("0123456789", 1);
    if (digits == std::string_view::npos || digits == 1) return false;
    text.remove_prefix(digits);
  }
  if (text == "Z" || text == "z") return true;
  if (!text.starts_with('+') && !text.starts_with('-')) return false;
  text.remove_prefix(1);
  const auto offset_hour = take_number(text, 2, ':'), offset_minute = take_number(text, 2);
  return offset_hour && offset_minute && *offset_hour <= 23 && *offset_minute <= 59 && text.empty();
}

/// "type/subtype" of a media type, without its parameters.
constexpr std::string_view essence(std::string_view media_type) noexcept {
  return http::detail::trim(media_type.substr(0, media_type.find(';')));
}
constexpr std::string_view subtype(std::string_view media_type) noexcept {
  const std::string_view both = essence(media_type);
  return both.substr(both.find('/') + 1);
}
/// A type and a subtype, and behind them printable ASCII.
constexpr bool is_media_type(std::string_view text) noexcept {
  const std::string_view both = essence(text);
  const std::size_t slash = both.find('/');
  if (slash == std::string_view::npos || !http::detail::is_token(both.substr(0, slash)) ||
      !http::detail::is_token(both.substr(slash + 1)))
    return false;
  for (const char c : text)
    if (!http::detail::is_ascii(c) || http::detail::is_control(c)) return false;
  return text == http::detail::trim(text);
}

constexpr bool ends_with_ignoring_case(std::string_view text, std::string_view end) noexcept {
  return text.size() >= end.size() && http::detail::equal_ignoring_case(text.substr(text.size() - end.size()), end);
}
/// `*/json` or `*/*+json`.
constexpr bool declares_json(std::string_view media_type) noexcept {
  const std::string_view sub = subtype(media_type);
  return http::detail::equal_ignoring_case(sub, "json") || ends_with_ignoring_case(sub, "+json");
}
/// Text in UTF-8: `text/*`, and XML, without another charset.
inline bool declares_text(std::string_view media_type) noexcept {
  const std::string_view both = essence(media_type), sub = subtype(media_type);
  const bool text = http::detail::equal_ignoring_case(both.substr(0, 5), "text/") ||
                    http::detail::equal_ignoring_case(sub, "xml") || ends_with_ignoring_case(sub, "+xml");
  std::string_view parameters = media_type;
  http::detail::take_until(parameters, ';');
  while (!parameters.empty()) {
    std::string_view value = http::detail::take_until(parameters, ';');
    const std::string_view name = http::detail::trim(http::detail::take_until(value, '='));
    if (!http::detail::equal_ignoring_case(name, "charset")) continue;
    value = http::detail::trim(value);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (!http::detail::equal_ignoring_case(value, "utf-8") && !http::detail::equal_ignoring_case(value, "us-ascii"))
      return false;
  }
  return text;
}

}  // namespace detail
}  // namespace cloudevents
}  // namespace AGAIN_ABI
}  // namespace again
