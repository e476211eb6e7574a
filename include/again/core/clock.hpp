// SPDX-License-Identifier: MIT
/// \file
/// Time: `duration`, `time_point`, saturating arithmetic on them, and `clock`, from which a loop takes the time.
///
/// ```cpp
/// again::duration d = again::saturating_cast(3h);                  // any std::chrono duration
/// again::time_point end = again::saturating_add(loop.now(), d);    // at most again::never
/// ```
///
/// - Durations are measured on the steady clock. The wall clock is used for HTTP dates only.
/// - Both clocks come from one `clock` object, so a program runs unchanged under `virtual_clock`.
/// - A duration is 64 bits of nanoseconds: 292 years. Sums and products saturate at `forever` instead of overflowing.
#pragma once

#include <again/core/expected.hpp>

// Of <chrono> only durations, time points and two clocks are needed. In libstdc++, <mutex> includes those without
// calendars, time zones and formatting, and compiles in a fifth of the time.
#if defined(_GLIBCXX_RELEASE) && _GLIBCXX_RELEASE >= 12 && _GLIBCXX_RELEASE <= 16
#include <mutex>
#else
#include <chrono>
#endif

#include <concepts>
#include <type_traits>

namespace again {
inline namespace AGAIN_ABI {

using duration = std::chrono::nanoseconds;
using time_point = std::chrono::time_point<std::chrono::steady_clock, duration>;
using wall_time = std::chrono::time_point<std::chrono::system_clock, duration>;

/// A duration in a struct of settings or as an argument, such as `.deadline = 5s`. What converts to `duration` converts to
/// it. A plain number is a compile error that asks for the unit.
struct duration_with_unit : duration {
  constexpr duration_with_unit() noexcept : duration{} {}
  template <std::convertible_to<duration> Duration>
  constexpr duration_with_unit(const Duration& d) noexcept : duration(static_cast<duration>(d)) {}
  template <class Number>
    requires std::is_arithmetic_v<Number>
  constexpr duration_with_unit(Number number) noexcept
      : duration(std::chrono::milliseconds{1} * static_cast<rep>(number)) {
    static_assert(!std::is_arithmetic_v<Number>,
                  "again: a duration needs a unit: write 5s or 5000ms (after `using namespace std::chrono_literals;`)");
  }
};

/// No bound. It compares as later or longer than every other value.
inline constexpr duration forever = duration::max();
inline constexpr time_point never = time_point::max();

/// `a + b`, at most `forever`. Neither may be negative.
constexpr duration saturating_add(duration a, duration b) noexcept { return a > forever - b ? forever : a + b; }

/// `t + d`, at most `never`. `d` may not be negative.
constexpr time_point saturating_add(time_point t, duration d) noexcept {
  return t.time_since_epoch().count() > 0 && d > forever - t.time_since_epoch() ? never : t + d;
}

/// `d * x` rounded to a nanosecond, between 0 and `forever`; NaN and negative products give 0.
constexpr duration saturating_scale(duration d, double x) noexcept {
  const double scaled = static_cast<double>(d.count()) * x;
  if (!(scaled > 0)) return duration::zero();
  if (scaled >= 9223372036854775807.0) return forever;
  return duration{static_cast<duration::rep>(scaled + (scaled < 4503599627370496.0 ? 0.5 : 0.0))};
}

/// Any std::chrono duration as ours, saturating at ±`forever` where a plain cast would overflow; NaN gives 0.
template <class Rep, class Period> constexpr duration saturating_cast(std::chrono::duration<Rep, Period> d) noexcept {
  using seconds = std::chrono::duration<double>;
  constexpr double most = 9223372036.0;
  const double s = std::chrono::duration_cast<seconds>(d).count();
  if (s != s) return duration::zero();  // NaN
  return s >= most ? forever : s <= -most ? -forever : std::chrono::duration_cast<duration>(d);
}

/// The clocks of a `run_loop`. This class is the machine's clocks; `virtual_clock` is pretend time. Thread: `now` and
/// `wall_now` may be called from any thread; only the loop that uses the clock calls `jump` and `elapse`.
class clock {
 public:
  clock() = default;
  clock(const clock&) = delete;
  clock& operator=(const clock&) = delete;
  virtual ~clock() = default;

  virtual time_point now() const noexcept {
    return std::chrono::time_point_cast<duration>(std::chrono::steady_clock::now());
  }
  virtual wall_time wall_now() const noexcept {
    return std::chrono::time_point_cast<duration>(std::chrono::system_clock::now());
  }

  /// The loop has nothing to run before `next`. A pretend clock advances to `next` and returns true. A real clock
  /// returns false, and the loop sleeps.
  virtual bool jump(time_point /*next*/) noexcept { return false; }

  /// The loop has slept for the real time `span`, because work outside of it (a send on a socket) was running.
  virtual void elapse(duration /*span*/) noexcept {}
};

/// The machine's clocks: one object for the whole program.
inline clock& system_clocks() noexcept {
  static clock instance;
  return instance;
}

}  // namespace AGAIN_ABI
}  // namespace again
