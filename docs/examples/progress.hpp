// SPDX-License-Identifier: MIT
// A progress line on the terminal. Without a terminal nothing is drawn.
#pragma once

#include "message_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <sys/ioctl.h>
#include <unistd.h>

namespace programs {

/// Colours on a terminal, unless NO_COLOR is set (https://no-color.org).
class colours {
 public:
  explicit colours(int fd)
      : on_{::isatty(fd) == 1 && (std::getenv("NO_COLOR") == nullptr || *std::getenv("NO_COLOR") == '\0')} {}
  explicit operator bool() const noexcept { return on_; }
  std::string green(std::string_view text) const { return painted("32", text); }
  std::string red(std::string_view text) const { return painted("31", text); }
  std::string yellow(std::string_view text) const { return painted("33", text); }
  std::string cyan(std::string_view text) const { return painted("36", text); }
  std::string dim(std::string_view text) const { return painted("2", text); }
  std::string plain(std::string_view text) const { return std::string{text}; }
  std::string bold(std::string_view text) const { return painted("1", text); }

 private:
  std::string painted(std::string_view code, std::string_view text) const {
    return on_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string{text};
  }
  bool on_;
};

class progress {
 public:
  /// `total`: bytes of input; 0 if unknown.
  progress(std::uint64_t total, message_log& log)
      : shown_{::isatty(STDERR_FILENO) == 1}, paint_{STDERR_FILENO}, total_{total}, log_{log} {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() { clear(); }

  std::size_t delivered = 0, failed = 0, refused = 0, retries = 0, running = 0;
  std::uint64_t done = 0;  ///< bytes of input whose events have their results

  bool shown() const noexcept { return shown_; }

  /// Draws the line, at most twenty times a second. Without memory there is no line.
  void draw() noexcept {
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || now < next_) return;
    next_ = now + std::chrono::milliseconds{50};
    try {
      log_.draw("\r" + line(columns(), std::chrono::duration<double>(now - start_).count()) + "\x1b[K");
    } catch (const std::bad_alloc&) { return; }
    drawn_ = true;
  }
  /// Erases the line, so that other text can be written.
  void clear() noexcept {
    if (!drawn_) return;
    log_.erase("\r\x1b[K");
    drawn_ = false;
    next_ = {};
  }

 private:
  struct part {
    std::string text;
    std::string (colours::*paint)(std::string_view) const;
  };

  static std::size_t columns() {
    winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80;
  }

  /// At most `width` - 1 columns, so that no terminal begins another line. What does not fit is left out, the least important first.
  std::string line(std::size_t width, double seconds) const {
    const double rate = static_cast<double>(delivered + failed) / std::max(seconds, 0.001);
    const std::vector<part> parts{
        {fmt::format("{} delivered", delivered), &colours::green},
        {fmt::format("{} failed", failed + refused), failed + refused != 0 ? &colours::red : &colours::plain},
        {fmt::format("{} retries", retries), retries != 0 ? &colours::yellow : &colours::plain},
        {fmt::format("{} running", running), &colours::plain},
        {fmt::format("{:.0f}/s", rate), &colours::plain}};
    std::string counts;
    std::size_t used = 0;
    for (const part& p : parts) {
      const std::size_t separator = used == 0 ? 0 : 2;
      if (used + separator + p.text.size() + 1 > width) break;
      counts.append(separator, ' ').append((paint_.*p.paint)(p.text));
      used += separator + p.text.size();
    }
    return bar(width - std::min(used + 1, width)) + counts;
  }
  std::string bar(std::size_t room) const {
    constexpr std::size_t beside = 8;  // " 100 %  "
    if (total_ == 0 || room < beside + 5) return {};
    const std::size_t width = std::min<std::size_t>(room - beside, 40);
    // It says 100 % when all is done, and not because of rounding.
    const double share = static_cast<double>(std::min(done, total_)) / static_cast<double>(total_);
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
    std::string full, empty;
    for (std::size_t i = 0; i < width; ++i) (i < filled ? full : empty) += "━";
    return fmt::format("{}{} {:>3} %  ", paint_.cyan(full), paint_.dim(empty), static_cast<int>(share * 100));
  }

  bool shown_, drawn_ = false;
  colours paint_;
  std::uint64_t total_;
  message_log& log_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), next_{};
};

}  // namespace programs
