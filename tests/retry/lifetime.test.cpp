// SPDX-License-Identifier: MIT
// The awaiting coroutine may be destroyed, and stop may be requested, at any moment and on any thread. Run these under
// AddressSanitizer and ThreadSanitizer.
#include <again/retry.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/coro/when_any.hpp>
#include <again/retry/timeout.hpp>

#include "support/call.hpp"
#include "support/far_loop.hpp"
#include "support/minimal_coroutine.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using again::duration;
using again::policy;
using again::retry;
using again::stop_reason;
using again::task;
using again_test::fail;
using again_test::far_loop;
using again_test::outcome;
using again_test::world;

namespace {

constexpr policy steady{.attempts = 4,
                        .backoff = again::constant(1s),
                        .jitter = again::jitter::none,
                        .attempt_timeout = 3s,
                        .deadline = 1h};
constexpr policy unbounded{.attempts = 4,
                           .backoff = again::constant(1s),
                           .jitter = again::jitter::none,
                           .attempt_timeout = again::forever,
                           .deadline = again::forever};

task<outcome> slow_failure() {
  const bool slept = co_await again::sleep_for(1s);
  co_return slept ? fail(1) : again_test::aborted(2);
}

// Every kind of await, by number.
constexpr int kinds = 8;
task<> awaits(int kind) {
  switch (kind) {
    case 0: (void)co_await retry(steady, slow_failure); break;
    case 1: (void)co_await retry(unbounded, slow_failure); break;
    case 2: (void)co_await again::timeout(2500ms, retry(unbounded, slow_failure)); break;
    case 3: (void)co_await retry(steady, retry(steady, slow_failure)); break;
    case 4: (void)co_await again::when_all(retry(steady, slow_failure), again::timeout(2s, slow_failure)); break;
    case 5: (void)co_await again::when_any(retry(steady, slow_failure), retry(unbounded, slow_failure)); break;
    case 6: {
      again::scope s;
      s.spawn([]() -> task<> { (void)co_await retry(steady, slow_failure); });
      s.spawn([]() -> task<> { (void)co_await retry(unbounded, slow_failure); });
      co_await s.join();
      break;
    }
    default: (void)co_await again::sleep_for(5s); break;
  }
}

}  // namespace

TEST_CASE("the awaiting coroutine may be destroyed at every moment of every kind of await") {
  for (int kind = 0; kind < kinds; ++kind) {
    for (duration at{0}; at <= 8s; at += 500ms) {
      world w;
      std::optional<task<>> awaiting{awaits(kind)};
      again_test::ring end{[&] { awaiting.reset(); }};
      again_test::call begin{[&] {
        (void)awaiting->start({[](void*) noexcept {}, nullptr}, w.loop.root());
        w.loop.arm(end, w.time.now() + at);
      }};
      w.loop.post(begin);
      CHECK_FALSE(w.loop.run());
      CHECK(w.loop.timers() == 0);
    }
  }
}

TEST_CASE("stop may be requested before, during and after every kind of await") {
  for (int kind = 0; kind < kinds; ++kind) {
    for (duration at{0}; at <= 20s; at += 500ms) {
      world w;
      again::inplace_stop_source stop;
      again_test::ring end{[&] { stop.request_stop(); }};
      w.loop.arm(end, w.time.now() + at);
      w.run(awaits(kind), stop.get_token());
      const duration took = w.elapsed();
      CHECK((stop.stop_requested() ? took <= at : took < at));
      w.loop.disarm(end);
      CHECK(w.loop.timers() == 0);
    }
  }
}

