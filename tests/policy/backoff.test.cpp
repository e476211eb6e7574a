// SPDX-License-Identifier: MIT
#include <again/policy/backoff.hpp>

#include <again/core/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using again::backoff;
using again::backoff_state;
using again::delay_range;
using again::duration;
using again::forever;
using again::jitter;

namespace {

double seconds(duration d) { return std::chrono::duration<double>(d).count(); }

std::vector<double> series(const backoff& b, int count) {
  std::vector<double> delays;
  for (int n = 1; n <= count; ++n) delays.push_back(seconds(again::nominal_delay(b, n)));
  return delays;
}
using list = std::vector<double>;

}  // namespace

static_assert(again::nominal_delay(again::exponential(1s, 20s), 5) == 16s);

TEST_CASE("the table in the header shows the delays that the kinds give") {
  CHECK(series(again::constant(1s), 6) == list{1, 1, 1, 1, 1, 1});
  CHECK(series(again::linear(1s, 20s), 6) == list{1, 2, 3, 4, 5, 6});
  CHECK(series(again::exponential(1s, 20s), 6) == list{1, 2, 4, 8, 16, 20});
  CHECK(series(again::fibonacci(1s, 20s), 6) == list{1, 1, 2, 3, 5, 8});
  CHECK(series(again::fixed(1s, 5s, 500ms), 5) == list{1, 5, 0.5, 0.5, 0.5});
  CHECK(series(again::fixed(1s, 2s, 3s, 4s, 5s, 6s, 7s, 8s, 9s, 10s), 11) == list{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10});
}

TEST_CASE("azure: one second doubled, capped at 20 s, and at 2147483647 s from the 32nd attempt on") {
  CHECK(series(again::exponential(1s, 20s), 7) == list{1, 2, 4, 8, 16, 20, 20});
  const backoff b = again::exponential(1s, 2147483647s);
  CHECK(again::nominal_delay(b, 31) == 1073741824s);
  CHECK(again::nominal_delay(b, 32) == 2147483647s);
  CHECK(again::nominal_delay(b, 33) == 2147483647s);
  CHECK(again::nominal_delay(b, 1'000'000) == 2147483647s);
}

TEST_CASE("backon: exponential by 2 and by 1.5, Fibonacci; late attempts stay at the longest duration") {
  CHECK(series(again::exponential(1s, forever), 3) == list{1, 2, 4});
  CHECK(series(again::exponential(1s, forever, 1.5), 3) == list{1, 1.5, 2.25});
  CHECK(series(again::fibonacci(1s, forever), 6) == list{1, 1, 2, 3, 5, 8});
  CHECK(again::nominal_delay(again::exponential(1s, forever), 100) == forever);
  CHECK(again::nominal_delay(again::fibonacci(1s, forever), 200) == forever);
}

TEST_CASE("Fibonacci of 2 s under 30 s never passes 30 s (backon gives 42)") {
  CHECK(series(again::fibonacci(2s, 30s), 9) == list{2, 2, 4, 6, 10, 16, 26, 30, 30});
}

TEST_CASE("cenkalti: 500 ms doubled stays at its cap of 5 s") {
  CHECK(series(again::exponential(500ms, 5s), 7) == list{0.5, 1, 2, 4, 5, 5, 5});
}

TEST_CASE("urllib3: the first retry at once, then 0.4 s, 0.8 s, 1.6 s; cap 120 s") {
  const backoff b = again::exponential(200ms, 120s).at_once_first();
  CHECK(series(b, 5) == list{0, 0.4, 0.8, 1.6, 3.2});
  CHECK(again::nominal_delay(b, 12) == 120s);
  CHECK(again::delay_bounds(b, jitter::full, 1) == delay_range{0s, 0s});
}

TEST_CASE("curl: 1 s doubled up to ten minutes") {
  CHECK(series(again::exponential(1s, 600s), 12) == list{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600});
}

TEST_CASE("Envoy: the nth retry within (2^n - 1) times 25 ms, at most 250 ms, as a series with full jitter") {
  const backoff b = again::fixed(25ms, 75ms, 175ms, 250ms);
  CHECK(again::delay_bounds(b, jitter::full, 1) == delay_range{0ms, 25ms});
  CHECK(again::delay_bounds(b, jitter::full, 2) == delay_range{0ms, 75ms});
  CHECK(again::delay_bounds(b, jitter::full, 3) == delay_range{0ms, 175ms});
  CHECK(again::delay_bounds(b, jitter::full, 4) == delay_range{0ms, 250ms});
  CHECK(again::delay_bounds(b, jitter::full, 9) == delay_range{0ms, 250ms});
}

