// SPDX-License-Identifier: MIT
#include <again/coro/when_all.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/retry.hpp>

#include "support/delayed.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;
using again::task;
using again_test::after;
using again_test::throws_after;
using again_test::world;

namespace {

task<std::string> text() { co_return "text"; }
task<> nothing() { co_return; }
task<bool> sleeps(bool& slept) {
  slept = co_await again::sleep_for(1h);
  co_return slept;
}

}  // namespace

TEST_CASE("when_all without arguments completes immediately") {
  world w;
  CHECK(w.run(again::when_all()) == std::tuple<>{});
  CHECK(w.run(again::when_all(std::vector<task<int>>{})).empty());
}

TEST_CASE("results are in the order given, whatever finishes first, and take the time of the slowest") {
  world w;
  const auto [a, b, c, d] = w.run(again::when_all(after(3s, 1), text(), nothing(), after(1s, 2)));
  CHECK(a == 1);
  CHECK(b == "text");
  CHECK(c == std::monostate{});
  CHECK(d == 2);
  CHECK(w.elapsed() == 3s);
}

TEST_CASE("a range gives a vector in the order given") {
  world w;
  std::vector<task<int>> tasks;
  for (int i = 0; i < 100; ++i) tasks.push_back(after(std::chrono::seconds{100 - i}, i));
  const std::vector<int> all = w.run(again::when_all(std::move(tasks)));
  REQUIRE(all.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(all[static_cast<std::size_t>(i)] == i);
  CHECK(w.elapsed() == 100s);
}

TEST_CASE("an expected with an error is a result like any other and does not stop the others") {
  world w;
  const auto fails = []() -> task<again_test::outcome> { co_return again_test::fail(4); };
  const auto [failed, slow] = w.run(again::when_all(fails(), after(1s, 5)));
  CHECK(failed.error().number == 4);
  CHECK(slow == 5);
}

TEST_CASE("the first exception stops the others, which are awaited before it is rethrown") {
  world w;
  bool slept = true;
  CHECK_THROWS_WITH_AS(w.run(again::when_all(sleeps(slept), throws_after(1s), throws_after(2s))), "thrown",
                       std::runtime_error);
  CHECK_FALSE(slept);
  CHECK(w.elapsed() == 1s);
  std::vector<task<int>> tasks;
  tasks.push_back(after(1h, 1));
  tasks.push_back(throws_after(1s));
  CHECK_THROWS_AS(w.run(again::when_all(std::move(tasks))), std::runtime_error);
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("a stop request reaches all of them, also from another thread") {
  again::inplace_stop_source stop;
  bool one = true;
  bool two = true;
  std::atomic<bool> ready{false};
  const auto both = [&]() -> task<> {
    (void)co_await again::when_all(sleeps(one), sleeps(two), [&]() -> task<> {
      ready = true;
      co_return;
    });
  };
  std::thread stopper{[&] {
    while (!ready) std::this_thread::yield();
    stop.request_stop();
  }};
  again::sync_wait(both(), stop.get_token());
  stopper.join();
  CHECK_FALSE(one);
  CHECK_FALSE(two);
}

TEST_CASE("a retry among them is started once, as it is an operation") {
  world w;
  int sends = 0;
  const again::policy p{.attempts = 3, .backoff = again::constant(1s), .jitter = again::jitter::none};
  const auto [r, n] = w.run(again::when_all(again::retry(p,
                                                         [&]() -> task<again_test::outcome> {
                                                           ++sends;
                                                           co_return again_test::fail(sends);
                                                         }),
                                            after(1s, 1)));
  CHECK(r.error().attempts() == 3);
  CHECK(n == 1);
  CHECK(sends == 3);
}

TEST_CASE("move-only results are moved") {
  world w;
  const auto make = [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  const auto [a, b] = w.run(again::when_all(make(1), make(2)));
  CHECK(*a + *b == 3);
}

TEST_CASE("destroying the awaiting coroutine at any time ends all of them") {
  for (again::duration at : {again::duration{0}, again::duration{1500ms}, again::duration{10s}}) {
    world w;
    {
      const auto all = [&]() -> task<> { (void)co_await again::when_all(after(1s, 1), after(2s, 2), after(3s, 3)); };
      task<> t = all();
      (void)t.start({[](void*) noexcept {}, nullptr}, w.loop.root());
      (void)w.run(again::sleep_for(at));
    }
    CHECK(w.loop.timers() == 0);
    CHECK_FALSE(w.loop.run());
  }
}
