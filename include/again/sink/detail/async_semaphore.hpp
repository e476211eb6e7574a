// SPDX-License-Identifier: MIT
/// \file
/// `async_semaphore`: a number of permits, given in the order in which they were asked for, and a line of coroutines that wait for one.
/// One loop, one thread.
#pragma once

#include <again/sink/detail/waiter.hpp>

#include <cstddef>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class async_semaphore {
 public:
  explicit async_semaphore(std::size_t permits) noexcept : free_{permits} {}
  async_semaphore(const async_semaphore&) = delete;
  async_semaphore& operator=(const async_semaphore&) = delete;
  ~async_semaphore() = default;

  /// Awaited, it is true where a permit is the caller's, which the caller gives back with `release` (or holds as a `permit`).
  waiter acquire() noexcept {
    return waiter{line_,
                  {this, [](void* self) noexcept { return static_cast<async_semaphore*>(self)->try_acquire(); },
                   [](void* self) noexcept { static_cast<async_semaphore*>(self)->serve(); },
                   [](void* self) noexcept { static_cast<async_semaphore*>(self)->release(); }}};
  }
  bool try_acquire() noexcept {
    if (!idle()) return false;
    --free_;
    return true;
  }
  void release() noexcept {
    ++free_;
    serve();
  }
  /// From now on it gives no permit; those that wait for one are refused.
  void close() noexcept {
    closed_ = true;
    for (waiter* w = line_.front(); w != nullptr; w = fifo::after(*w))
      if (w->waiting()) w->refuse();
  }
  bool closed() const noexcept { return closed_; }
  /// A permit is to be had at once.
  bool idle() const noexcept { return !closed_ && free_ > 0 && line_.empty(); }

 private:
  void serve() noexcept {
    for (waiter* w = line_.front(); w != nullptr; w = fifo::after(*w)) {
      if (!w->waiting()) continue;
      if (closed_) {
        w->refuse();
      } else if (free_ > 0) {
        --free_;
        w->grant();
      } else {
        return;
      }
    }
  }

  std::size_t free_;
  bool closed_ = false;
  fifo line_;
};

/// A permit that its destructor gives back.
class permit {
 public:
  permit() = default;
  /// Adopts a permit that was acquired.
  explicit permit(async_semaphore& of) noexcept : of_{&of} {}
  permit(permit&& other) noexcept : of_{std::exchange(other.of_, nullptr)} {}
  permit& operator=(permit&& other) noexcept {
    std::swap(of_, other.of_);
    return *this;
  }
  permit(const permit&) = delete;
  permit& operator=(const permit&) = delete;
  ~permit() {
    if (of_ != nullptr) of_->release();
  }

 private:
  async_semaphore* of_ = nullptr;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
