// SPDX-License-Identifier: MIT
/// \file
/// Character classes of RFC 9110 and RFC 3986, ASCII case, and the small parsers made of them. The locale has no effect.
#pragma once

#include <again/core/expected.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
constexpr int hex_value(char c) noexcept {
  return is_digit(c) ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

inline constexpr std::string_view upper_hex = "0123456789ABCDEF";

/// A control character: 0x00 to 0x1F and DEL.
constexpr bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
constexpr bool is_ascii(char c) noexcept { return static_cast<unsigned char>(c) < 0x80; }

/// tchar of RFC 9110 5.6.2.
constexpr bool is_token(char c) noexcept {
  return is_digit(c) || is_alpha(c) || std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
}
constexpr bool is_token(std::string_view text) noexcept {
  for (const char c : text)
    if (!is_token(c)) return false;
  return !text.empty();
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

/// The text without spaces and tabs at its ends (OWS of RFC 9110 5.6.3).
constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Removes the text before the first `separator` from `text`, with the separator, and returns it; the whole text if there is none.
constexpr std::string_view take_until(std::string_view& text, char separator) noexcept {
  const auto at = text.find(separator);
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return head;
}

/// The number of a text of decimal digits alone, else `nullopt`. A number above `most` is `most`.
constexpr std::optional<long long> digits(std::string_view text, long long most) noexcept {
  long long n = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    n = n > (most - (c - '0')) / 10 ? most : n * 10 + (c - '0');
  }
  if (text.empty()) return std::nullopt;
  return n;
}

/// Appends an item to a list for people, with ", " before it unless it is the first.
inline void append_item(std::string& list, std::string_view item) {
  list.append(list.empty() ? "" : ", ").append(item);
}

/// A character for an error text: 'x', or its name or number where it is not printable. No control byte reaches a log.
inline std::string shown(char c) {
  if (c == '\r') return "CR";
  if (c == '\n') return "LF";
  if (c == '\0') return "NUL";
  if (c == '\t') return "a tab";
  if (c == ' ') return "a space";
  if (!is_control(c) && is_ascii(c)) return {'\'', c, '\''};
  const auto byte = static_cast<unsigned char>(c);
  return std::string{"byte 0x"} + upper_hex[byte >> 4U] + upper_hex[byte & 15U];
}

/// The text with each character for which `encoded` is true as its percent code (RFC 3986 2.1).
template <class Predicate> std::string percent_encode(std::string_view text, Predicate encoded) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (encoded(c))
      out.append({'%', upper_hex[byte >> 4U], upper_hex[byte & 15U]});
    else
      out += c;
  }
  return out;
}

/// The text with every control character but a tab as its percent code. cpp-httplib decodes "%0D%0A" in a Location; this undoes it.
inline std::string without_controls(std::string_view text) {
  return percent_encode(text, [](char c) { return is_control(c) && c != '\t'; });
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
