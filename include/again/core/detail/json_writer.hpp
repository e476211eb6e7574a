// SPDX-License-Identifier: MIT
/// \file
/// Functions that append JSON to a string, so that the library needs no JSON library. Bytes that are not UTF-8 are written as
/// `{"base64": "…"}`, so that none is lost.
#pragma once

#include <again/core/expected.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// The length of the well-formed UTF-8 sequence at the start of `s`; 0 where there is none (RFC 3629 section 4).
inline std::size_t utf8_length(std::string_view s) noexcept {
  const auto byte = [&s](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(s[i])); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t n = first >= 0xc2 && first < 0xe0   ? 2
                        : first >= 0xe0 && first < 0xf0 ? 3
                        : first >= 0xf0 && first < 0xf5 ? 4
                                                        : 0;
  if (n == 0 || s.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  const unsigned second = byte(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool beyond = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return overlong || beyond ? 0 : n;
}

inline bool is_utf8(std::string_view s) noexcept {
  while (!s.empty()) {
    const std::size_t n = utf8_length(s);
    if (n == 0) return false;
    s.remove_prefix(n);
  }
  return true;
}

/// A string in quotes; a byte that is not UTF-8 becomes U+FFFD.
inline void json_string(std::string& out, std::string_view s) {
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  while (!s.empty()) {
    const std::size_t n = utf8_length(s);
    const auto c = static_cast<unsigned char>(s.front());
    if (n == 0) {
      out += "\xef\xbf\xbd";
    } else if (c == '"' || c == '\\') {
      (out += '\\') += s.front();
    } else if (c == '\n') {
      out += "\\n";
    } else if (c < 0x20 || c == 0x7f) {
      ((out += "\\u00") += hex[c >> 4U]) += hex[c & 15U];
    } else {
      out.append(s.substr(0, n));
    }
    s.remove_prefix(n == 0 ? 1 : n);
  }
  out += '"';
}

inline std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j)
      group = group << 8U | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (unsigned j = 0; j < 4; ++j) out += i + j <= bytes.size() ? digits[group >> (18U - 6U * j) & 63U] : '=';
  }
  return out;
}

/// A string in quotes where `s` is UTF-8, else `{"base64":"…"}`.
inline void json_bytes(std::string& out, std::string_view s) {
  if (is_utf8(s)) return json_string(out, s);
  out.append("{\"base64\":\"").append(base64(s)).append("\"}");
}

/// `"name":`, with a comma before it unless it is the first member of its object.
inline std::string& json_member(std::string& out, std::string_view name) {
  if (!out.empty() && out.back() != '{') out += ',';
  json_string(out, name);
  return out += ':';
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
