// SPDX-License-Identifier: MIT
#include <again/coro/sync_wait.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/retry.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <coroutine>
#include <memory>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;
using again::task;
using again_test::world;

namespace {

struct ready_awaitable {
  int n;
  static bool await_ready() noexcept { return true; }
  static void await_suspend(std::coroutine_handle<>) noexcept {}
  int await_resume() const noexcept { return n; }
};
struct only_moved {
  std::unique_ptr<int> n;
  static bool await_ready() noexcept { return true; }
  static void await_suspend(std::coroutine_handle<>) noexcept {}
  std::unique_ptr<int> await_resume() noexcept { return std::move(n); }
};
struct on_new_thread {
  std::thread worker;
  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    worker = std::thread{[h] { h.resume(); }};
  }
  static std::thread::id await_resume() noexcept { return std::this_thread::get_id(); }
  on_new_thread() = default;
  on_new_thread(const on_new_thread&) = delete;
  on_new_thread& operator=(const on_new_thread&) = delete;
  ~on_new_thread() {
    if (worker.joinable()) worker.join();
  }
};

}  // namespace

TEST_CASE("sync_wait takes any awaitable: by value, by name, foreign, a retry, a sleep") {
  world w;
  CHECK(w.run(ready_awaitable{3}) == 3);
  const ready_awaitable named{4};
  CHECK(w.run(named) == 4);
  CHECK(*w.run(only_moved{std::make_unique<int>(5)}) == 5);
  CHECK(w.run(again::sleep_for(1h)));
  auto response = []() -> task<again_test::outcome> { co_return 6; };
  auto retried = again::retry(again::policy{}, response);
  CHECK(*w.run(retried) == 6);
  CHECK(*w.run(std::move(retried)) == 6);
}

TEST_CASE("what finishes on another thread is resumed on the waiting thread") {
  const auto on_own_thread = []() -> task<bool> {
    const std::thread::id home = std::this_thread::get_id();
    on_new_thread away;
    (void)co_await away;
    co_return std::this_thread::get_id() == home;
  };
  for (int i = 0; i < 50; ++i) REQUIRE(again::sync_wait(on_own_thread()));
}

TEST_CASE("a stop token given to sync_wait reaches whatever runs, also from another thread") {
  again::inplace_stop_source stop;
  std::atomic<bool> asleep{false};
  const auto sleeper = [&]() -> task<bool> {
    asleep = true;
    co_return co_await again::sleep_for(24h);
  };
  std::thread stopper{[&] {
    while (!asleep) std::this_thread::yield();
    stop.request_stop();
  }};
  CHECK_FALSE(again::sync_wait(sleeper(), stop.get_token()));
  stopper.join();
}

TEST_CASE("a wait that nothing can end throws logic_error under pretend time") {
  world w;
  int ended = 0;
  const auto stuck = [&]() -> task<> {
    const std::shared_ptr<int> guard{nullptr, [&](int*) { ++ended; }};
    (void)co_await again::sleep{again::forever};
  };
  CHECK_THROWS_AS(w.run(stuck()), std::logic_error);
  CHECK(ended == 1);
  again::inplace_stop_source stop;
  CHECK_THROWS_AS(w.run(stuck(), stop.get_token()), std::logic_error);
  CHECK(ended == 2);
  CHECK(w.loop.timers() == 0);
  CHECK_THROWS_AS(w.run(again::sleep{again::forever}, stop.get_token()), std::logic_error);  // itself, in no coroutine
  CHECK(w.loop.timers() == 0);
  CHECK_THROWS_AS(w.run(std::suspend_always{}), std::logic_error);
  const auto fine = []() -> task<int> { co_return 1; };
  CHECK(w.run(fine()) == 1);  // the loop can still be used
}

TEST_CASE("sync_waits nest: a coroutine may block its loop's thread on another loop, or on the same") {
  world outer;
  const auto inner = []() -> task<int> {
    (void)co_await again::sleep_for(1s);
    co_return 2;
  };
  const auto blocks = [&]() -> task<int> {
    world other;
    const int a = other.run(inner());
    const int b = outer.run(inner());
    again::scheduler& here = co_await again::get_scheduler();
    co_return here.here() ? a + b : -1;
  };
  CHECK(outer.run(blocks()) == 4);
}
