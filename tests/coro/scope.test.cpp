// SPDX-License-Identifier: MIT
#include <again/coro/scope.hpp>

#include <again/core/random.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>

#include "support/counting_new.hpp"
#include "support/minimal_coroutine.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using again::task;
using again_test::world;

namespace {

task<> adds_after(again::duration d, int& sum, int n) {
  const bool slept = co_await again::sleep_for(d);
  if (slept) sum += n;
}
task<> throws_after(again::duration d) {
  (void)co_await again::sleep_for(d);
  throw std::runtime_error{"thrown"};
}

}  // namespace

TEST_CASE("join awaits all that was spawned, also meanwhile, and the scope can be used again") {
  world w;
  const auto body = [&]() -> task<int> {
    int sum = 0;
    again::scope s{co_await again::get_context()};
    co_await s.join();  // nothing was spawned: it does not suspend
    s.spawn(adds_after(0s, sum, 1));
    CHECK(s.size() == 0);
    s.spawn(adds_after(2s, sum, 10));
    s.spawn([&]() -> task<> {
      (void)co_await again::sleep_for(1s);
      s.spawn(adds_after(3s, sum, 100));
    });
    CHECK(s.size() == 2);
    co_await s.join();
    CHECK(w.elapsed() == 4s);
    CHECK(s.size() == 0);
    s.spawn(adds_after(1s, sum, 1000));
    co_await s.join();
    co_return sum;
  };
  CHECK(w.run(body()) == 1111);
}

TEST_CASE("the first exception stops the others and is rethrown by join") {
  world w;
  int sum = 0;
  const auto body = [&]() -> task<> {
    again::scope s{co_await again::get_context()};
    s.spawn(adds_after(1h, sum, 1));
    s.spawn(throws_after(1s));
    s.spawn(throws_after(2s));
    co_await s.join();
  };
  CHECK_THROWS_WITH_AS(w.run(body()), "thrown", std::runtime_error);
  CHECK(sum == 0);
  CHECK(w.elapsed() == 1s);
}

TEST_CASE("an exception before the join is not lost") {
  world w;
  const auto body = [&]() -> task<> {
    again::scope s{co_await again::get_context()};
    s.spawn(throws_after(0s));
    (void)co_await again::sleep_for(1s);
    co_await s.join();
  };
  CHECK_THROWS_WITH_AS(w.run(body()), "thrown", std::runtime_error);
}

TEST_CASE("a stop of the joining coroutine, of the parent, or of the scope itself reaches all of them") {
  for (int who = 0; who < 2; ++who) {
    world w;
    again::inplace_stop_source stop;
    int sum = 0;
    const auto body = [&]() -> task<> {
      again::scope s{co_await again::get_context()};
      s.spawn(adds_after(1h, sum, 1));
      s.spawn([&]() -> task<> {
        (void)co_await again::sleep_for(1s);
        if (who == 0) {
          stop.request_stop();
        } else {
          s.request_stop();
        }
      });
      co_await s.join();
    };
    w.run(body(), stop.get_token());
    CHECK(sum == 0);
    CHECK(w.elapsed() == 1s);
  }
}

TEST_CASE("a stop from another thread ends a scope in real time") {
  again::inplace_stop_source stop;
  std::atomic<bool> joining{false};
  int sum = 0;
  const auto body = [&]() -> task<> {
    again::scope s{co_await again::get_context()};
    for (int i = 0; i < 10; ++i) s.spawn(adds_after(24h, sum, 1));
    joining = true;
    co_await s.join();
  };
  std::thread stopper{[&] {
    while (!joining) std::this_thread::yield();
    stop.request_stop();
  }};
  again::sync_wait(body(), stop.get_token());
  stopper.join();
  CHECK(sum == 0);
}

