// SPDX-License-Identifier: MIT
// Writing JSON on one line, into a string.
#pragma once

#include "printable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace programs {

/// Appends a string in quotes. Control characters are escaped, also those that JSON would allow: results are read on terminals. A byte
/// that is not UTF-8 becomes U+FFFD, so that the output always is JSON.
inline void append_json(std::string& out, std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  const auto plain = [](char c) { return c >= ' ' && c < '\x7f' && c != '"' && c != '\\'; };
  out += '"';
  for (;;) {
    const auto run = std::find_if_not(text.begin(), text.end(), plain);  // most texts are one
    out.append(text.begin(), run);
    text.remove_prefix(static_cast<std::size_t>(run - text.begin()));
    if (text.empty()) break;
    const auto [length, code] = first_character(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
    } else if (code == '"' || code == '\\') {
      (out += '\\') += text.front();
    } else if (is_control(code)) {
      out += "\\u";
      for (unsigned shift = 16; shift > 0;) out += hex[code >> (shift -= 4U) & 15U];
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

/// The members of an object, in the order of the calls. `end` closes it.
class json_object {
 public:
  explicit json_object(std::string& out) : out_{out} { out_ += '{'; }
  json_object(const json_object&) = delete;
  json_object& operator=(const json_object&) = delete;

  json_object& text(std::string_view name, std::string_view value) { return append_json(member(name), value), *this; }
  json_object& boolean(std::string_view name, bool value) { return member(name) += value ? "true" : "false", *this; }
  json_object& null(std::string_view name) { return member(name) += "null", *this; }
  template <class Number>
    requires(std::integral<Number> || std::floating_point<Number>)
  json_object& number(std::string_view name, Number value) {
    return fmt::format_to(std::back_inserter(member(name)), "{}", value), *this;
  }
  json_object& text_or_null(std::string_view name, std::string_view value, bool there) {
    return there ? text(name, value) : null(name);
  }
  json_object& number_or_null(std::string_view name, std::int64_t value, bool there) {
    return there ? number(name, value) : null(name);
  }
  /// A member whose value the caller appends: an object, or JSON that is already written.
  std::string& member(std::string_view name) {
    if (!std::exchange(first_, false)) out_ += ',';
    (out_ += '"').append(name);  // ours: nothing in it has to be escaped
    return out_ += "\":";
  }
  /// An array: `write(i)` appends each of its `size` values.
  template <class Write> json_object& array(std::string_view name, std::size_t size, Write write) {
    member(name) += '[';
    for (std::size_t i = 0; i < size; ++i) {
      if (i != 0) out_ += ',';
      write(i);
    }
    out_ += ']';
    return *this;
  }
  void end() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace programs
