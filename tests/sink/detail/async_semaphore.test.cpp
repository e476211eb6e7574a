// SPDX-License-Identifier: MIT
#include <again/sink/detail/async_semaphore.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/sink/detail/active_count.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace again;
using namespace std::chrono_literals;

namespace {

struct pretend {
  virtual_clock time;
  run_loop loop{time, 1};
  detail::async_semaphore permits{1};
  std::vector<std::string> heard;

  task<> use(std::string name, duration how_long) {
    const bool granted = co_await permits.acquire();
    heard.push_back(name + (granted ? " in" : " refused"));
    if (!granted) co_return;
    const detail::permit held{permits};
    const bool slept = co_await sleep_for(how_long);
    if (slept) heard.push_back(name + " out");
  }
};

}  // namespace

TEST_CASE("permits are given in the order in which they were asked for") {
  pretend p;
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    for (const char* const name : {"a", "b", "c"}) s.spawn(p.use(name, 10ms));
    co_await s.join();
  };
  sync_wait(p.loop, scenario());
  CHECK(p.heard == std::vector<std::string>{"a in", "a out", "b in", "b out", "c in", "c out"});
  CHECK(p.permits.idle());
}

TEST_CASE("one that comes while a permit is on its way to another one does not overtake it") {
  pretend p;
  detail::async_semaphore two{2};
  REQUIRE(two.try_acquire());
  REQUIRE(two.try_acquire());
  const auto use = [&](std::string name) -> task<> {
    const bool granted = co_await two.acquire();
    p.heard.push_back(name + (granted ? " in" : " refused"));
  };
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(use("first"));
    two.release();  // granted, and not woken yet
    two.release();
    CHECK(!two.try_acquire());
    s.spawn(use("second"));
    CHECK(p.heard.empty());
    co_await s.join();
  };
  sync_wait(p.loop, scenario());
  CHECK(p.heard == std::vector<std::string>{"first in", "second in"});
  CHECK(!two.try_acquire());
}

TEST_CASE("one that was stopped before it comes to the line is refused at once, and takes no permit") {
  pretend p;
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope holding{here}, stopped{here};
    holding.spawn(p.use("a", 1h));
    stopped.request_stop();
    stopped.spawn(p.use("b", 1h));
    CHECK(p.heard == std::vector<std::string>{"a in", "b refused"});
    co_await stopped.join();
    holding.request_stop();
    co_await holding.join();
    scope late{here};
    late.request_stop();
    late.spawn(p.use("c", 1h));  // also where there is a free permit
    co_await late.join();
  };
  sync_wait(p.loop, scenario());
  CHECK(p.heard == std::vector<std::string>{"a in", "b refused", "c refused"});
  CHECK(p.permits.idle());
}

TEST_CASE("a stop in the line ends the wait at once, not when a permit is free") {
  pretend p;
  time_point ended{};
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope holding{here}, waiting{here};
    holding.spawn(p.use("a", 1h));
    waiting.spawn(p.use("b", 1h));
    const bool slept = co_await sleep_for(100ms);
    CHECK(slept);
    waiting.request_stop();
    co_await waiting.join();
    ended = p.time.now();
    holding.request_stop();
    co_await holding.join();
  };
  const time_point start = p.time.now();
  sync_wait(p.loop, scenario());
  CHECK(ended - start == 100ms);
  CHECK(p.heard == std::vector<std::string>{"a in", "b refused"});
  CHECK(p.permits.idle());
}

TEST_CASE("close refuses those in the line and those that come; a permit that was granted stays granted") {
  pretend p;
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(p.use("a", 10ms));
    s.spawn(p.use("b", 10ms));
    s.spawn(p.use("c", 10ms));
    const bool slept = co_await sleep_for(15ms);
    CHECK(slept);
    p.permits.close();
    s.spawn(p.use("d", 10ms));
    co_await s.join();
  };
  sync_wait(p.loop, scenario());
  CHECK(p.heard == std::vector<std::string>{"a in", "a out", "b in", "c refused", "d refused", "b out"});
}

TEST_CASE("one that is destroyed in the line, or with a permit on its way, leaves the permit to the next") {
  for (const bool granted : {false, true}) {
    pretend p;
    const auto scenario = [&]() -> task<> {
      const context& here = co_await get_context();
      scope s{here};
      REQUIRE(p.permits.try_acquire());
      {
        scope destroyed{here};
        destroyed.spawn(p.use("gone", 1h));
        s.spawn(p.use("next", 10ms));
        if (granted) p.permits.release();
      }
      if (!granted) p.permits.release();
      co_await s.join();
    };
    sync_wait(p.loop, scenario());
    CHECK(p.heard == std::vector<std::string>{"next in", "next out"});
    CHECK(p.permits.idle());
  }
}

TEST_CASE("a count of the active ends its wait when the last one ends, in time or not") {
  pretend p;
  detail::active_count active;
  active.begin();
  active.begin();
  std::vector<bool> idle;
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    idle.push_back(co_await active.wait_until_idle(10ms, true));
    scope s{here};
    const auto wait = [&]() -> task<> { idle.push_back(co_await active.wait_until_idle(forever, true)); };
    s.spawn(wait());
    active.end();
    active.end();
    co_await s.join();
    idle.push_back(co_await active.wait_until_idle(0s, true));
  };
  sync_wait(p.loop, scenario());
  CHECK(idle == std::vector<bool>{false, true, true});
}
