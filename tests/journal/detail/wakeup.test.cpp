// SPDX-License-Identifier: MIT
#include <again/journal/detail/wakeup.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace again;
using namespace std::chrono_literals;
using journal::detail::wakeup;

namespace {
struct fixture {
  virtual_clock time;
  run_loop loop{time, 1};
  wakeup bell;
  int woken = 0;
  task<> sleeper(time_point until, bool stoppable = true) {
    co_await bell.until(until, stoppable);
    ++woken;
  }
  duration passed() const { return time.now() - virtual_clock::start; }
};
}  // namespace

TEST_CASE("a wait ends at its time, or at once where that has passed") {
  fixture f;
  sync_wait(f.loop, f.sleeper(virtual_clock::start + 5s));
  CHECK(f.passed() == 5s);
  sync_wait(f.loop, f.sleeper(virtual_clock::start + 1s));
  CHECK(f.passed() == 5s);
}

TEST_CASE("a call ends the wait, and one that comes before it ends the next wait") {
  fixture f;
  const auto called = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(f.sleeper(never));
    f.bell.wake();
    f.bell.wake();  // kept: the wait is over
    co_await s.join();
    co_await f.bell.until(never);
  };
  sync_wait(f.loop, called());
  CHECK(f.woken == 1);
  CHECK(f.passed() == 0s);
}

TEST_CASE("a call ends the waits of all") {
  fixture f;
  const auto called = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    for (int i = 0; i < 3; ++i) s.spawn(f.sleeper(never));
    f.bell.wake();
    co_await s.join();
  };
  sync_wait(f.loop, called());
  CHECK(f.woken == 3);
}

TEST_CASE("a stop request ends a wait that listens to it, before and while it waits, and no other") {
  for (const bool before : {false, true}) {
    fixture f;
    const auto stopped = [&]() -> task<> {
      const context& here = co_await get_context();
      scope s{here};
      if (before) s.request_stop();
      s.spawn(f.sleeper(never));
      s.request_stop();
      co_await s.join();
      s.spawn(f.sleeper(virtual_clock::start + 3s, false));
      co_await s.join();
    };
    sync_wait(f.loop, stopped());
    CHECK(f.woken == 2);
    CHECK(f.passed() == 3s);
  }
}

TEST_CASE("a wait that is destroyed is forgotten, also once it was called") {
  for (const bool called : {false, true}) {
    fixture f;
    const auto destroyed = [&]() -> task<> {
      const context& here = co_await get_context();
      {
        scope s{here};
        s.spawn(f.sleeper(never));
        if (called) f.bell.wake();
      }
      f.bell.wake();
      co_await f.bell.until(never);
    };
    sync_wait(f.loop, destroyed());
    CHECK(f.woken == 0);
  }
}
