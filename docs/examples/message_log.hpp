// SPDX-License-Identifier: MIT
// Lines for a person, on stderr. A reader that stalls costs lines, and they are counted.
#pragma once

#include "output_writer.hpp"
#include "printable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include <unistd.h>

namespace programs {

/// Any thread. Nothing of it throws: a line that has no room, or no memory, is dropped and counted.
class message_log {
 public:
  message_log() { line_.reserve(output_writer::reserved); }
  message_log(const message_log&) = delete;
  message_log& operator=(const message_log&) = delete;
  /// Writes what a reader takes without stalling.
  ~message_log() {
    writer_.hurry();
    writer_.drain();
    const std::lock_guard lock{mutex_};
    tell_dropped();
    writer_.drain();
  }

  /// One line, escaped; without its end.
  void say(std::string_view text) noexcept { put_line(text, false); }
  /// The same of a format. Up to 500 bytes of it need no memory.
  template <class... Args>
    requires(sizeof...(Args) > 0)
  void say(fmt::format_string<Args...> format, Args&&... args) noexcept {
    put_format(false, format, std::forward<Args>(args)...);
  }
  /// For what is told nowhere else: waits for room as long as the reader takes something within a second.
  template <class... Args> void account(fmt::format_string<Args...> format, Args&&... args) noexcept {
    put_format(true, format, std::forward<Args>(args)...);
  }
  /// Bytes as they are, for a terminal; nothing while other text waits.
  void draw(std::string_view text) noexcept {
    const std::lock_guard lock{mutex_};
    if (writer_.idle()) put_raw(text);
  }
  /// Bytes as they are, in their turn.
  void erase(std::string_view text) noexcept {
    const std::lock_guard lock{mutex_};
    put_raw(text);
  }

 private:
  template <class... Args>
  void put_format(bool patiently, fmt::format_string<Args...> format, Args&&... args) noexcept {
    try {
      fmt::memory_buffer text;
      fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
      put_line({text.data(), text.size()}, patiently);
    } catch (const std::exception&) {
      const std::lock_guard lock{mutex_};
      ++dropped_;
    }
  }
  void put_line(std::string_view text, bool patiently) noexcept {
    const std::lock_guard lock{mutex_};
    tell_dropped();
    line_.clear();
    try {
      append_printable(line_, text);
      line_ += '\n';
    } catch (const std::exception&) {  // no memory for more than the beginning
      line_.resize(std::min(line_.size(), line_.capacity() - 1));
      line_ += '\n';
    }
    if (!(patiently ? writer_.put_patiently(line_) : writer_.put(line_))) ++dropped_;
  }
  void put_raw(std::string_view text) noexcept {
    try {
      line_.assign(text);
      static_cast<void>(writer_.put(line_));
    } catch (const std::exception&) { line_.clear(); }
  }
  void tell_dropped() noexcept {
    if (dropped_ == 0) return;
    char text[80];
    const auto end =
        fmt::format_to_n(text, sizeof text, "{} lines dropped here: they were not read in time\n", dropped_);
    put_raw({text, end.size});
    if (line_.empty()) dropped_ = 0;
  }

  std::mutex mutex_;  // guards all below
  std::string line_;  // at least `reserved` bytes of capacity
  std::uint64_t dropped_ = 0;
  output_writer writer_{STDERR_FILENO};
};

}  // namespace programs
