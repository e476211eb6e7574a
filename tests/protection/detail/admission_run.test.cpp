// SPDX-License-Identifier: MIT
// What guard, limit, rate and hedge share: when they end, and what they say of it.
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/protection/guard.hpp>
#include <again/protection/hedge.hpp>
#include <again/protection/limit.hpp>
#include <again/protection/rate.hpp>
#include <again/retry/timeout.hpp>

#include "support/scripted_peer.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <tuple>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;

namespace {

struct in_guard {
  again::breaker shared{};
  auto operator()(auto op) { return again::guard(shared, op); }
};
struct in_limit {
  again::limiter shared{};
  auto operator()(auto op) { return again::limit(shared, op); }
};
struct in_rate {
  again::rate_limiter shared{{.per_second = 1, .burst = 10}};
  auto operator()(auto op) { return again::rate(shared, op); }
};
struct in_hedge {
  auto operator()(auto op) { return again::hedge({.delay = 1h}, op); }
};

}  // namespace

#define EACH in_guard, in_limit, in_rate, in_hedge

TEST_CASE_TEMPLATE("elapsed counts to the end, however late the result is taken", C, EACH) {
  world w;
  C around;
  peer p{stopped};
  p.fails(trouble{1}).takes(1s);
  auto op = around(std::ref(p));
  const auto [r, slept] = w.run(again::when_all(op, again::sleep_for(5s)));
  CHECK(w.elapsed() == 5s);
  CHECK(r.error().elapsed() == 1s);
}

TEST_CASE_TEMPLATE("a cancellation stays one, though the deadline passes before the result is taken", C, EACH) {
  world w;
  C around;
  peer p{stopped};
  peer deaf{stopped};
  p.hangs();
  deaf.gives(1).takes(10s).deaf();
  auto op = around(std::ref(p));
  auto both = [&]() -> again::task<outcome> {
    const auto [r, other] = co_await again::when_all(op, std::ref(deaf));
    CHECK(r.error().reason() == stop_reason::cancelled_in_attempt);
    CHECK(r.error().elapsed() == 1s);
    CHECK(other);
    co_return 1;
  };
  auto all = [&]() -> again::task<> {
    again::scope calls{co_await again::get_context()};
    calls.spawn([](auto inner) -> again::task<> { (void)co_await again::timeout(5s, inner); }(both));
    (void)co_await again::sleep_for(1s);
    calls.request_stop();
    co_await calls.join();
  };
  w.run(all());
  CHECK(w.elapsed() == 10s);
}

TEST_CASE_TEMPLATE("nothing is started after the inherited deadline", C, EACH) {
  world w;
  C around;
  peer p{stopped};
  p.gives(1);
  auto op = around(std::ref(p));
  auto late = [&]() -> again::task<outcome> {
    w.time.advance(10s);  // busy for so long
    const auto r = co_await op;
    REQUIRE_FALSE(r);
    CHECK(r.error().reason() == stop_reason::deadline_reached);
    CHECK(r.error().attempts() == 0);
    co_return fail(1);
  };
  CHECK_FALSE(w.run(again::timeout(5s, late)));
  CHECK(p.calls().empty());
}

TEST_CASE_TEMPLATE("an attempt that ends with a transient error after a stop request was cancelled", C, EACH) {
  world w;
  C around;
  peer p{trouble{7}};
  p.hangs().hangs();
  auto op = around(std::ref(p));
  auto cancelled = [&]() -> again::task<> {
    again::scope calls{co_await again::get_context()};
    calls.spawn([](auto& inner) -> again::task<> {
      const auto r = co_await inner;
      CHECK(r.error().reason() == stop_reason::cancelled_in_attempt);
      CHECK(r.error().error()->number == 7);
      CHECK(r.error().trace()[0].stop == stop_reason::cancelled_in_attempt);
    }(op));
    (void)co_await again::sleep_for(1s);
    calls.request_stop();
    co_await calls.join();
  };
  w.run(cancelled());
  auto timed_out = [&]() -> again::task<outcome> {
    const auto r = co_await op;
    CHECK(r.error().reason() == stop_reason::deadline_reached);
    co_return fail(1);
  };
  CHECK_FALSE(w.run(again::timeout(1s, timed_out)));
}

TEST_CASE("a wait in a limiter's queue counts in what has elapsed, and a refusal takes no time") {
  world w;
  again::limiter slots{{.in_flight = 1, .queue = 1}};
  peer p{stopped};
  p.gives(1).takes(2s).fails(trouble{2}).takes(1s);
  auto op = again::limit(slots, std::ref(p));
  const auto [first, second, third, slept] = w.run(again::when_all(op, op, op, again::sleep_for(1min)));
  CHECK(first);
  CHECK(second.error().elapsed() == 3s);
  CHECK(third.error().reason() == stop_reason::overloaded);
  CHECK(third.error().elapsed() == 0s);
}
