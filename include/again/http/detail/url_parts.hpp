// SPDX-License-Identifier: MIT
/// \file
/// The parts of a URL: addresses, host names, paths. Each has its own check.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

using ipv6_words = std::array<unsigned, 8>;

/// Exactly four decimal numbers up to 255, no leading zeros (RFC 3986 3.2.2, IPv4address).
constexpr bool is_ipv4(std::string_view text) noexcept {
  for (int part_number = 1;; ++part_number) {
    const bool last = text.find('.') == std::string_view::npos;
    const std::string_view part = take_until(text, '.');
    const auto n = digits(part, 999);
    if (!n || *n > 255 || (part.size() > 1 && part.front() == '0')) return false;
    if (last || part_number == 4) return last && part_number == 4;
  }
}

/// IPv6address of RFC 3986 3.2.2, without brackets.
constexpr std::optional<ipv6_words> parse_ipv6(std::string_view text) noexcept {
  ipv6_words words{};
  std::size_t n = 0;
  std::optional<std::size_t> gap;
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    if (n == 8) return std::nullopt;
    const auto end = text.find(':');
    const std::string_view part = text.substr(0, end);
    if (part.find('.') != std::string_view::npos) {
      if (end != std::string_view::npos || n > 6 || !is_ipv4(part)) return std::nullopt;
      std::string_view rest = part;
      std::array<unsigned, 4> byte{};
      for (unsigned& b : byte) b = static_cast<unsigned>(*digits(take_until(rest, '.'), 255));
      words[n++] = byte[0] << 8U | byte[1];
      words[n++] = byte[2] << 8U | byte[3];
      break;
    }
    if (part.empty() || part.size() > 4) return std::nullopt;
    unsigned word = 0;
    for (const char c : part) {
      if (hex_value(c) < 0) return std::nullopt;
      word = word << 4U | static_cast<unsigned>(hex_value(c));
    }
    words[n++] = word;
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
    if (text.empty()) return std::nullopt;  // ends in a single colon
    if (text.front() == ':') {
      if (gap) return std::nullopt;
      gap = n;
      text.remove_prefix(1);
    }
  }
  if (!gap) return n == 8 ? std::optional{words} : std::nullopt;
  if (n == 8) return std::nullopt;
  ipv6_words filled{};
  for (std::size_t i = 0; i < *gap; ++i) filled[i] = words[i];
  for (std::size_t i = *gap; i < n; ++i) filled[8 - n + i] = words[i];
  return filled;
}

/// The normal form of an IPv6 address (RFC 5952): lower case, no leading zeros, the first longest run of zeros as "::", and an IPv4
/// address that is mapped into it in decimal.
inline std::string format_ipv6(const ipv6_words& words) {
  if (words[5] == 0xffff && std::all_of(words.begin(), words.begin() + 5, [](unsigned w) { return w == 0; })) {
    std::string mapped = "::ffff";
    char separator = ':';
    for (const unsigned byte : {words[6] >> 8U, words[6] & 255U, words[7] >> 8U, words[7] & 255U}) {
      mapped.append(1, separator).append(std::to_string(byte));
      separator = '.';
    }
    return mapped;
  }
  std::size_t run = 0, length = 1;
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t end = i;
    while (end < 8 && words[end] == 0) ++end;
    if (end - i > length) run = i, length = end - i;
  }
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (length > 1 && i == run) {
      out += "::";
      i += length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    bool begun = false;
    for (const unsigned shift : {12U, 8U, 4U, 0U}) {
      const unsigned digit = words[i] >> shift & 15U;
      begun = begun || digit != 0 || shift == 0;
      if (begun) out += "0123456789abcdef"[digit];
    }
  }
  return out;
}

/// Refuses the characters that no part of a URL may have. `from` is the position of `text` in the text that the caller was given,
/// `instead` how to write a character beyond ASCII.
inline std::optional<invalid> refuse_common(std::string_view what, std::string_view text, std::size_t from,
                                            std::string_view instead = "write it as percent-encoded UTF-8") {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (!is_ascii(c))
      return invalid{std::string{what} + " contains " + shown(c) + "; " + std::string{instead}, from + i};
    if (is_control(c) || c == ' ') return invalid{std::string{what} + " contains " + shown(c), from + i};
  }
  return std::nullopt;
}

/// Refuses what path and query of an origin-form may not have.
inline std::optional<invalid> refuse_target(std::string_view what, std::string_view text, std::size_t from) {
  if (auto bad = refuse_common(what, text, from)) return bad;
  const std::size_t query = std::min(text.find('?'), text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '#') return invalid{std::string{what} + " contains '#': a fragment is never sent", from + i};
    const std::string_view refused = i < query ? "\"<>\\^`{}" : "\"<>";
    if (refused.find(c) != std::string_view::npos) {
      return invalid{std::string{what} + " contains " + shown(c) + ", which must be percent-encoded", from + i};
    }
    if (c == '%' && (i + 2 >= text.size() || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0)) {
      return invalid{std::string{what} + " contains '%' without two hex digits after it", from + i};
    }
  }
  return std::nullopt;
}

/// A host name in lower case: labels of letters, digits, '-' and '_', which real names have. One final dot is allowed.
inline expected<std::string, invalid> parse_name(std::string_view host, std::size_t from) {
  using bad = unexpected<invalid>;
  if (host.size() > 253) return bad{invalid{"the host name is longer than 253 characters", from}};
  std::string out;
  std::size_t label = 0;
  std::string_view last;
  for (std::size_t i = 0; i < host.size(); ++i) {
    const char c = host[i];
    if (c == '.') {
      if (i == label) return bad{invalid{"the host name has an empty label", from + i}};
      last = host.substr(label, i - label);
      label = i + 1;
    } else if (!is_digit(c) && !is_alpha(c) && c != '-' && c != '_') {
      return bad{invalid{"the host name contains " + shown(c), from + i}};
    }
    if (i + 1 - label > 63) return bad{invalid{"a label of the host name is longer than 63 characters", from + label}};
    out += lower(c);
  }
  if (label < host.size()) last = host.substr(label);
  // A name whose last label is a number would be an address to some resolvers and a name to others.
  const bool hex = last.size() >= 2 && last[0] == '0' && lower(last[1]) == 'x';
  if ((hex || digits(last, 9).has_value()) && !is_ipv4(host)) {
    return bad{invalid{"the host is neither a name nor four numbers from 0 to 255", from}};
  }
  return out;
}

/// RFC 3986 5.2.4.
inline std::string remove_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    path.remove_prefix(1);  // its '/'
    const auto end = path.find('/');
    const std::string_view segment = path.substr(0, end);
    const bool last = end == std::string_view::npos;
    if (segment == "..") {
      const auto cut = out.rfind('/');
      out.erase(cut == std::string::npos ? 0 : cut);
    }
    if (segment != "." && segment != "..") {
      out.append("/").append(segment);
    } else if (last) {
      out += '/';
    }
    path.remove_prefix(last ? path.size() : end);
  }
  return out.empty() ? "/" : out;
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
