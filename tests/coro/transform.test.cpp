// SPDX-License-Identifier: MIT
#include <again/coro/transform.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>

#include "support/counting_new.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;
using again::task;
using again_test::fail;
using again_test::outcome;
using again_test::world;

namespace {

constexpr std::array<int, 6> seconds{5, 1, 4, 1, 3, 2};

task<int> after(int n) {
  (void)co_await again::sleep_for(std::chrono::seconds{n});
  co_return n;
}

}  // namespace

TEST_CASE("results come in the order of the items, whatever finishes first") {
  world w;
  const auto all = w.run(again::transform(seconds, 3, after));
  CHECK(all.complete);
  CHECK(all.results == std::vector<int>{5, 1, 4, 1, 3, 2});
  const auto errors =
      w.run(again::transform(seconds, 6, [](int n) -> task<outcome> { co_return n == 4 ? fail(n) : outcome{n}; }));
  REQUIRE(errors.results.size() == 6);
  CHECK(errors.results[2].error().number == 4);
  CHECK(errors.results[5].value() == 2);
  CHECK(errors.complete);
}

TEST_CASE("each result is passed on when its turn comes, or as it comes") {
  world w;
  std::vector<int> seen;
  std::vector<again::duration> when;
  const auto look = [&](int n) {
    seen.push_back(n);
    when.push_back(w.elapsed());
  };
  const auto in_order = w.run(again::transform(seconds, 3, after, look));
  CHECK(in_order.complete);
  CHECK(in_order.results == 6);
  CHECK(seen == std::vector<int>{5, 1, 4, 1, 3, 2});
  // Results that wait for the first one keep their places: the fourth item starts when the first has been passed on.
  CHECK(when == std::vector<again::duration>{5s, 5s, 5s, 6s, 8s, 8s});

  world later;
  seen.clear();
  const auto as_they_come = later.run(again::transform(seconds, 3, after, look, again::result_order::of_completion));
  CHECK(as_they_come.complete);
  CHECK(seen == std::vector<int>{1, 1, 4, 5, 3, 2});
  CHECK(later.elapsed() == 6s);
}

TEST_CASE("the function that takes the results can end it, and can throw") {
  world w;
  std::vector<int> seen;
  const auto two = [&](int n) {
    seen.push_back(n);
    return seen.size() < 2;
  };
  const auto end = w.run(again::transform(std::array{1, 2, 3, 4, 5}, 2, after, two));
  CHECK_FALSE(end.complete);
  CHECK(seen.size() >= 2);
  CHECK(seen[1] == 2);
  CHECK(w.elapsed() == 2s);
  const auto throws = [](int) { throw std::runtime_error{"no paper"}; };
  CHECK_THROWS_WITH(static_cast<void>(w.run(again::transform(seconds, 2, after, throws))), "no paper");
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("results of void, and results that can only be moved") {
  world w;
  const auto nothing = w.run(again::transform(seconds, 2, [](int) -> task<> { co_return; }));
  CHECK(nothing.results.size() == 6);
  static_assert(std::is_same_v<decltype(nothing.results)::value_type, std::monostate>);
  const auto owned = w.run(
      again::transform(seconds, 2, [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); }));
  CHECK(*owned.results[4] == 3);
}

TEST_CASE("a stop request leaves the results of what was started, and says that they are not all") {
  world w;
  again::inplace_stop_source stop;
  const auto body = [&]() -> task<> {
    auto both = co_await again::when_all(again::transform(seconds, 2, after), [&]() -> task<> {
      (void)co_await again::sleep_for(2s);
      stop.request_stop();
    });
    CHECK_FALSE(std::get<0>(both).complete);
    CHECK(std::get<0>(both).results == std::vector<int>{5, 1});
  };
  w.run(body(), stop.get_token());
  CHECK(w.elapsed() == 2s);
}