TEST_CASE("a stop from another thread at any moment gives exactly one result") {
  for (int round = 0; round < 300; ++round) {
    again::inplace_stop_source stop;
    std::atomic<bool> started{false};
    int results = 0;
    const policy fast{.attempts = again::unlimited,
                      .backoff = again::constant(10us),
                      .jitter = again::jitter::full,
                      .attempt_timeout = 1s,
                      .deadline = 1h};
    const auto op = [&]() -> task<outcome> {
      started = true;
      const bool slept = co_await again::sleep_for(10us);
      co_return slept ? fail(1) : again_test::aborted(2);
    };
    const auto body = [&]() -> task<> {
      auto result = co_await retry(fast, op);
      ++results;
      CHECK(again::cancelled(result.error().reason()));
      CHECK(result.error().attempts() > 0);
    };
    std::thread stopper{[&] {
      while (!started) std::this_thread::yield();
      for (int spin = 0; spin < round * 20; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
      stop.request_stop();
    }};
    again::sync_wait(body(), stop.get_token());
    stopper.join();
    REQUIRE(results == 1);
  }
}

TEST_CASE("on another loop's thread: attempts run there, the result comes back here") {
  far_loop far;
  std::thread::id ran_on;
  const auto op = [&]() -> task<outcome> {
    ran_on = std::this_thread::get_id();
    co_await again::yield();
    co_return 7;
  };
  const auto body = [&]() -> task<int> {
    const std::thread::id home = std::this_thread::get_id();
    auto result = co_await retry(steady, op).on(far.loop);
    CHECK(std::this_thread::get_id() == home);
    CHECK(ran_on != home);
    co_return *result;
  };
  for (int i = 0; i < 200; ++i) REQUIRE(again::sync_wait(body()) == 7);
}

TEST_CASE("on another loop: failures and exceptions come back; on the same loop there is no transfer") {
  far_loop far;
  const policy fast{.attempts = 3, .backoff = again::constant(1us)};
  const auto body = [&]() -> task<> {
    auto failed = co_await retry(fast, []() -> task<outcome> { co_return fail(3); }).on(far.loop);
    CHECK(failed.error().attempts() == 3);
    bool threw = false;
    try {
      (void)co_await retry(fast, []() -> task<outcome> { throw std::runtime_error{"far"}; }).on(far.loop);
    } catch (const std::runtime_error&) { threw = true; }
    CHECK(threw);
  };
  again::sync_wait(body());
  world w;
  const auto near = [&]() -> task<int> {
    auto result = co_await retry(steady, slow_failure).on(w.loop);
    co_return result.error().attempts();
  };
  CHECK(w.run(near()) == 4);
}

TEST_CASE("on another loop: a stop from here reaches the attempt there") {
  far_loop far;
  for (int round = 0; round < 100; ++round) {
    again::inplace_stop_source stop;
    std::atomic<bool> started{false};
    const auto op = [&]() -> task<outcome> {
      started = true;
      const bool slept = co_await again::sleep_for(24h);
      co_return slept ? fail(1) : again_test::aborted(2);
    };
    const auto body = [&]() -> task<> {
      auto result = co_await retry(unbounded, op).on(far.loop);
      CHECK(again::cancelled(result.error().reason()));
    };
    std::thread stopper{[&] {
      if (round % 2 == 0) {
        while (!started) std::this_thread::yield();
      }
      stop.request_stop();
    }};
    again::sync_wait(body(), stop.get_token());
    stopper.join();
  }
}

TEST_CASE("on another loop: the awaiting coroutine may be destroyed at any moment without waiting for the far thread") {
  far_loop far;
  std::atomic<int> started{0};
  std::atomic<int> ended{0};
  struct marks_end {
    std::atomic<int>& n;
    explicit marks_end(std::atomic<int>& m) : n{m} {}
    marks_end(const marks_end&) = delete;
    marks_end& operator=(const marks_end&) = delete;
    ~marks_end() { ++n; }
  };
  for (int round = 0; round < 300; ++round) {
    world w;
    const auto op = [&started, &ended, round]() -> task<outcome> {
      const marks_end guard{ended};
      ++started;
      if (round % 3 == 0) co_await again::yield();
      if (round % 3 == 1) (void)co_await again::sleep_for(24h);
      co_return 1;
    };
    const auto body = [&]() -> task<> { (void)co_await retry(unbounded, op).on(far.loop); };
    std::optional<task<>> awaiting{body()};
    bool posted = false;
    again_test::call begin{[&] {
      (void)awaiting->start({[](void*) noexcept {}, nullptr}, w.loop.root());
      posted = true;
    }};
    w.loop.post(begin);
    w.loop.run_until([&] { return posted; });
    if (round % 2 == 0) {
      for (int spin = 0; spin < round * 10; ++spin) std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    awaiting.reset();
  }
  // Attempts that have begun on the other loop end there. Those that have not begun are not awaited.
  again_test::call last{[&] { CHECK(ended == started); }};
  std::atomic<bool> checked{false};
  again_test::call tell{[&] { checked = true; }};
  for (int turn = 0; turn < 5; ++turn) {  // work posted by the last attempts runs first
    checked = false;
    far.loop.post(tell);
    while (!checked) std::this_thread::yield();
  }
  checked = false;
  again_test::call both{[&] {
    last.what();
    checked = true;
  }};
  far.loop.post(both);
  while (!checked) std::this_thread::yield();
}

TEST_CASE("many coroutines of one loop use another loop at the same time") {
  far_loop far;
  int sum = 0;
  const auto one = [&](int n) -> task<> {
    const policy fast{.attempts = 3, .backoff = again::constant(1us)};
    int sends = 0;
    auto result = co_await retry(fast, [&]() -> task<outcome> {
                    co_await again::yield();
                    if (++sends < 3) co_return fail(sends);
                    co_return n;
                  }).on(far.loop);
    sum += *result;
  };
  const auto all = [&]() -> task<> {
    again::scope s{co_await again::get_context()};
    for (int i = 1; i <= 200; ++i) s.spawn(one(i));
    co_await s.join();
  };
  again::sync_wait(all());
  CHECK(sum == 200 * 201 / 2);
}
