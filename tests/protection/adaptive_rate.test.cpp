// SPDX-License-Identifier: MIT
#include <again/protection/adaptive_rate.hpp>

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;

namespace {
constexpr again::time_point zero{1h};
const again::verdict throttled{.reach = again::reach::answered, .code = 429};
const again::verdict broken{.reach = again::reach::answered, .code = 500};
}  // namespace

// botocore, tests/unit/retries: the curve's constants.
TEST_CASE("the curve's zero point: w_max 10 gives k = 1.9574338205844317") {
  CHECK(std::abs(again::cubic_rate{10}.k() - 1.9574338205844317) < 1e-12);
}
TEST_CASE("throttled at a rate of 8 the new rate is 5.6 and k = 1.8171205928321397") {
  again::cubic_rate curve{10};
  CHECK(std::abs(curve.throttled(8, 1) - 5.6) < 1e-12);
  CHECK(std::abs(curve.k() - 1.8171205928321397) < 1e-12);
}
TEST_CASE(
    "after being throttled the curve starts at the new rate, is back at the old one after k seconds, and goes on") {
  again::cubic_rate curve{10};
  const double low = curve.throttled(8, 100);
  CHECK(curve.at(100) == doctest::Approx(low));
  CHECK(curve.at(100 + curve.k()) == doctest::Approx(8));
  CHECK(curve.at(104) > 8);
  double before = 0;
  for (double t = 100; t < 110; t += 0.1) {
    CHECK(curve.at(t) >= before);
    before = curve.at(t);
  }
}

TEST_CASE("it is idle until the first throttled response") {
  again::adaptive_rate r;
  for (int i = 0; i < 1000; ++i) {
    CHECK(r.turn(zero) == zero);
    r.outcome(zero, i % 2 == 0 ? &broken : nullptr);
  }
  CHECK(r.rate() == std::numeric_limits<double>::infinity());
}

TEST_CASE("a throttled response sets the rate to 0.7 of what was measured, never below one in two seconds") {
  again::adaptive_rate r;
  again::time_point now = zero;
  for (int i = 0; i < 100; ++i) {  // 20 a second
    now += 50ms;
    r.outcome(now, nullptr);
  }
  CHECK(r.measured() == doctest::Approx(20).epsilon(0.05));
  const double before = r.measured();
  r.outcome(now, &throttled);
  CHECK(r.rate() == doctest::Approx(before * 0.7));
  for (int i = 0; i < 50; ++i) r.outcome(now, &throttled);
  CHECK(r.rate() == 0.5);
}

TEST_CASE("a turn too far away is refused and not taken") {
  again::adaptive_rate r{3s};
  r.outcome(zero, &throttled);
  CHECK(r.rate() == 0.5);
  CHECK(r.turn(zero) == zero + 2s);
  CHECK(r.turn(zero) == again::never);
  CHECK(r.refused() == 1);
  r.give_back(zero + 2s);
  CHECK(r.turn(zero) == zero + 2s);
}

TEST_CASE("a turn given back goes to the next to ask only if it was the last one given") {
  again::adaptive_rate r{1h};
  r.outcome(zero, &throttled);
  CHECK(r.turn(zero) == zero + 2s);
  CHECK(r.turn(zero) == zero + 4s);
  r.give_back(zero + 2s);
  CHECK(r.turn(zero + 1s) == zero + 6s);  // and not the same moment as the second
}

TEST_CASE("8 threads: no two get the same turn, whatever is learned meanwhile") {
  again::adaptive_rate r{1000h};
  r.outcome(zero, &throttled);
  std::mutex mutex;
  std::vector<again::time_point> turns;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const again::time_point at = r.turn(zero);
        r.outcome(zero, i % 2 == 0 ? &throttled : nullptr);  // the rate stays the least: no time passes
        (void)r.rate();
        (void)r.measured();
        const std::lock_guard lock{mutex};
        turns.push_back(at);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  std::sort(turns.begin(), turns.end());
  CHECK(turns.size() == 1600);
  CHECK(std::adjacent_find(turns.begin(), turns.end()) == turns.end());
  CHECK(turns.back() == zero + 3200s);
}

TEST_CASE("against a server that takes 10 a second it settles near that, from far above") {
  world w;
  again::adaptive_rate learned{1h};
  double tokens = 10;
  again::time_point filled = w.time.now();
  int accepted = 0;
  int refused = 0;
  struct throttle_error {
    again::verdict verdict() const { return throttled; }
  };
  const auto send = [&]() -> again::task<again::expected<int, throttle_error>> {
    const again::time_point now = w.time.now();
    tokens = std::min(10.0, tokens + std::chrono::duration<double>(now - filled).count() * 10);
    filled = now;
    if (tokens < 1) {
      ++refused;
      co_return again::expected<int, throttle_error>{again::unexpect, throttle_error{}};
    }
    --tokens;
    ++accepted;
    co_return 1;
  };
  auto client = [&]() -> again::task<> {
    auto op = again::rate(learned, send);
    while (w.elapsed() < 300s) {
      (void)co_await op;
      (void)co_await again::sleep_for(10ms);
    }
  };
  auto all = [&]() -> again::task<> {
    again::scope clients{co_await again::get_context()};
    for (int i = 0; i < 4; ++i) clients.spawn(client());  // without a limit: up to 400 a second
    co_await clients.join();
  };
  w.run(all());
  CHECK(accepted > 300 * 7);
  CHECK(refused < accepted / 4);
}