TEST_CASE("google-cloud-cpp: full jitter under 10, 20, 40, 50 ms, and factor 1.5 under 150, 225, 338 ms") {
  const backoff b = again::exponential(10ms, 50ms);
  again::random_stream random{1};
  for (int round = 0; round < 1000; ++round) {
    backoff_state state;
    for (const duration most : {10ms, 20ms, 40ms, 50ms, 50ms}) {
      const int n = most == 10ms ? 1 : most == 20ms ? 2 : most == 40ms ? 3 : 4;
      const duration d = again::jittered_delay(b, jitter::full, n, random.draw(), state);
      REQUIRE((d >= 0ms && d <= most));
    }
  }
  const backoff slow = again::exponential(100ms, 10s, 1.5);
  CHECK(again::nominal_delay(slow, 2) <= 150ms);
  CHECK(again::nominal_delay(slow, 3) <= 225ms);
  CHECK(again::nominal_delay(slow, 4) <= 338ms);
}

TEST_CASE("Polly V2: the published values for constant draws") {
  struct row {
    double draw;
    std::array<double, 6> delays;
  };
  const double almost = 1 - 0x1p-53;
  const row rows[] = {
      {0, {0, 1.377182257, 1.460067301, 2.865849862, 5.717806862, 11.430272441}},
      {.25, {.646923706, 1.013569986, 1.720438287, 3.404509883, 6.798370009, 13.592377963}},
      {.5, {.897404936, 1.093003547, 2.035747963, 4.045979423, 8.08363161, 16.163662812}},
      {.75, {1.128360242, 1.250132212, 2.414000608, 4.809442735, 9.612263966, 19.221528867}},
      {almost, {1.377182257, 1.460067301, 2.865849862, 5.717806862, 11.430272441, 22.858027054}},
  };
  for (const row& r : rows) {
    backoff_state state;
    for (int n = 1; n <= 6; ++n) {
      const duration d = again::jittered_delay(again::polly_v2(1s, forever), jitter::none, n, r.draw, state);
      const double wanted = r.delays[static_cast<std::size_t>(n - 1)];
      CHECK(std::abs(seconds(d) - wanted) < 2e-9);
    }
  }
}

TEST_CASE("Polly V2: random draws have the published medians, the published maxima, and are never negative") {
  again::random_stream random{11};
  constexpr std::size_t count = 40'000;
  std::array<std::vector<double>, 6> delays;
  for (std::size_t i = 0; i < count; ++i) {
    backoff_state state;
    for (std::size_t n = 0; n < delays.size(); ++n) {
      const duration d = again::jittered_delay(again::polly_v2(1s, forever), jitter::none, static_cast<int>(n) + 1,
                                               random.draw(), state);
      REQUIRE(d >= 0s);
      delays[n].push_back(seconds(d));
    }
  }
  const double medians[] = {0.897, 1.138, 2.022, 4.008, 8.023, 16.00};
  const double maxima[] = {1.3772, 2.8142, 4.3211, 8.5761};
  for (std::size_t n = 0; n < delays.size(); ++n) {
    auto& d = delays[n];
    std::nth_element(d.begin(), d.begin() + count / 2, d.end());
    CHECK(d[count / 2] == doctest::Approx(medians[n]).epsilon(0.02));
    if (n < 4) CHECK(*std::max_element(d.begin(), d.end()) <= maxima[n]);
    const delay_range bounds = again::delay_bounds(again::polly_v2(1s, forever), jitter::none, static_cast<int>(n) + 1);
    CHECK(*std::max_element(d.begin(), d.end()) <= seconds(bounds.most));
  }
}

TEST_CASE("Polly V2 stays at its cap where its curve overflows a double") {
  const backoff b = again::polly_v2(1s, 30s);
  again::random_stream random{13};
  backoff_state state;
  for (int n = 1; n <= 3000; ++n) {
    const duration d = again::jittered_delay(b, jitter::none, n, random.draw(), state);
    REQUIRE(d <= 30s);
    if (n > 10) REQUIRE(d >= 1s);
    if (n > 200) REQUIRE(d >= 15s);
  }
  CHECK(again::delay_bounds(b, jitter::none, 5000).most == 30s);
  backoff_state none;
  CHECK(again::jittered_delay(again::polly_v2(0s, 30s), jitter::none, 2000, 0.5, none) == 0s);
}

