// SPDX-License-Identifier: MIT
#include <again/protection/latency.hpp>

#include <again/core/random.hpp>

#include <doctest/doctest.h>

#include <initializer_list>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

using namespace again;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<latency>);

TEST_CASE("until enough calls were seen the quantile is `at_first`") {
  latency l{{.at_first = 123ms, .enough = 3}};
  l.record(1s);
  l.record(1s);
  CHECK(l.value() == 123ms);
  l.record(1s);
  CHECK(l.value() >= 1s);
}

TEST_CASE("the quantile is at most an eighth too long") {
  for (const double q : {0.5, 0.9, 0.95, 0.99}) {
    latency l{{.quantile = q, .least = 0s}};
    random_stream random{3};
    for (int i = 0; i < 4096; ++i) l.record(saturating_scale(1s, random.draw()));
    CAPTURE(q);
    CHECK(l.value() >= saturating_scale(1s, q * 0.96));
    CHECK(l.value() <= saturating_scale(1s, q * 1.17));
  }
}

TEST_CASE("what was long ago weighs little") {
  latency l{};
  for (int i = 0; i < 5000; ++i) l.record(1s);
  for (int i = 0; i < 10'000; ++i) l.record(10ms);
  CHECK(l.value() <= 12ms);
}

TEST_CASE("the response stays between its bounds, also for the shortest and the longest calls") {
  latency quick{{.least = 5ms, .enough = 1}};
  quick.record(0s);
  CHECK(quick.value() == 5ms);
  latency slow{{.most = 2s, .enough = 1}};
  slow.record(forever);
  CHECK(slow.value() == 2s);
}

TEST_CASE("the first response keeps the bounds as well") {
  CHECK(latency{{.least = 200ms, .at_first = 100ms}}.value() == 200ms);
  CHECK(latency{{.most = 50ms, .at_first = 100ms}}.value() == 50ms);
}

TEST_CASE("8 threads: every call is counted") {
  latency l{{.quantile = 0.5, .least = 0s, .most = 1h}};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&l, t] {
      for (int i = 0; i < 1000; ++i) {
        l.record(t < 3 ? 10ms : 1s);
        (void)l.value();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (int i = 0; i < 1024; ++i) l.record(1s);  // the latest calls
  CHECK(l.value() >= 1s);
  CHECK(l.value() <= 1125ms);
}

TEST_CASE("rules that make no sense are refused") {
  CHECK_THROWS_AS(latency({.quantile = 1}), std::invalid_argument);
  CHECK_THROWS_AS(latency({.least = 2s, .most = 1s}), std::invalid_argument);
  CHECK_THROWS_AS(latency({.enough = 0}), std::invalid_argument);
  CHECK_THROWS_AS(latency({.at_first = -1ns}), std::invalid_argument);
}
