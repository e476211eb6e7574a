// SPDX-License-Identifier: MIT
#include <again/core/clock.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <ratio>
#include <type_traits>

using namespace std::chrono_literals;
using again::duration;
using again::forever;

TEST_CASE("sums of durations saturate at forever, sums of times at never") {
  CHECK(again::saturating_add(1s, 2s) == 3s);
  CHECK(again::saturating_add(forever, 1ns) == forever);
  CHECK(again::saturating_add(forever, forever) == forever);
  CHECK(again::saturating_add(forever - 1ns, 1ns) == forever);
  CHECK(again::saturating_add(again::time_point{5s}, 1s) == again::time_point{6s});
  CHECK(again::saturating_add(again::never, 1ns) == again::never);
  CHECK(again::saturating_add(again::time_point{1ns}, forever) == again::never);
  CHECK(again::saturating_add(again::time_point{-1s}, forever) < again::never);
}

TEST_CASE("products round to a nanosecond and stay between 0 and forever") {
  CHECK(again::saturating_scale(100ms, 1.5) == 150ms);
  CHECK(again::saturating_scale(3ns, 0.5) == 2ns);
  CHECK(again::saturating_scale(1s, -1) == 0s);
  CHECK(again::saturating_scale(forever, 2) == forever);
  CHECK(again::saturating_scale(forever, 1) == forever);
  CHECK(again::saturating_scale(1ns, std::numeric_limits<double>::infinity()) == forever);
  CHECK(again::saturating_scale(0ns, std::numeric_limits<double>::infinity()) == 0ns);
  CHECK(again::saturating_scale(1s, std::numeric_limits<double>::quiet_NaN()) == 0ns);
}

TEST_CASE("a duration with a unit is made from every duration that fits, and is one") {
  using again::duration_with_unit;
  constexpr duration_with_unit five = 5s;
  CHECK(five == 5'000ms);
  CHECK(duration_with_unit{} == 0ns);
  const duration plain = five;
  CHECK(plain == 5s);
  static_assert(std::is_convertible_v<std::chrono::hours, duration_with_unit>);
  static_assert(!std::is_convertible_v<std::chrono::duration<double>, duration_with_unit>);  // would lose a fraction
  static_assert(std::is_trivially_copyable_v<duration_with_unit> && sizeof(duration_with_unit) == sizeof(duration));
}

TEST_CASE("saturating_cast saturates where duration_cast would overflow") {
  CHECK(again::saturating_cast(2min) == 120s);
  CHECK(again::saturating_cast(std::chrono::hours::max()) == forever);
  CHECK(again::saturating_cast(std::chrono::hours::min()) == -forever);
  CHECK(again::saturating_cast(forever) == forever);
  CHECK(again::saturating_cast(std::chrono::duration<double>{0.25}) == 250ms);
  CHECK(again::saturating_cast(std::chrono::duration<double>{1e30}) == forever);
  CHECK(again::saturating_cast(std::chrono::duration<double>{std::numeric_limits<double>::infinity()}) == forever);
  CHECK(again::saturating_cast(std::chrono::duration<double>{std::numeric_limits<double>::quiet_NaN()}) == 0ns);
  CHECK(again::saturating_cast(std::chrono::duration<std::int64_t, std::pico>{1'500}) == 1ns);
}

TEST_CASE("the machine's clocks advance by themselves and never jump") {
  again::clock& clocks = again::system_clocks();
  CHECK(&clocks == &again::system_clocks());
  const again::time_point before = clocks.now();
  CHECK_FALSE(clocks.jump(before + 1h));
  clocks.elapse(1h);
  const again::time_point after = clocks.now();
  CHECK(after >= before);
  CHECK(after - before < 1h);
  CHECK(clocks.wall_now() > again::wall_time{1'700'000'000s});
}
