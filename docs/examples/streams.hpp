// SPDX-License-Identifier: MIT
// Output: results go to stdout, and a failure to write them is an error; complaints go to stderr, and a failure is ignored.
#pragma once

#include "printable.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

namespace programs {

/// Writes to stderr and ignores failures: a closed pipe or a full disk behind stderr must not cost an event its result.
/// `line` has no line end; what a person must not be shown as it is, is escaped.
inline void complain(std::string_view line) {
  const std::string text = printable(line) + '\n';
  [[maybe_unused]] const auto written = std::fwrite(text.data(), 1, text.size(), stderr);
}

/// Writes to stdout. Returns false and sets errno if that fails.
inline bool put(std::string_view text) noexcept {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}
/// Writes to stdout; throws if that fails.
inline void put_or_throw(std::string_view text) {
  if (!put(text)) throw std::runtime_error{fmt::format("stdout cannot be written: {}", std::strerror(errno))};
}

/// Call it before anything is opened. Opens /dev/null in place of closed standard streams, so that no file or socket takes their
/// descriptors; turns signals about failed writes into errors. False: stdout is closed or cannot be written.
inline bool settle_streams() {
  const int mode = ::fcntl(STDOUT_FILENO, F_GETFL);
  while (true) {
    const int fd = ::open("/dev/null", O_RDWR);
    if (fd > STDERR_FILENO) ::close(fd);
    if (fd < 0 || fd > STDERR_FILENO) break;
  }
  std::signal(SIGPIPE, SIG_IGN);  // its reader is gone
  std::signal(SIGXFSZ, SIG_IGN);  // a file grew past its limit
  return mode >= 0 && (mode & O_ACCMODE) != O_RDONLY;
}

}  // namespace programs
