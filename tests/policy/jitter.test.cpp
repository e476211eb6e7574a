// SPDX-License-Identifier: MIT
#include <again/policy/jitter.hpp>

#include <again/core/random.hpp>

#include <doctest/doctest.h>

#include <limits>

using namespace std::chrono_literals;
using again::delay_range;
using again::duration;
using again::forever;
using again::jitter;

static_assert(jitter{} == jitter::full);  // as the table of a policy's defaults says
static_assert(jitter{jitter::kinds::none} == jitter::none && jitter{jitter::kinds::equal} == jitter::equal);
static_assert(jitter::proportional(0) != jitter::none && jitter::proportional(0.2) != jitter::proportional(0.25));
static_assert(again::spread(jitter::full, 2s, 10s) == delay_range{0s, 2s});

TEST_CASE("each jitter spreads a delay over its own range") {
  CHECK(again::spread(jitter::none, 2s, 10s) == delay_range{2s, 2s});
  CHECK(again::spread(jitter::full, 2s, 10s) == delay_range{0s, 2s});
  CHECK(again::spread(jitter::equal, 2s, 10s) == delay_range{1s, 2s});
  CHECK(again::spread(jitter::proportional(0.25), 2s, 10s) == delay_range{1500ms, 2500ms});
}

TEST_CASE("Polly's 25 % around one second, and around the second delay of a linear one") {
  const delay_range one = again::spread(jitter::proportional(0.25), 1s, forever);
  CHECK(one.at(0) == 750ms);
  CHECK(one.at(0.4) == 950ms);
  CHECK(one.at(0.6) == 1050ms);
  CHECK(one.at(1) == 1250ms);
  const delay_range two = again::spread(jitter::proportional(0.25), 3s, forever);
  CHECK(two.at(0) == 2250ms);
  CHECK(two.at(0.4) == 2850ms);
  CHECK(two.at(0.5) == 3s);
  CHECK(two.at(0.6) == 3150ms);
  CHECK(two.at(1) == 3750ms);
}

TEST_CASE("the cap cuts the range before the draw, so that delays do not collect at it") {
  CHECK(again::spread(jitter::proportional(0.25), 9s, 10s) == delay_range{6750ms, 10s});
  CHECK(again::spread(jitter::full, 1h, 10s) == delay_range{0s, 10s});
  again::random_stream random{3};
  const delay_range range = again::spread(jitter::proportional(0.5), 9s, 10s);
  int at_cap = 0;
  duration sum{};
  constexpr int count = 100'000;
  for (int i = 0; i < count; ++i) {
    const duration d = range.at(random.draw());
    REQUIRE((d >= 4500ms && d <= 10s));
    at_cap += d == 10s;
    sum += d;
  }
  CHECK(at_cap == 0);
  CHECK(std::chrono::duration<double>(sum).count() / count == doctest::Approx(7.25).epsilon(0.005));
}

// folly's retry jitter clamps a normal distribution at its minimum, and half of all delays are exactly that.
TEST_CASE("at most one draw in 100,000 gives exactly the shortest or the longest delay of a spread") {
  again::random_stream random{5};
  for (const jitter j : {jitter::full, jitter::equal, jitter::proportional(0.25)}) {
    const delay_range range = again::spread(j, 1s, 10s);
    int at_ends = 0;
    for (int i = 0; i < 100'000; ++i) {
      const duration d = range.at(random.draw());
      at_ends += d == range.least || d == range.most;
    }
    CHECK(at_ends <= 1);
  }
}

// tower's exponential backoff multiplies its jitter away: the mean extra delay is 0 whatever the setting.
TEST_CASE("the mean of a spread is its middle, and it does vary") {
  again::random_stream random{7};
  const delay_range range = again::spread(jitter::proportional(0.99), 1s, forever);
  double sum = 0;
  double squares = 0;
  constexpr int count = 200'000;
  for (int i = 0; i < count; ++i) {
    const double d = std::chrono::duration<double>(range.at(random.draw())).count();
    sum += d;
    squares += d * d;
  }
  const double mean = sum / count;
  CHECK(mean == doctest::Approx(1.0).epsilon(0.005));
  CHECK(squares / count - mean * mean == doctest::Approx(0.99 * 0.99 / 3).epsilon(0.01));
  const delay_range upper = again::spread(jitter::equal, 2s, forever);  // one second and up to one more
  double extra = 0;
  for (int i = 0; i < count; ++i) extra += std::chrono::duration<double>(upper.at(random.draw()) - upper.least).count();
  CHECK(extra / count == doctest::Approx(0.5).epsilon(0.005));
}

TEST_CASE("a draw outside [0, 1) counts as the nearest draw inside it") {
  const delay_range range{1s, 2s};
  CHECK(range.at(-1) == 1s);
  CHECK(range.at(2) == 2s);
  CHECK(range.at(std::numeric_limits<double>::infinity()) == 2s);
  CHECK(range.at(std::numeric_limits<double>::quiet_NaN()) == 1s);
}

TEST_CASE("no spread overflows at the longest durations") {
  for (const jitter j : {jitter::none, jitter::full, jitter::equal, jitter::proportional(0), jitter::proportional(1)}) {
    for (const duration v : {duration{0}, duration{1}, forever - 1ns, forever}) {
      for (const duration cap : {duration{0}, duration{1}, duration{1s}, forever}) {
        const delay_range range = again::spread(j, v, cap);
        for (const double draw : {0.0, 0.5, 1 - 0x1p-53, 1.0}) {
          const duration d = range.at(draw);
          REQUIRE(d >= range.least);
          REQUIRE(d <= range.most);
          REQUIRE(range.least >= 0ns);
          REQUIRE(range.most <= cap);
        }
      }
    }
  }
}
