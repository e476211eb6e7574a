// SPDX-License-Identifier: MIT
#include <again/protection/resilient.hpp>

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>

#include "support/scripted_peer.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;

namespace {
constexpr again::policy steady{.attempts = 3,
                               .backoff = again::constant(100ms),
                               .jitter = again::jitter::none,
                               .attempt_timeout = 1s,
                               .deadline = 5s};
}  // namespace

TEST_CASE("a success passes through all of it") {
  world w;
  again::resilience shared{};
  peer p{stopped};
  p.gives(1);
  CHECK(w.run(again::resilient(shared, std::ref(p))).value() == 1);
  CHECK(shared.limiter().in_flight() == 0);
}

TEST_CASE("a burst of a thousand calls is served") {
  world w;
  again::resilience shared{};
  int served = 0;
  auto all = [&]() -> again::task<> {
    again::scope calls{co_await again::get_context()};
    for (int i = 0; i < 1000; ++i) {
      calls.spawn([](again::resilience& all_of_it, int& count) -> again::task<> {
        auto op = again::resilient(all_of_it, []() -> again::task<outcome> {
          if (!co_await again::sleep_for(100ms)) co_return aborted(0);
          co_return 1;
        });
        const auto r = co_await op;
        count += r.has_value();
      }(shared, served));
    }
    co_await calls.join();
  };
  w.run(all());
  CHECK(served == 1000);
  CHECK(shared.limiter().refused() == 0);
  CHECK(w.elapsed() == 1600ms);
}

TEST_CASE("it retries, with the attempt's timeout inside") {
  world w;
  again::resilience shared{{.retrying = steady}};
  peer p{stopped};
  p.hangs().fails(trouble{2}).gives(3);
  CHECK(w.run(again::resilient(shared, std::ref(p))).value() == 3);
  CHECK(w.elapsed() == 1200ms);
  CHECK(shared.budget().granted() == 2);
}

TEST_CASE("the breaker, the budget and the limiter are those of the peer, and each says so in the result") {
  SUBCASE("breaker") {
    world w;
    again::resilience shared{{.retrying = steady, .breaking = {.consecutive = 2, .open_for = 1min}}};
    peer p{stopped};
    p.fails(trouble{1}).fails(trouble{2});
    const auto r = w.run(again::resilient(shared, std::ref(p)));
    CHECK(r.error().reason() == stop_reason::breaker_open);
    CHECK(r.error().error()->number == 2);
    CHECK(w.run(again::resilient(shared, std::ref(p))).error().attempts() == 0);
  }
  SUBCASE("budget") {
    world w;
    again::resilience shared{{.retrying = steady, .retries = {.share = 0, .floor_per_second = 0.1}}};
    peer p{stopped};
    p.fails(trouble{1}).fails(trouble{2});
    const auto r = w.run(again::resilient(shared, std::ref(p)));
    CHECK(r.error().reason() == stop_reason::budget_exhausted);
    CHECK(r.error().attempts() == 2);
  }
  SUBCASE("limiter, and the time in its queue counts") {
    world w;
    again::resilience shared{{.retrying = steady, .at_once = {.in_flight = 1, .queue = 1}}};
    std::vector<stop_reason> reasons;
    const auto slow = []() -> again::task<outcome> {
      (void)co_await again::sleep_for(10s);
      co_return aborted(1);
    };
    auto all = [&]() -> again::task<> {
      again::scope calls{co_await again::get_context()};
      for (int i = 0; i < 3; ++i) {
        calls.spawn([](again::resilience& s, auto op, std::vector<stop_reason>& seen) -> again::task<> {
          const auto r = co_await again::resilient(s, op);
          seen.push_back(r.error().reason());
        }(shared, slow, reasons));
      }
      co_await calls.join();
    };
    w.run(all());
    CHECK(w.elapsed() <= 6s);
    CHECK(reasons.front() == stop_reason::overloaded);
    CHECK(reasons.size() == 3);
  }
}

TEST_CASE("rules that make no sense are refused, whichever part they are for") {
  CHECK_THROWS_AS(again::resilience({.retrying = {.attempts = 0}}), std::invalid_argument);
  CHECK_THROWS_AS(again::resilience({.at_once = {.in_flight = 0}}), std::invalid_argument);
  CHECK_THROWS_AS(again::resilience({.retries = {.share = -1}}), std::invalid_argument);
  CHECK_THROWS_AS(again::resilience({.breaking = {.probes = 0}}), std::invalid_argument);
}
