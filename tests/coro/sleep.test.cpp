// SPDX-License-Identifier: MIT
#include <again/coro/sleep.hpp>

#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>

#include "support/minimal_coroutine.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using again::task;
using again_test::world;

TEST_CASE("a sleep lasts exactly as long as it says, in nanoseconds of pretend time") {
  world w;
  CHECK(w.run(again::sleep_for(1500us)));
  CHECK(w.elapsed() == 1500us);
  CHECK(w.run(again::sleep_until(again::virtual_clock::start + 1s)));
  CHECK(w.elapsed() == 1s);
}

TEST_CASE("a sleep that is over before it begins does not suspend") {
  world w;
  CHECK(w.run(again::sleep_for(0s)));
  CHECK(w.run(again::sleep_for(-1h)));
  CHECK(w.run(again::sleep_for(std::chrono::duration<double>{std::numeric_limits<double>::quiet_NaN()})));
  CHECK(w.run(again::sleep_until(again::virtual_clock::start - 1h)));
  CHECK(w.elapsed() == 0s);
}

TEST_CASE("a stop request wakes a sleeper at once, and an earlier one prevents the sleep") {
  world w;
  again::inplace_stop_source stop;
  const auto stops = [&]() -> task<> {
    (void)co_await again::sleep_for(1min);
    stop.request_stop();
  };
  const auto both = [&]() -> task<bool> {
    auto [slept, none] = co_await again::when_all([] { return again::sleep_for(1h); }, stops());
    (void)none;
    co_return slept;
  };
  CHECK_FALSE(w.run(both(), stop.get_token()));
  CHECK(w.elapsed() == 1min);
  CHECK_FALSE(w.run(again::sleep_for(1h), stop.get_token()));
  CHECK(w.elapsed() == 1min);
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("only a stop request ends an endless sleep") {
  world w;
  again::inplace_stop_source stop;
  const auto stops = [&]() -> task<> {
    (void)co_await again::sleep_for(24h * 365);
    stop.request_stop();
  };
  const auto both = [&]() -> task<bool> {
    auto [slept, none] = co_await again::when_all([] { return again::sleep{again::forever}; }, stops());
    (void)none;
    co_return slept;
  };
  CHECK_FALSE(w.run(both(), stop.get_token()));
}

TEST_CASE("destroying a sleeper disarms its timer") {
  world w;
  const auto drowsy = []() -> again_test::bare<int> {
    (void)co_await again::sleep_for(1h);
    co_return 1;
  };
  bool done = false;
  w.loop.run_until([&] {
    if (!done) {
      auto sleeper = drowsy();
      sleeper.resume();
      CHECK(w.loop.timers() == 1);
    }
    return std::exchange(done, true);
  });
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("yield lets everything else that is ready run first") {
  world w;
  std::vector<int> order;
  const auto counts = [&](int id) -> task<> {
    for (int i = 0; i < 3; ++i) {
      order.push_back(id);
      co_await again::yield();
    }
  };
  const auto both = [&]() -> task<> { (void)co_await again::when_all(counts(1), counts(2)); };
  w.run(both());
  CHECK(order == std::vector<int>{1, 2, 1, 2, 1, 2});
}
