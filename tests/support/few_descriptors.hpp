// SPDX-License-Identifier: MIT
/// \file
/// No descriptor is left on this side. Linux: a thread can have its own table of descriptors (unshare), which the threads that it
/// starts share. So a server on another thread is never the one that runs short.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

// UBSan looks whether an object's vtable can be read, for which it opens a pipe, and calls every object wrong where it cannot.
extern "C" __attribute__((weak)) void check_of_vtables() __asm__("__ubsan_handle_dynamic_type_cache_miss_abort");

namespace again_test {

/// True where the program itself cannot do without descriptors.
inline bool needs_descriptors() noexcept { return check_of_vtables != nullptr; }

/// Holds all descriptors that this thread can open, but for some.
class descriptor_hog {
 public:
  explicit descriptor_hog(std::size_t left) {
    for (int fd = ::dup(STDERR_FILENO); fd >= 0; fd = ::dup(STDERR_FILENO)) held_.push_back(fd);
    enough_ = errno == EMFILE && held_.size() >= left;
    if (enough_) release(left);
  }
  descriptor_hog(const descriptor_hog&) = delete;
  descriptor_hog& operator=(const descriptor_hog&) = delete;
  ~descriptor_hog() { release(held_.size()); }

  /// There were so many.
  bool enough() const noexcept { return enough_; }
  void release(std::size_t n) {
    for (; n > 0; --n, held_.pop_back()) ::close(held_.back());
  }

 private:
  std::vector<int> held_;
  bool enough_ = false;
};

/// Runs `f` on a thread with its own table of descriptors, of which it can open a few hundred.
inline void with_own_descriptors(const std::function<void()>& f) {
  ::rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  ::rlimit few = before;
  few.rlim_cur = std::min<::rlim_t>(before.rlim_cur, 512);  // of which the server uses a few
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  bool alone = false;
  std::thread{[&] {
    alone = ::unshare(CLONE_FILES) == 0;
    if (alone) f();
  }}.join();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  REQUIRE(alone);
}

/// Runs `f` on a thread that can open `left` descriptors, and the threads that it starts as well.
inline void with_descriptors_left(std::size_t left, const std::function<void()>& f) {
  bool enough = false;
  with_own_descriptors([&] {
    const descriptor_hog hog{left};
    enough = hog.enough();
    if (enough) f();
  });
  REQUIRE(enough);
}

}  // namespace again_test
