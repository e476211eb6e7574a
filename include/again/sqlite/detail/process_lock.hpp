// SPDX-License-Identifier: MIT
/// \file
/// `process_lock`: one process at a time opens a journal. It is a lock on a file beside it, which holds the number of the process that has
/// it and ends with that process, however it ends. The locks of SQLite cannot do that: they are free between two transactions, and
/// forbid reading.
#pragma once

#include <again/journal/error.hpp>
#include <again/sqlite/detail/database.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

/// The kind of an errno that the opening of a file gave.
inline journal::error_kind opening_failed(int why) noexcept {
  using journal::error_kind;
  switch (why) {
    case EACCES:
    case EPERM:
    case EROFS: return error_kind::read_only;
    case ENOSPC:
    case EDQUOT: return error_kind::full;
    case ENOMEM:
    case EMFILE:
    case ENFILE: return error_kind::shortage;
    case EIO: return error_kind::io;
    default: return error_kind::unreachable;
  }
}

class process_lock {
 public:
  /// Of the journal at `path`. Throws sql_failure: another one has it, or the file cannot be made.
  explicit process_lock(const std::string& path) : fd_{opened(path + ".lock")} {
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      const std::string holder = text();
      ::close(fd_);
      throw sql_failure{
          journal::error{journal::error_kind::locked, path + ": is open in another process" +
                                                          (holder.empty() ? "" : " (pid " + holder + ")") +
                                                          "; end that one, or name another file"}};
    }
    const std::string mine = std::to_string(::getpid());
    const bool told = ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, mine.data(), mine.size(), 0) > 0;
    static_cast<void>(told);  // on a full disk the message of the next process names no pid
  }
  process_lock(const process_lock&) = delete;
  process_lock& operator=(const process_lock&) = delete;
  /// The file stays: where it was removed, two processes could hold locks on two files of this name.
  ~process_lock() {
    const bool told = ::ftruncate(fd_, 0) == 0;
    static_cast<void>(told);
    ::close(fd_);
  }

 private:
  static int opened(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    const int why = errno;
    throw sql_failure{journal::error{opening_failed(why), path + ": " + std::strerror(why) +
                                                              "; the journal needs this file beside it: "
                                                              "check its folder and its permissions"}};
  }
  std::string text() const {
    std::array<char, 20> digits{};
    const ssize_t n = ::pread(fd_, digits.data(), digits.size(), 0);
    const std::string_view all{digits.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
    return std::string{all.substr(0, all.find_first_not_of("0123456789"))};
  }

  int fd_;
};

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
