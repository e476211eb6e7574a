// SPDX-License-Identifier: MIT
/// \file
/// `log_fields`: one log line, field by field, as logfmt or as a JSON object.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/json_writer.hpp>

#include <charconv>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

class log_fields {
 public:
  explicit log_fields(bool json) : json_{json}, line_{json ? "{" : ""} {}

  void text(std::string_view key, std::string_view value) {
    begin(key);
    if (json_ || needs_quotes(value)) {
      json_string(line_, value);
    } else {
      line_ += value;
    }
  }
  void number(std::string_view key, long long value) {
    begin(key);
    line_ += std::to_string(value);
  }
  void milliseconds(std::string_view key, duration d) {
    if (d < duration::zero()) return;
    begin(key);
    char text[32];
    const auto whole_us = std::chrono::duration_cast<std::chrono::microseconds>(d).count();
    const double ms = static_cast<double>(whole_us) / 1000.0;
    line_.append(text, std::to_chars(text, text + sizeof text, ms).ptr);
  }
  void seconds(std::string_view key, wall_time at) {
    begin(key);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
    line_.append(std::to_string(ms / 1000)).append(".").append(std::to_string(1000 + ms % 1000).substr(1));
  }
  std::string end() && { return json_ ? std::move(line_ += '}') : std::move(line_); }

 private:
  static bool needs_quotes(std::string_view value) noexcept {
    if (value.empty()) return true;
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte <= ' ' || byte >= 0x7f || c == '=' || c == '"' || c == '\\') return true;
    }
    return false;
  }
  void begin(std::string_view key) {
    if (json_) {
      json_member(line_, key);
    } else {
      if (!line_.empty()) line_ += ' ';
      line_.append(key).append("=");
    }
  }
  bool json_;
  std::string line_;
};

}  // namespace detail

}  // namespace AGAIN_ABI
}  // namespace again