TEST_CASE("a destroyed scope ends what was not joined") {
  world w;
  int ended = 0;
  const auto holds = [](std::shared_ptr<int>) -> task<> { (void)co_await again::sleep_for(1h); };
  const auto body = [&]() -> task<> {
    again::scope s{co_await again::get_context()};
    for (int i = 0; i < 3; ++i) s.spawn(holds(std::shared_ptr<int>{nullptr, [&](int*) { ++ended; }}));
    (void)co_await again::sleep_for(1s);
  };
  w.run(body());
  CHECK(ended == 3);
  CHECK(w.loop.timers() == 0);
  {
    task<> t = body();
    (void)t.start({[](void*) noexcept {}, nullptr}, w.loop.root());
  }
  CHECK(ended == 6);
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("destroying the coroutine that joins ends all of it") {
  world w;
  int sum = 0;
  {
    const auto body = [&]() -> task<> {
      again::scope s{co_await again::get_context()};
      s.spawn(adds_after(2s, sum, 1));
      co_await s.join();
    };
    task<> t = body();
    (void)t.start({[](void*) noexcept {}, nullptr}, w.loop.root());
    (void)w.run(again::sleep_for(1s));
  }
  CHECK_FALSE(w.loop.run());
  CHECK(sum == 0);
}

TEST_CASE("without a context a scope uses the running loop, and throws if there is none") {
  CHECK_THROWS_AS(again::scope{}, std::logic_error);
  world w;
  int sum = 0;
  const auto theirs = [&]() -> again_test::bare<int> {
    again::scope s;
    s.spawn(adds_after(1s, sum, 5));
    co_await s.join();
    co_return sum;
  };
  auto coroutine = theirs();
  bool resumed = false;
  w.loop.run_until([&] {
    if (!std::exchange(resumed, true)) coroutine.resume();
    return coroutine.done();
  });
  CHECK(coroutine.result() == 5);
}

TEST_CASE("an awaitable that throws while it is spawned is not kept") {
  struct throws_when_moved {
    throws_when_moved() = default;
    throws_when_moved(throws_when_moved&&) { throw std::runtime_error{"moved"}; }
    task<> operator()() { co_return; }
  };
  world w;
  const auto body = [&]() -> task<> {
    again::scope s{co_await again::get_context()};
    const std::size_t live = again_test::live_blocks();
    try {
      s.spawn(throws_when_moved{});
      FAIL("spawned");
    } catch (const std::runtime_error&) {}
    CHECK(s.size() == 0);
    if (!again::detail::recycle_frames) CHECK(again_test::live_blocks() == live);
    co_await s.join();
  };
  w.run(body());
}

TEST_CASE("tasks of several types finish in any order, and their slots are used again") {
  world w;
  again::random_stream random{7};
  int sum = 0;
  const auto body = [&](bool all) -> task<std::size_t> {
    again::scope s{co_await again::get_context()};
    again_test::reset_most_live_blocks();
    const std::size_t before = again_test::live_blocks();
    for (int i = 0; i < 2'000; ++i) {
      const auto d = std::chrono::milliseconds{random.bits() % 1'000};
      if (i % 3 == 0) {
        s.spawn([&sum, d] { return adds_after(d, sum, 1); });
      } else if (i % 3 == 1) {
        s.spawn([&sum, d, big = std::array<char, 300>{}] { return adds_after(d, sum, big[0] + 1); });
      } else {
        s.spawn(adds_after(d, sum, 1));
      }
      if (i % 10 == 0) (void)co_await again::sleep_for(5ms);
    }
    const std::size_t most = again_test::most_live_blocks() - before;
    if (all) co_await s.join();
    co_return most;
  };
  CHECK(w.run(body(true)) < 2'000);
  CHECK(sum == 2'000);
  (void)w.run(body(false));  // the scope's destructor finds full blocks and others
  CHECK(sum < 4'000);
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("a hundred thousand short tasks pass through a scope in constant memory") {
  world w;
  int sum = 0;
  const auto body = [&]() -> task<std::size_t> {
    again::scope s{co_await again::get_context()};
    again_test::reset_most_live_blocks();
    const std::size_t before = again_test::live_blocks();
    for (int i = 0; i < 100'000; ++i) s.spawn(adds_after(0s, sum, 1));
    co_await s.join();
    co_return again_test::most_live_blocks() - before;
  };
  CHECK(w.run(body()) < 20);
  CHECK(sum == 100'000);
}
