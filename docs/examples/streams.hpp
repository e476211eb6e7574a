// SPDX-License-Identifier: MIT
// What a program writes: results, where a failure counts, and complaints, where there may be nobody to hear them.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include <csignal>
#include <fcntl.h>
#include <unistd.h>

namespace programs {

/// To stderr, as far as that goes: a log that nobody reads any more, or a full disk behind it, must cost no event its result.
inline void complain(std::string_view text) noexcept {
  [[maybe_unused]] const auto written = std::fwrite(text.data(), 1, text.size(), stderr);
}

/// To stdout. False: it could not be written, and errno says why.
inline bool put(std::string_view text) noexcept {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}
/// The same for programs that have nothing else to do: throws where it cannot be written.
inline void put_or_throw(std::string_view text) {
  if (!put(text)) throw std::runtime_error{fmt::format("stdout cannot be written: {}", std::strerror(errno))};
}

/// Before anything else is opened: the three streams are there, so that no file or socket takes the place of one that was closed,
/// and one that fails is an error where it is written and no end of the program.
inline void settle_streams() {
  while (true) {
    const int fd = ::open("/dev/null", O_RDWR);
    if (fd > STDERR_FILENO) ::close(fd);
    if (fd < 0 || fd > STDERR_FILENO) break;
  }
  std::signal(SIGPIPE, SIG_IGN);  // its reader is gone
  std::signal(SIGXFSZ, SIG_IGN);  // a file grew past its limit
}

}  // namespace programs
