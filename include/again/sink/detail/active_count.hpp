// SPDX-License-Identifier: MIT
/// \file
/// `active_count`: how many are at work, and a way to wait until none is. One loop, one thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/sink/detail/waiter.hpp>

#include <cstddef>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class active_count {
 public:
  void begin() noexcept { ++active_; }
  void end() noexcept {
    if (--active_ == 0) tell();
  }
  std::size_t active() const noexcept { return active_; }
  /// Awaited, it is false where there was still one active when the time was over or stop was requested.
  waiter wait_until_idle(duration at_most, bool stoppable) noexcept {
    return waiter{idle_,
                  {this, [](void* self) noexcept { return static_cast<active_count*>(self)->active_ == 0; },
                   [](void*) noexcept {}, [](void*) noexcept {}},
                  at_most,
                  stoppable};
  }

 private:
  void tell() noexcept {
    for (waiter* w = idle_.front(); w != nullptr; w = fifo::after(*w))
      if (w->waiting()) w->grant();
  }

  std::size_t active_ = 0;
  fifo idle_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
