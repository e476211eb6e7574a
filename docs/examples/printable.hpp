// SPDX-License-Identifier: MIT
// Text from elsewhere, made safe for a terminal and for a log that holds one entry per line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace programs {

/// One character of UTF-8 at the beginning of a text.
struct character {
  std::size_t length;  ///< bytes; 0: not well-formed UTF-8 (RFC 3629)
  std::uint32_t code;
};

inline character first_character(std::string_view s) noexcept {
  const auto byte = [&s](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(s[i])); };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {1, first};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (first < 0xc2 || first > 0xf4 || s.size() < length) return {0, 0};
  std::uint32_t code = first & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {0, 0};
    code = code << 6U | (byte(i) & 0x3fU);
  }
  if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return {0, 0};
  return {length, code};
}

/// Does a terminal act on it, or show the text after it in another order? C0 and C1 control characters, DEL, the separators of lines
/// and paragraphs, and the marks, embeddings and isolates of bidirectional text.
constexpr bool is_control(std::uint32_t code) noexcept {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

/// Appends `text` with each control character as \u001b and each byte that is not UTF-8 as \xff. Nothing in it moves a cursor, begins
/// a line or starts an escape sequence.
inline void append_printable(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  while (!text.empty()) {
    const auto [length, code] = first_character(text);
    if (length == 0) {
      const auto byte = static_cast<unsigned char>(text.front());
      ((out += "\\x") += hex[byte >> 4U]) += hex[byte & 15U];
    } else if (is_control(code)) {
      out += "\\u";
      for (unsigned shift = 16; shift > 0;) out += hex[code >> (shift -= 4U) & 15U];
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}
inline std::string printable(std::string_view text) {
  std::string out;
  append_printable(out, text);
  return out;
}

}  // namespace programs
