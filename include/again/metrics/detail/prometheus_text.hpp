// SPDX-License-Identifier: MIT
/// \file
/// Prometheus text: each metric with its HELP and TYPE once and its samples below; values and labels are escaped as the format asks.
#pragma once

#include <again/core/clock.hpp>

#include <array>
#include <charconv>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

inline double in_seconds(duration d) noexcept { return static_cast<double>(d.count()) / 1e9; }

/// The shortest text that reads back as the same number: "0.0025", "42".
inline std::string metric_number(double value) {
  constexpr double exact = 9007199254740992.0;  // 2^53: whole numbers up to it are written without an exponent
  if (value >= -exact && value <= exact) {
    if (const auto whole = static_cast<std::int64_t>(value); static_cast<double>(whole) == value)
      return std::to_string(whole);
  }
  std::array<char, 32> text{};
  char* const end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return std::string(text.data(), end);
}

/// In HELP the backslash and the line feed are escaped, in the value of a label the quote as well.
inline std::string metric_escaped(std::string_view text, bool quotes) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || (quotes && c == '"')) out += '\\';
      out += c;
    }
  }
  return out;
}

inline std::string metric_label(std::string_view name, std::string_view value) {
  return std::string{name} + "=\"" + metric_escaped(value, true) + '"';
}

class metric_text {
 public:
  struct samples {
    std::string name, head, lines;
    samples& sample(std::string_view of, std::string_view labels, double value) {
      lines.append(of);
      if (!labels.empty()) lines.append("{").append(labels).append("}");
      lines.append(" ").append(metric_number(value)).append("\n");
      return *this;
    }
  };

  /// The metric of that name; the first call makes it. The reference is valid as long as this object.
  samples& family(std::string_view name, std::string_view type, std::string_view help) {
    for (samples& f : families_)
      if (f.name == name) return f;
    std::string head =
        "# HELP " + std::string{name} + ' ' + metric_escaped(help, false) + "\n# TYPE " + std::string{name} + ' ';
    head.append(type).append("\n");
    return families_.emplace_back(samples{std::string{name}, std::move(head), {}});
  }
  std::string text() const {
    std::string out;
    for (const samples& f : families_) out.append(f.head).append(f.lines);
    return out;
  }

 private:
  std::deque<samples> families_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
