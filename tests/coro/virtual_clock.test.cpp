// SPDX-License-Identifier: MIT
#include <again/coro/virtual_clock.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using again::virtual_clock;

TEST_CASE("pretend time stands still until it is advanced, never goes back, and takes the wall clock along") {
  virtual_clock time;
  CHECK(time.now() == virtual_clock::start);
  CHECK(time.wall_now() == virtual_clock::default_wall);
  time.advance(5s);
  CHECK(time.now() == virtual_clock::start + 5s);
  CHECK(time.wall_now() == virtual_clock::default_wall + 5s);
  CHECK(time.jump(virtual_clock::start));
  CHECK(time.now() == virtual_clock::start + 5s);
  CHECK(time.jump(virtual_clock::start + 1h));
  CHECK(time.now() == virtual_clock::start + 1h);
  time.elapse(1ms);
  CHECK(time.now() == virtual_clock::start + 1h + 1ms);
}

TEST_CASE("pretend time does not jump to never, and stops at the end of time") {
  virtual_clock time;
  CHECK(time.jump(again::never));
  CHECK(time.now() == virtual_clock::start);
  time.advance(again::forever);
  CHECK(time.now() == again::never);
}

TEST_CASE("the wall clock starts at the given time") {
  const virtual_clock time{again::wall_time{10s}};
  CHECK(time.wall_now() == again::wall_time{10s});
}

TEST_CASE("a coroutine sleeps for a year of pretend time and is not a nanosecond late") {
  virtual_clock time;
  again::run_loop loop{time, 42};
  const auto year = [&]() -> again::task<bool> {
    for (int day = 0; day < 365; ++day) {
      if (!co_await again::sleep_for(24h)) co_return false;
    }
    co_return true;
  };
  CHECK(again::sync_wait(loop, year()));
  CHECK(time.now() - virtual_clock::start == 365 * 24h);
}
