// SPDX-License-Identifier: MIT
/// \file
/// `no_socket`: what a socket is replaced by where nothing must be sent.
#pragma once

#include <again/core/expected.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace again::inline AGAIN_ABI::http::detail {

/// A descriptor that is no socket: in a socket's place it makes connect() fail at once. Made beforehand, because the moment in which
/// it is needed may be one in which no descriptor is to be had.
class no_socket {
 public:
  no_socket() noexcept {
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    ::close(ends[1]);
    fd_ = ends[0];
  }
  no_socket(const no_socket&) = delete;
  no_socket& operator=(const no_socket&) = delete;
  ~no_socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const noexcept { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace again::inline AGAIN_ABI::http::detail
