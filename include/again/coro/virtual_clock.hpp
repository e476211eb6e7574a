// SPDX-License-Identifier: MIT
/// \file
/// `virtual_clock`: pretend time, for tests and simulations. When a loop on it has nothing else to run, the clock jumps
/// to the next timer instead of sleeping. So an outage of an hour runs in milliseconds, and every run is the same.
///
/// ```cpp
/// again::virtual_clock time;
/// again::run_loop loop{time, 42};             // 42: the seed of all jitter
/// again::sync_wait(loop, simulation());
/// assert(time.now() - again::virtual_clock::start == 1h);
/// ```
///
/// While work outside the loop runs (a send on a real socket), the clock does not jump: it advances as real time does.
/// So a timeout of a real send still means what it says.
///
/// Thread: one loop at a time uses a clock; `now` and `wall_now` may be called from any thread.
#pragma once

#include <again/core/clock.hpp>

#include <atomic>

namespace again {
inline namespace AGAIN_ABI {

class virtual_clock final : public clock {
 public:
  /// The first time on the steady clock. It is a day after the epoch, so that earlier times can be computed from it.
  static constexpr time_point start{std::chrono::hours{24}};
  /// The first time on the wall clock, unless another is given: 2024-01-01T00:00:00Z.
  static constexpr wall_time default_wall{std::chrono::seconds{1'704'067'200}};

  virtual_clock() noexcept = default;
  explicit virtual_clock(wall_time wall_start) noexcept : wall_start_{wall_start} {}

  time_point now() const noexcept override { return time_point{duration{now_.load(std::memory_order_relaxed)}}; }
  wall_time wall_now() const noexcept override { return wall_start_ + (now() - start); }

  /// Advances the clock; for tests that control the time themselves.
  void advance(duration_with_unit by) noexcept { move_to(saturating_add(now(), by)); }

  bool jump(time_point next) noexcept override {
    if (next != never) move_to(next);
    return true;
  }
  void elapse(duration span) noexcept override { advance(span); }

 private:
  void move_to(time_point to) noexcept {
    if (to > now()) now_.store(to.time_since_epoch().count(), std::memory_order_relaxed);
  }
  std::atomic<duration::rep> now_{start.time_since_epoch().count()};  // written by the loop, read by any thread
  wall_time wall_start_ = default_wall;
};

}  // namespace AGAIN_ABI
}  // namespace again
