// SPDX-License-Identifier: MIT
#include <again/coro/when_any.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>

#include "support/delayed.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;
using again::task;
using again_test::after;
using again_test::throws_after;
using again_test::world;

namespace {}  // namespace

TEST_CASE("the first to finish gives the result; the others are stopped and awaited") {
  world w;
  bool stopped = false;
  const auto stubborn = [&]() -> task<std::string> {
    stopped = !co_await again::sleep_for(1h);
    (void)co_await again::sleep_until(again::virtual_clock::start + 90min);  // stopped as well: ends at once
    co_return "late";
  };
  const auto first = w.run(again::when_any(stubborn(), after(2s, 2), after(3s, 3)));
  REQUIRE(first.index() == 1);
  CHECK(std::get<1>(first) == 2);
  CHECK(stopped);
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("two of the same type are distinguished by their index; if both finish at once, the first given wins") {
  world w;
  const auto first = w.run(again::when_any(after(2s, 1), after(1s, 2)));
  CHECK(first.index() == 1);
  const auto tie = w.run(again::when_any(after(1s, 1), after(1s, 2)));
  CHECK(tie.index() == 0);
  const auto at_once = w.run(again::when_any(after(0s, 1), after(0s, 2)));
  CHECK(at_once.index() == 0);
  const auto nothing = w.run(again::when_any([]() -> task<> { co_return; }));
  CHECK(std::get<0>(nothing) == std::monostate{});
}

TEST_CASE("a range gives the index and the value of the first") {
  world w;
  std::vector<task<int>> tasks;
  for (int i = 0; i < 50; ++i) tasks.push_back(after(std::chrono::seconds{1 + (i + 25) % 50}, i));
  const auto first = w.run(again::when_any(std::move(tasks)));
  CHECK(first.index == 25);
  CHECK(first.value == 25);
  CHECK(w.elapsed() == 1s);
  CHECK_THROWS_AS(w.run(again::when_any(std::vector<task<int>>{})), std::invalid_argument);
}

TEST_CASE("if the first to finish threw, that is rethrown; what a loser throws is dropped") {
  world w;
  CHECK_THROWS_WITH_AS(w.run(again::when_any(after(2s, 1), throws_after(1s))), "thrown", std::runtime_error);
  CHECK(w.elapsed() == 1s);
  const auto first = w.run(again::when_any(after(1s, 1), throws_after(2s)));
  CHECK(std::get<0>(first) == 1);
  std::vector<task<int>> tasks;
  tasks.push_back(throws_after(1s));
  tasks.push_back(after(2s, 1));
  CHECK_THROWS_AS(w.run(again::when_any(std::move(tasks))), std::runtime_error);
}

TEST_CASE("a sleep can be given directly") {
  world w;
  const auto body = [&]() -> task<std::size_t> {
    auto late = co_await again::when_any(after(5s, 1), again::sleep_for(2s));
    auto [n, slept] = co_await again::when_all(after(1s, 1), again::sleep_for(2s));
    CHECK(slept);
    auto early = co_await again::when_any(after(1s, 1), again::sleep_for(2s));
    co_return 10 * late.index() + early.index() + static_cast<std::size_t>(n) - 1;
  };
  CHECK(w.run(body()) == 10);
  CHECK(w.elapsed() == 2s + 2s + 1s);
}

TEST_CASE("a stop request from outside reaches all of them") {
  world w;
  again::inplace_stop_source stop;
  const auto race = [&]() -> task<bool> {
    const auto stops = [&]() -> task<bool> {
      (void)co_await again::sleep_for(1s);
      stop.request_stop();
      (void)co_await again::sleep_for(1s);
      co_return true;
    };
    auto first = co_await again::when_any([] { return again::sleep_for(1h); }, stops());
    co_return std::get<0>(first);
  };
  CHECK_FALSE(w.run(race(), stop.get_token()));
  CHECK(w.elapsed() == 1s);
}

TEST_CASE("destroying the awaiting coroutine at any time ends all of them") {
  for (again::duration at : {again::duration{0}, again::duration{500ms}, again::duration{5s}}) {
    world w;
    {
      const auto race = [&]() -> task<> { (void)co_await again::when_any(after(1s, 1), after(2s, 2)); };
      task<> t = race();
      (void)t.start({[](void*) noexcept {}, nullptr}, w.loop.root());
      (void)w.run(again::sleep_for(at));
    }
    CHECK(w.loop.timers() == 0);
    CHECK_FALSE(w.loop.run());
  }
}
