// SPDX-License-Identifier: MIT
// Command lines: flags with values, durations and sizes, and errors that name the flag and say what to write instead.
#pragma once

#include "streams.hpp"

#include <again/core/clock.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace programs {

/// The command line is wrong. The program exits with 2.
class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A whole number in decimal; nothing if the text is not a number or does not fit.
template <class Number> std::optional<Number> whole_number(std::string_view text) {
  Number n{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n);
  return problem == std::errc{} && end == text.data() + text.size() ? std::optional{n} : std::nullopt;
}

template <class Number> Number number_in(std::string_view text, Number least, Number most) {
  const auto n = whole_number<Number>(text);
  if (!n || *n < least || *n > most) {
    const bool open = most == std::numeric_limits<Number>::max();
    throw usage_error{
        fmt::format("'{}' is not a whole number {}", text,
                    open ? fmt::format("of at least {}", least) : fmt::format("from {} to {}", least, most))};
  }
  return *n;
}

inline double decimal(std::string_view text) {
  double n{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (problem != std::errc{} || end != text.data() + text.size())
    throw usage_error{fmt::format("'{}' is not a number", text)};
  return n;
}

/// "250ms", "2s", "1.5s", "1m", "2h", "0".
inline again::duration duration_of(std::string_view text) {
  const auto refused = [&] {
    return usage_error{fmt::format("'{}' is not a duration; write it like 250ms, 2s or 1m", text)};
  };
  if (text == "0") return {};
  double n{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), n, std::chars_format::fixed);
  if (problem != std::errc{} || !(n >= 0) || !std::isfinite(n)) throw refused();
  const std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
  const double size = unit == "us"   ? 1e3
                      : unit == "ms" ? 1e6
                      : unit == "s"  ? 1e9
                      : unit == "m"  ? 6e10
                      : unit == "h"  ? 3.6e12
                                     : 0;
  if (size == 0) throw refused();
  return again::saturating_scale(again::duration{1}, n * size);
}

/// A URL as it may be shown, also one that is refused: without user-info, query and fragment, which may hold secrets.
inline std::string shown_url(std::string_view text) {
  std::string out{text.substr(0, text.find_first_of("?#"))};
  const auto scheme = out.find("://");
  const std::size_t from = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t end = std::min(out.find('/', from), out.size());
  const auto at = out.rfind('@', end);
  if (at != std::string::npos && at >= from && at < end) out.erase(from, at + 1 - from);
  return out;
}

/// "1000", "64KiB", "1MiB".
inline std::uint64_t size_of(std::string_view text) {
  std::string_view digits = text;
  std::uint64_t unit = 1;
  for (const auto& [suffix, bytes] :
       {std::pair{std::string_view{"KiB"}, std::uint64_t{1} << 10U}, {"MiB", std::uint64_t{1} << 20U}}) {
    if (!digits.ends_with(suffix)) continue;
    digits.remove_suffix(suffix.size());
    unit = bytes;
  }
  const auto n = whole_number<std::uint64_t>(digits);
  if (!n || *n > std::numeric_limits<std::uint64_t>::max() / unit) {
    throw usage_error{fmt::format("'{}' is not a size; write it like 4096, 64KiB or 1MiB", text)};
  }
  return *n * unit;
}

/// A list of flags: their names, their help texts and what they set.
class options {
 public:
  options(std::string program, std::string synopsis) : program_{std::move(program)}, synopsis_{std::move(synopsis)} {}

  const std::string& program() const noexcept { return program_; }

  /// Starts a group of flags in `--help`.
  void heading(std::string text) { flags_.push_back({"", "", std::move(text), {}}); }
  /// A flag without a value.
  void on(std::string name, std::string help, bool& to) {
    flags_.push_back({std::move(name), "", std::move(help), [&to](std::string_view) { to = true; }});
  }
  /// A flag with a value. `take` throws usage_error to refuse it; the flag's name is put before the message.
  void with(std::string name, std::string placeholder, std::string help, std::function<void(std::string_view)> take) {
    flags_.push_back({std::move(name), std::move(placeholder), std::move(help), std::move(take)});
  }

  /// Sets the flags and returns the other words. `--help` prints the list and exits with 0.
  std::vector<std::string> parse(int argc, char** argv) const {
    std::vector<std::string> words;
    for (int i = 1; i < argc; ++i) {
      const std::string_view word = argv[i];
      if (word == "--") {
        words.insert(words.end(), argv + i + 1, argv + argc);
        break;
      }
      if (word == "--help" || word == "-h") help();
      if (word.size() < 2 || word.front() != '-') {
        words.emplace_back(word);
        continue;
      }
      const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string_view::npos;
      const std::string_view name = word.substr(0, equals);
      const flag& f = named(name);
      if (f.placeholder.empty() && equals != std::string_view::npos)
        throw usage_error{fmt::format("{} takes no value", name)};
      if (!f.placeholder.empty() && equals == std::string_view::npos && i + 1 == argc) {
        throw usage_error{fmt::format("{} needs a value: {} {}", name, name, f.placeholder)};
      }
      const std::string_view value = f.placeholder.empty()              ? ""
                                     : equals != std::string_view::npos ? word.substr(equals + 1)
                                                                        : argv[++i];
      try {
        f.take(value);
      } catch (const usage_error& e) { throw usage_error{fmt::format("{}: {}", name, e.what())}; }
    }
    return words;
  }

 private:
  struct flag {
    std::string name, placeholder, help;
    std::function<void(std::string_view)> take;
  };

  const flag& named(std::string_view name) const {
    for (const flag& f : flags_)
      if (!f.name.empty() && f.name == name) return f;
    throw usage_error{fmt::format("there is no option {}; {} --help lists them", name, program_)};
  }

  [[noreturn]] void help() const {
    std::string text = fmt::format("usage: {} {}\n", program_, synopsis_);
    for (const flag& f : flags_) {
      text += f.name.empty()
                  ? fmt::format("\n{}\n", f.help)
                  : fmt::format("  {:<26} {}\n", f.placeholder.empty() ? f.name : f.name + " " + f.placeholder, f.help);
    }
    put_or_throw(text);
    std::exit(0);
  }

  std::string program_, synopsis_;
  std::vector<flag> flags_;
};

/// Runs a program and returns its exit code: 2 and one line on stderr if the command line is wrong.
template <class Program> int run(std::string_view name, Program&& program) {
  if (!settle_streams()) {
    complain(fmt::format("{}: stdout is closed, or open for reading: give it a place, or /dev/null", name));
    return 2;
  }
  try {
    return program();
  } catch (const usage_error& e) {
    complain(fmt::format("{}: {}", name, e.what()));
    return 2;
  } catch (const std::exception& e) {
    complain(fmt::format("{}: {}", name, e.what()));
    return 1;
  }
}

}  // namespace programs
