// SPDX-License-Identifier: MIT
#include <again/policy/live_policy.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;

TEST_CASE("a change is seen by the calls made after it; a running call keeps its own") {
  world w;
  again::live_policy live{again::policy{.attempts = 5, .backoff = again::constant(1s), .jitter = again::jitter::none}};
  int sends = 0;
  const auto failing = [&sends]() -> again::task<outcome> {
    ++sends;
    co_return fail(1);
  };
  auto first = [&]() -> again::task<int> {
    const auto r = co_await again::retry(live.now(), failing);
    co_return r.error().attempts();
  };
  auto second = [&]() -> again::task<int> {
    (void)co_await again::sleep_for(1500ms);
    live.change({.attempts = 2, .backoff = again::constant(1s), .jitter = again::jitter::none});
    const auto r = co_await again::retry(live.now(), failing);
    co_return r.error().attempts();
  };
  const auto [a, b] = w.run(again::when_all(first(), second()));
  CHECK(a == 5);
  CHECK(b == 2);
  CHECK(live.version() == 1);
}

TEST_CASE("a policy that breaks a rule is refused and changes nothing") {
  again::live_policy live{again::policy{.attempts = 3}};
  CHECK_THROWS_AS(live.change({.attempts = 0}), std::invalid_argument);
  CHECK_THROWS_AS(again::live_policy(again::policy{.attempts = 0}), std::invalid_argument);
  CHECK(*live.now() == again::policy{.attempts = 3});
}

TEST_CASE("a copy is a checked policy: a retry does not validate it again") {
  const again::live_policy live{again::policy{.attempts = 3}};
  static_assert(std::is_same_v<decltype(live.now()), again::checked_policy>);
  CHECK(live.now()->attempts == 3);
}

TEST_CASE("a copy is never torn while other threads change the policy") {
  const auto numbered = [](int n) {
    return again::policy{
        .attempts = n, .backoff = again::constant(n * 1ms), .deadline = n * 1s, .server_delay_max = n * 1h};
  };
  again::live_policy live{numbered(1)};
  std::atomic<bool> done{false};
  std::atomic<int> torn{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        const again::policy p = live.now();
        if (p != numbered(p.attempts)) ++torn;
      }
    });
  }
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&] {
      for (int i = 1; i < 3000; ++i) live.change(numbered(i));
    });
  }
  for (std::thread& t : writers) t.join();
  done = true;
  for (std::thread& t : readers) t.join();
  CHECK(torn == 0);
  CHECK(*live.now() == numbered(2999));
  CHECK(live.version() == 2 * 2999);
}
