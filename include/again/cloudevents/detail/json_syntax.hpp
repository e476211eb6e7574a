// SPDX-License-Identifier: MIT
/// \file
/// `is_json`: whether a text is one JSON value (RFC 8259), and nothing besides. It reads no values: bytes that are data of an event
/// stay as they are, and must not be able to end the object that they stand in.
#pragma once

#include <again/core/detail/json_writer.hpp>
#include <again/http/detail/chars.hpp>

#include <cstddef>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace cloudevents {
namespace detail {

class json_syntax {
 public:
  explicit json_syntax(std::string_view text) noexcept : left_{text} {}
  bool whole() noexcept { return value(most_levels) && (space(), left_.empty()); }

 private:
  static constexpr int most_levels = 1000;  // of nesting, so that the stack is bounded: as much as our programs read

  bool value(int levels) noexcept {
    space();
    if (left_.empty() || levels == 0) return false;
    switch (left_.front()) {
      case '{': return list(levels, '}', true);
      case '[': return list(levels, ']', false);
      case '"': return string();
      case 't': return word("true");
      case 'f': return word("false");
      case 'n': return word("null");
      default: return number();
    }
  }
  bool list(int levels, char end, bool named) noexcept {
    left_.remove_prefix(1);
    space();
    if (take(end)) return true;
    for (;;) {
      if (named && !(space(), string() && (space(), take(':')))) return false;
      if (!value(levels - 1)) return false;
      space();
      if (take(end)) return true;
      if (!take(',')) return false;
    }
  }
  bool string() noexcept {
    if (!take('"')) return false;
    while (!left_.empty()) {
      if (take('"')) return true;
      const auto c = static_cast<unsigned char>(left_.front());
      std::size_t n = again::detail::utf8_length(left_);
      if (c < 0x20 || n == 0) return false;
      if (c == '\\') n = escape_length();
      if (n == 0) return false;
      left_.remove_prefix(n);
    }
    return false;
  }
  /// The length of the escape sequence at the front; 0: there is none.
  std::size_t escape_length() const noexcept {
    if (left_.size() < 2) return 0;
    if (left_[1] != 'u') return std::string_view{"\"\\/bfnrt"}.find(left_[1]) == std::string_view::npos ? 0 : 2;
    for (std::size_t i = 2; i < 6; ++i)
      if (i >= left_.size() || http::detail::hex_value(left_[i]) < 0) return 0;
    return 6;
  }
  bool number() noexcept {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      return digits();
    }
    return true;
  }
  bool digits() noexcept {
    const std::size_t n = left_.find_first_not_of("0123456789");
    const bool some = n != 0 && !left_.empty();
    left_.remove_prefix(n == std::string_view::npos ? left_.size() : n);
    return some;
  }
  bool word(std::string_view expected) noexcept {
    if (!left_.starts_with(expected)) return false;
    left_.remove_prefix(expected.size());
    return true;
  }
  bool take(char c) noexcept {
    if (!left_.starts_with(c)) return false;
    left_.remove_prefix(1);
    return true;
  }
  void space() noexcept {
    const std::size_t n = left_.find_first_not_of(" \t\r\n");
    left_.remove_prefix(n == std::string_view::npos ? left_.size() : n);
  }

  std::string_view left_;
};

inline bool is_json(std::string_view text) noexcept { return json_syntax{text}.whole(); }

}  // namespace detail
}  // namespace cloudevents
}  // namespace AGAIN_ABI
}  // namespace again
