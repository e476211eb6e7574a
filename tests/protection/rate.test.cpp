// SPDX-License-Identifier: MIT
#include <again/protection/rate.hpp>

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/counting_clock.hpp"
#include "support/scripted_peer.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;

namespace {
constexpr again::time_point zero{1h};
}

TEST_CASE("after a quiet time a burst goes at once, then one at a time") {
  again::rate_limiter r{{.per_second = 10, .burst = 3}};
  for (const auto wait : {0ms, 0ms, 0ms, 100ms, 200ms, 300ms}) CHECK(r.turn(zero) - zero == wait);
  CHECK(r.turn(zero + 350ms) - zero == 400ms);
  for (const auto wait : {0ms, 0ms, 0ms, 100ms}) CHECK(r.turn(zero + 1h) - (zero + 1h) == wait);
}

TEST_CASE("a thousand calls at 50 a second all get a turn by default, and not one that is 30 s away") {
  again::rate_limiter sample{{.per_second = 50, .burst = 10}};
  again::time_point last{};
  for (int i = 0; i < 1000; ++i) last = sample.turn(zero);
  CHECK(last - zero == 19'800ms);
  again::rate_limiter slow{{.per_second = 1}};
  for (int i = 0; i <= 30; ++i) CHECK(slow.turn(zero) - zero == 1s * i);
  CHECK(slow.turn(zero) == again::never);
}

TEST_CASE("over any time t no more than burst + t × rate go") {
  again::rate_limiter r{{.per_second = 50, .burst = 5, .longest_wait = 1h}};
  std::vector<again::time_point> turns;
  again::random_stream random{7};
  again::time_point now = zero;
  for (int i = 0; i < 2000; ++i) {
    now += again::saturating_scale(30ms, random.draw());
    turns.push_back(r.turn(now));
  }
  bool held = true;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    for (std::size_t j = i + 5; j < turns.size() && j < i + 300; ++j) {
      const double span = std::chrono::duration<double>(turns[j] - turns[i]).count();
      held = held && static_cast<double>(j - i + 1) <= 5 + span * 50 + 1e-6;
    }
  }
  CHECK(held);
}

TEST_CASE("a turn beyond the longest wait is refused and not taken") {
  again::rate_limiter r{{.per_second = 1, .burst = 1, .longest_wait = 2s}};
  CHECK(r.turn(zero) == zero);
  CHECK(r.turn(zero) == zero + 1s);
  CHECK(r.turn(zero) == zero + 2s);
  CHECK(r.turn(zero) == again::never);
  CHECK(r.turn(zero) == again::never);
  CHECK(r.turn(zero + 1s) == zero + 3s);
  CHECK(r.refused() == 2);
}

TEST_CASE("a turn given back goes to the next to ask if it was the last one given") {
  again::rate_limiter r{{.per_second = 10}};
  CHECK(r.turn(zero) == zero);
  CHECK(r.turn(zero) == zero + 100ms);
  r.give_back(zero + 100ms);
  CHECK(r.turn(zero) == zero + 100ms);
  again::rate_limiter burst{{.per_second = 10, .burst = 2}};
  for (const auto wait : {0ms, 0ms, 100ms, 200ms}) CHECK(burst.turn(zero) - zero == wait);
  burst.give_back(zero + 200ms);
  burst.give_back(zero + 100ms);
  for (const auto wait : {100ms, 200ms}) CHECK(burst.turn(zero) - zero == wait);
}

TEST_CASE("a turn given back out of the middle is lost: no two get the same turn") {
  again::rate_limiter r{{.per_second = 1}};
  CHECK(r.turn(zero) == zero);       // A
  CHECK(r.turn(zero) == zero + 1s);  // B
  CHECK(r.turn(zero) == zero + 2s);  // C
  r.give_back(zero + 1s);            // B no longer wants it
  CHECK(r.turn(zero + 500ms) == zero + 3s);
}

TEST_CASE("the interval is rounded up: never more than was promised") {
  again::rate_limiter r{{.per_second = 7e8}};
  CHECK(r.turn(zero) - zero == 0ns);
  CHECK(r.turn(zero) - zero == 2ns);
  again::rate_limiter third{{.per_second = 3}};
  (void)third.turn(zero);
  CHECK(third.turn(zero) - zero == 333'333'334ns);
}

TEST_CASE("a wait that ends after the inherited deadline sends nothing") {
  world w;
  again::rate_limiter r{{.per_second = 1}};
  peer p{trouble{0, again::disposition::aborted}};
  p.gives(1).gives(2);
  auto all = [&]() -> again::task<> {
    auto op = again::rate(r, std::ref(p));
    (void)co_await op;
    again::scope side{co_await again::get_context()};
    side.spawn([](again::virtual_clock& time) -> again::task<> {
      (void)co_await again::sleep_for(500ms);
      time.advance(10s);  // the loop is held up
    }(w.time));
    const auto result = co_await again::timeout(5s, op);
    CHECK(result.error().reason() == stop_reason::deadline_reached);
    CHECK(result.error().attempts() == 0);
    co_await side.join();
  };
  w.run(all());
  CHECK(p.calls().size() == 1);
}

