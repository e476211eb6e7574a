// SPDX-License-Identifier: MIT
/// \file
/// `virtual_clock`: pretend time. A loop on it never sleeps for a timer: when nothing else is left to do it jumps there, so
/// that an hour's outage runs in milliseconds and every run is the same.
///
/// ```cpp
/// again::virtual_clock time;
/// again::run_loop loop{time, 42};             // 42: the seed of all jitter
/// again::sync_wait(loop, simulation());
/// assert(time.now() - again::virtual_clock::start == 1h);
/// ```
///
/// While work outside the loop runs (a send on a real socket), pretend time goes on at the pace of real time and does not
/// jump: timeouts keep their meaning, waits between attempts cost nothing. Used by one loop at a time; `now` from any thread.
#pragma once

#include <again/core/clock.hpp>

#include <atomic>

namespace again {
inline namespace AGAIN_ABI {

class virtual_clock final : public clock {
 public:
  /// Where pretend steady time starts; a day in, so that subtracting does not surprise.
  static constexpr time_point start{std::chrono::hours{24}};
  /// Where the pretend wall clock starts unless told otherwise: 2024-01-01T00:00:00Z.
  static constexpr wall_time default_wall{std::chrono::seconds{1'704'067'200}};

  virtual_clock() noexcept = default;
  explicit virtual_clock(wall_time wall_start) noexcept : wall_start_{wall_start} {}

  time_point now() const noexcept override { return time_point{duration{now_.load(std::memory_order_relaxed)}}; }
  wall_time wall_now() const noexcept override { return wall_start_ + (now() - start); }

  /// Moves on by hand; for tests that drive time themselves.
  void advance(duration by) noexcept { move_to(saturating_add(now(), by)); }

  bool jump(time_point next) noexcept override {
    if (next != never) move_to(next);
    return true;
  }
  void elapse(duration span) noexcept override { advance(span); }

 private:
  void move_to(time_point to) noexcept {
    if (to > now()) now_.store(to.time_since_epoch().count(), std::memory_order_relaxed);
  }
  std::atomic<duration::rep> now_{start.time_since_epoch().count()};  // written by the loop, read by anyone
  wall_time wall_start_ = default_wall;
};

}  // namespace AGAIN_ABI
}  // namespace again
