// SPDX-License-Identifier: MIT
// Standard input, a file, or what a service manager has passed: opened, and identified.
#pragma once

#include "options.hpp"

#include <again/http/idempotency.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace programs {

/// The descriptor that a service manager has passed, as sd_listen_fds(3) has it: of the unit's `ListenFIFO=`. Nothing: none was passed to
/// this process. Throws usage_error where there are several, or where it is a socket.
inline std::optional<int> passed_descriptor() {
  constexpr int first = 3;  // SD_LISTEN_FDS_START
  const auto number_of = [](const char* variable) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? std::nullopt : whole_number<long>(text);
  };
  if (number_of("LISTEN_PID") != static_cast<long>(::getpid())) return std::nullopt;
  const long passed = number_of("LISTEN_FDS").value_or(0);
  if (passed < 1) return std::nullopt;
  if (passed > 1) throw usage_error{fmt::format("LISTEN_FDS: {} descriptors were passed; deliver reads one", passed)};
  struct stat about{};
  if (::fstat(first, &about) != 0)
    throw usage_error{fmt::format("LISTEN_FDS: descriptor {}: {}", first, std::strerror(errno))};
  if (S_ISSOCK(about.st_mode))
    throw usage_error{"LISTEN_FDS: a socket was passed; deliver reads a pipe: ListenFIFO= in the socket unit"};
  ::fcntl(first, F_SETFD, FD_CLOEXEC);
  return first;
}

class input_file {
 public:
  /// Without a path: the descriptor that a service manager has passed, else standard input. Throws usage_error if it cannot be read.
  explicit input_file(const std::optional<std::string>& path) : opened_{path.has_value()} {
    if (opened_)
      fd_ = ::open(path->c_str(), O_RDONLY | O_CLOEXEC);
    else
      fd_ = passed_descriptor().value_or(STDIN_FILENO);
    if (fd_ < 0) throw usage_error{fmt::format("--input: cannot read {}: {}", *path, std::strerror(errno))};
    ::fstat(fd_, &about_);
    if (S_ISDIR(about_.st_mode)) throw usage_error{fmt::format("--input: {} is a directory", path.value_or("stdin"))};
    if (is_regular()) {
      begin_ = static_cast<std::uint64_t>(std::max<off_t>(::lseek(fd_, 0, SEEK_CUR), 0));
      name_ = fmt::format("file {} {} {}", about_.st_dev, about_.st_ino, birth_time());
    } else {
      name_ = "run " + again::http::fresh_idempotency_key();
    }
  }
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;
  ~input_file() {
    if (opened_) ::close(fd_);
  }

  int fd() const noexcept { return fd_; }
  bool is_regular() const noexcept { return S_ISREG(about_.st_mode); }
  /// Bytes from where reading begins; 0: unknown.
  std::uint64_t size() const noexcept {
    const auto all = is_regular() ? static_cast<std::uint64_t>(about_.st_size) : 0;
    return all > begin_ ? all - begin_ : 0;
  }
  /// The offset at which reading begins.
  std::uint64_t begin() const noexcept { return begin_; }
  bool is(const std::string& path) const noexcept {
    struct stat other{};
    return is_regular() && ::stat(path.c_str(), &other) == 0 && other.st_dev == about_.st_dev &&
           other.st_ino == about_.st_ino;
  }
  /// A name that no other input has: of a file, the same in every run; of a pipe, another one in every run, since what comes through
  /// a pipe can be had once.
  const std::string& name() const noexcept { return name_; }

 private:
  /// Tells apart two files that had the same inode one after the other. 0 if the file system does not know it.
  std::string birth_time() const {
    struct statx more{};
    const bool known = ::statx(fd_, "", AT_EMPTY_PATH, STATX_BTIME, &more) == 0 && (more.stx_mask & STATX_BTIME) != 0;
    return known ? fmt::format("{}.{}", more.stx_btime.tv_sec, more.stx_btime.tv_nsec) : "0";
  }

  bool opened_;
  int fd_ = STDIN_FILENO;
  struct stat about_{};
  std::uint64_t begin_ = 0;
  std::string name_;
};

}  // namespace programs
