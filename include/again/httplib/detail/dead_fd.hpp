// SPDX-License-Identifier: MIT
/// \file
/// `dead_fd`: what stands in a socket's place where nothing must be sent.
#pragma once

#include <again/core/expected.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Owns a descriptor that is no socket: in a socket's place it makes connect() fail at once. Made beforehand, because no
/// descriptor may be left when it is needed.
class dead_fd {
 public:
  dead_fd() noexcept {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    ::close(ends[1]);
    fd_ = ends[0];
  }
  dead_fd(const dead_fd&) = delete;
  dead_fd& operator=(const dead_fd&) = delete;
  ~dead_fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const noexcept { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