TEST_CASE("decorrelated: between the base and three times the delay before, also in the mean") {
  const backoff b = again::decorrelated(100ms, 20s);
  again::random_stream random{17};
  double first = 0;
  constexpr int count = 20'000;
  for (int i = 0; i < count; ++i) {
    backoff_state state;
    duration previous = 100ms;
    for (int n = 1; n <= 8; ++n) {
      const duration d = again::jittered_delay(b, jitter::none, n, random.draw(), state);
      REQUIRE(d >= 100ms);
      REQUIRE(d <= std::min<duration>(3 * previous, 20s));
      if (n == 1) first += seconds(d);
      previous = d;
    }
  }
  CHECK(first / count == doctest::Approx(0.2).epsilon(0.01));
}

TEST_CASE("the delays of a random backoff do not collect at its cap") {
  for (const backoff& b : {again::decorrelated(100ms, 1s), again::polly_v2(300ms, 1s)}) {
    again::random_stream random{19};
    int at_cap = 0;
    for (int i = 0; i < 2'000; ++i) {
      backoff_state state;
      for (int n = 1; n <= 20; ++n) at_cap += again::jittered_delay(b, jitter::full, n, random.draw(), state) == 1s;
    }
    CHECK(at_cap == 0);
  }
}

TEST_CASE("no kind, attempt or draw overflows, goes negative, passes the cap, or leaves its bounds") {
  std::vector<backoff> kinds;
  const duration spans[] = {0ns, 1ns, 999ns, 1s, 1h, forever / 2, forever - 1ns, forever};
  for (const duration base : spans) {
    for (const duration cap : spans) {
      if (base > cap) continue;
      for (const double factor : {1.0, 1.001, 2.0, 1e9}) kinds.push_back(again::exponential(base, cap, factor));
      kinds.push_back(again::linear(base, cap));
      kinds.push_back(again::fibonacci(base, cap));
      kinds.push_back(again::decorrelated(base, cap));
      kinds.push_back(again::polly_v2(base, cap));
    }
    kinds.push_back(again::constant(base));
    kinds.push_back(again::fixed(base, forever, 0ns));
  }
  const std::size_t plain = kinds.size();
  for (std::size_t i = 0; i < plain; ++i) kinds.push_back(kinds[i].at_once_first());
  again::random_stream random{23};
  for (const backoff& b : kinds) {
    for (const jitter j : {jitter::none, jitter::full, jitter::equal, jitter::proportional(1)}) {
      for (const int n :
           {std::numeric_limits<int>::min(), 0, 1, 2, 3, 64, 1000, 1002, 1'000'000, std::numeric_limits<int>::max()}) {
        const duration nominal = again::nominal_delay(b, n);
        REQUIRE((nominal >= 0ns && nominal <= b.cap));
        const delay_range bounds = again::delay_bounds(b, j, n);
        REQUIRE((bounds.least >= 0ns && bounds.least <= bounds.most && bounds.most <= b.cap));
        for (const double draw : {0.0, random.draw(), 1 - 0x1p-53, 1.0}) {
          backoff_state state;
          const duration d = again::jittered_delay(b, j, n, draw, state);
          if (b.random()) {
            REQUIRE((d >= 0ns && d <= b.cap));  // bounds are for a state that came from the attempts before
          } else {
            REQUIRE((d >= bounds.least && d <= bounds.most));
          }
        }
      }
      backoff_state state;
      for (int n = 1; n <= 70; ++n) {
        const duration d = again::jittered_delay(b, j, n, random.draw(), state);
        const delay_range bounds = again::delay_bounds(b, j, n);
        REQUIRE((d >= bounds.least && d <= bounds.most));
      }
    }
  }
}

TEST_CASE("a backoff waits unless every delay is zero") {
  CHECK(again::waits(again::constant(1ns)));
  CHECK_FALSE(again::waits(again::constant(0s)));
  CHECK_FALSE(again::waits(again::polly_v2(0s, 1s)));
  CHECK(again::waits(again::fixed(0s, 1s)));
}