TEST_CASE("a success costs one reading of the clock") {
  counting_clock time;
  again::run_loop loop{time, 1};
  again::rate_limiter r{{.per_second = 1e9, .burst = 1000}};
  auto all = [&]() -> again::task<long> {
    auto op = again::rate(r, []() -> again::task<outcome> { co_return 1; });
    const long before = time.reads();
    for (int i = 0; i < 100; ++i) CHECK(co_await op);
    co_return time.reads() - before;
  };
  CHECK(again::sync_wait(loop, all()) == 100);
}

TEST_CASE("every attempt of a retry takes its turn") {
  world w;
  again::rate_limiter r{{.per_second = 1}};
  peer p{trouble{0, again::disposition::aborted}};
  p.fails(trouble{1}).fails(trouble{2}).gives(3);
  const again::policy at_once{.attempts = 3, .backoff = again::constant(0ms), .jitter = again::jitter::none};
  CHECK(w.run(again::retry(at_once, again::rate(r, std::ref(p)))).value() == 3);
  CHECK(p.complaint({1s, 1s}) == "");
}

TEST_CASE("a turn after the inherited deadline is not waited for") {
  world w;
  again::rate_limiter r{{.per_second = 0.1}};
  peer p{trouble{0, again::disposition::aborted}};
  p.gives(1).gives(2);
  CHECK(w.run(again::rate(r, std::ref(p))));
  const auto refused = w.run(again::timeout(5s, again::rate(r, std::ref(p))));
  CHECK(refused.error().reason() == stop_reason::deadline_too_near);
  CHECK(refused.error().attempts() == 0);
  CHECK(w.elapsed() == 0s);
  w.time.advance(10s);
  CHECK(w.run(again::rate(r, std::ref(p))).value() == 2);  // the turn was given back
  CHECK(w.elapsed() == 10s);
}

TEST_CASE("a cancelled wait ends at once") {
  world w;
  again::rate_limiter r{{.per_second = 0.01, .longest_wait = 1h}};
  peer p{trouble{0, again::disposition::aborted}};
  p.gives(1);
  auto all = [&]() -> again::task<> {
    auto op = again::rate(r, std::ref(p));
    (void)co_await op;
    again::scope side{co_await again::get_context()};
    side.spawn([](again::rate_limiter& shared, peer& to) -> again::task<> {
      auto second = again::rate(shared, std::ref(to));
      const auto result = co_await second;
      CHECK(result.error().reason() == stop_reason::cancelled_before_start);
    }(r, p));
    (void)co_await again::sleep_for(1s);
    side.request_stop();
    co_await side.join();
  };
  w.run(all());
  CHECK(w.elapsed() == 1s);
  CHECK(p.calls().size() == 1);
}

TEST_CASE("8 threads get distinct turns") {
  again::rate_limiter r{{.per_second = 1000, .longest_wait = 1h}};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) (void)r.turn(zero);
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(r.turn(zero) == zero + 4s);
}

TEST_CASE("8 threads that give turns back never share one") {
  again::rate_limiter r{{.per_second = 1e6, .longest_wait = 1h}};
  std::mutex mutex;
  std::vector<again::time_point> used;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      std::vector<again::time_point> mine;
      for (int i = 0; i < 2000; ++i) {
        const again::time_point at = r.turn(zero);
        i % 3 == 0 ? r.give_back(at) : mine.push_back(at);
      }
      const std::lock_guard lock{mutex};
      used.insert(used.end(), mine.begin(), mine.end());
    });
  }
  for (std::thread& t : threads) t.join();
  std::sort(used.begin(), used.end());
  CHECK(std::adjacent_find(used.begin(), used.end()) == used.end());
}

TEST_CASE("rates that make no sense are refused") {
  CHECK_THROWS_AS(again::rate_limiter({.per_second = 0}), std::invalid_argument);
  CHECK_THROWS_AS(again::rate_limiter({.per_second = 1e-300, .burst = 1'000'000}), std::invalid_argument);
  CHECK_THROWS_AS(again::rate_limiter({.per_second = 0.001, .burst = 2'000'000'000}), std::invalid_argument);
  CHECK_THROWS_AS(again::rate_limiter({.burst = 0}), std::invalid_argument);
  CHECK_THROWS_AS(again::rate_limiter({.longest_wait = -1s}), std::invalid_argument);
}

TEST_CASE("the next turn is told without taking it") {
  again::rate_limiter r{{.per_second = 10, .burst = 1}};
  const again::time_point t{1h};
  CHECK(r.next_turn(t) == t);
  CHECK(r.next_turn(t) == t);
  CHECK(r.turn(t) == t);
  CHECK(r.next_turn(t) == t + 100ms);
  CHECK(r.turn(t) == t + 100ms);
  CHECK(r.next_turn(t + 1h) == t + 1h);
}
