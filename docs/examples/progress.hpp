// SPDX-License-Identifier: MIT
// A progress line on the terminal. Without a terminal nothing is drawn.
#pragma once

#include "streams.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

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
  explicit progress(std::uint64_t total) : shown_{::isatty(STDERR_FILENO) == 1}, paint_{STDERR_FILENO}, total_{total} {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress() { clear(); }

  std::size_t delivered = 0, failed = 0, refused = 0, retries = 0, running = 0;

  bool shown() const noexcept { return shown_; }

  /// Draws the line, at most twenty times a second.
  void draw(std::uint64_t bytes_done) {
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || now < next_) return;
    next_ = now + std::chrono::milliseconds{50};
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const std::string counts =
        fmt::format("{} {}, {} {}, {} {}, {} running, {:.0f}/s", paint_.green(fmt::to_string(delivered)), "delivered",
                    failed + refused != 0 ? paint_.red(fmt::to_string(failed + refused)) : "0", "failed",
                    retries != 0 ? paint_.yellow(fmt::to_string(retries)) : "0", "retries", running,
                    static_cast<double>(delivered + failed) / (seconds > 0.001 ? seconds : 0.001));
    write_to_stderr(fmt::format("\r{}{}\x1b[K", bar(bytes_done), counts));
    drawn_ = true;
  }
  /// Erases the line, so that other text can be written.
  void clear() {
    if (!drawn_) return;
    write_to_stderr("\r\x1b[K");
    drawn_ = false;
    next_ = {};
  }

 private:
  std::string bar(std::uint64_t done) const {
    winsize size{};
    if (total_ == 0 || ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 80) return {};
    const std::size_t width = std::size_t{size.ws_col} - 64 < 40 ? std::size_t{size.ws_col} - 64 : 40;
    const double share = done < total_ ? static_cast<double>(done) / static_cast<double>(total_) : 1;
    std::string full, empty;
    for (std::size_t i = 0; i < width; ++i)
      (static_cast<double>(i) < share * static_cast<double>(width) ? full : empty) += "━";
    return fmt::format("{}{} {:>3.0f} %  ", paint_.cyan(full), paint_.dim(empty), share * 100);
  }

  bool shown_, drawn_ = false;
  colours paint_;
  std::uint64_t total_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), next_{};
};

}  // namespace programs
