// SPDX-License-Identifier: MIT
#include <again/retry/timeout.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/protection/hedge.hpp>
#include <again/protection/rate.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

using namespace std::chrono_literals;
using again::stop_reason;
using again::task;
using again_test::outcome;
using again_test::world;

namespace {

auto lasts(again::duration d, bool tells = true) {
  return [d, tells]() -> task<outcome> {
    const bool slept = co_await again::sleep_for(d);
    if (slept) co_return 7;
    co_return tells ? again_test::aborted(1) : again_test::fail(2);
  };
}

}  // namespace

TEST_CASE("a result in time passes through") {
  world w;
  CHECK(*w.run(again::timeout(2s, lasts(1s))) == 7);
  CHECK(w.elapsed() == 1s);
  CHECK(w.loop.timers() == 0);
  CHECK(*w.run(again::timeout(2s, lasts(0s))) == 7);
}

TEST_CASE("past the deadline the reason is deadline_reached, whatever the stopped operation returns") {
  for (const bool tells : {true, false}) {
    world w;
    const auto result = w.run(again::timeout(2s, lasts(1h, tells)));
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().reason() == stop_reason::deadline_reached);
    CHECK(result.error().error()->number == (tells ? 1 : 2));
    CHECK(result.error().attempts() == 1);
    CHECK(result.error().elapsed() == 2s);
    CHECK(w.elapsed() == 2s);
  }
}

TEST_CASE("an error in time is the operation's own") {
  world w;
  const auto plain = w.run(again::timeout(2s, []() -> task<outcome> { co_return again_test::fail(3); }));
  CHECK(plain.error().reason() == stop_reason::attempts_exhausted);
  CHECK(plain.error().error()->number == 3);
  const auto permanent = w.run(
      again::timeout(2s, []() -> task<outcome> { co_return again_test::fail(4, again::disposition::permanent); }));
  CHECK(permanent.error().reason() == stop_reason::permanent);
}

TEST_CASE("around a retry the failure is the retry's, with its reason, its sends and its trace") {
  const again::policy p{.attempts = 3, .backoff = again::constant(1s), .jitter = again::jitter::none, .deadline = 10s};
  const auto fails = []() -> task<outcome> { co_return again_test::fail(5); };
  world w;
  const auto exhausted = w.run(again::timeout(1min, again::retry(p, fails)));
  static_assert(std::is_same_v<decltype(exhausted), const again::expected<int, again::failure<again_test::trouble>>>);
  CHECK(exhausted.error().reason() == stop_reason::attempts_exhausted);
  CHECK(exhausted.error().attempts() == 3);
  CHECK(exhausted.error().trace().size() == 3);
  CHECK(exhausted.error().trace()[2].last);
  CHECK(exhausted.error().trace()[1].began == 1s);
  again::policy near = p;
  near.backoff = again::constant(20s);
  CHECK(w.run(again::timeout(1min, again::retry(near, fails))).error().reason() == stop_reason::deadline_too_near);
  const auto asks_too_much = []() -> task<outcome> {
    again_test::trouble t{6};
    t.server_delay = 2h;
    co_return outcome{again::unexpect, t};
  };
  CHECK(w.run(again::timeout(1min, again::retry(p, asks_too_much))).error().reason() ==
        stop_reason::server_delay_too_long);
  again::policy slow = p;
  slow.deadline = again::forever;
  slow.backoff = again::constant(1s);
  slow.attempts = 1000;
  const auto cut = w.run(again::timeout(4s, again::retry(slow, lasts(3s, true))));
  CHECK(cut.has_value());
}

TEST_CASE("a timeout that is not positive is refused") {
  CHECK_THROWS_AS((void)again::timeout(0s, lasts(1s)), std::invalid_argument);
  CHECK_THROWS_AS((void)again::timeout(-1s, lasts(1s)), std::invalid_argument);
  CHECK_NOTHROW((void)again::timeout(again::forever, lasts(1s)));
}

TEST_CASE("of two timeouts the shorter one counts, whether it is the outer or the inner one") {
  world w;
  const auto outer = w.run(again::timeout(1s, again::timeout(5s, lasts(1h))));
  CHECK(outer.error().reason() == stop_reason::deadline_reached);
  CHECK(w.elapsed() == 1s);
  const auto inner = w.run(again::timeout(5s, again::timeout(1s, lasts(1h))));
  CHECK(inner.error().reason() == stop_reason::deadline_reached);
  CHECK(w.elapsed() == 2s);
  CHECK(inner.error().attempts() == 1);
}

TEST_CASE("a retry around a timeout tries again") {
  world w;
  int sends = 0;
  const again::policy p{.attempts = 3, .backoff = again::constant(1s), .jitter = again::jitter::none};
  const auto op = [&]() -> task<outcome> {
    const bool slept = co_await again::sleep_for(++sends < 3 ? 1h : 0s);
    co_return slept ? outcome{8} : again_test::aborted(1);
  };
  const auto result = w.run(again::retry(p, again::timeout(2s, op)));
  REQUIRE(result.has_value());
  CHECK(*result == 8);
  CHECK(w.elapsed() == 2 * 2s + 2 * 1s);
}

TEST_CASE("a timeout with a predicate or an observer is still a timeout, and may be inside a hedge or a rate") {
  world w;
  int seen = 0;
  const auto watched = [&] {
    return again::timeout(1s, lasts(1ms)).observe([&](const again::attempt_record&) { ++seen; });
  };
  CHECK(w.run(again::hedge({.delay = 10s}, watched())).has_value());
  again::rate_limiter limiter{{}};
  CHECK(
      w.run(again::rate(limiter, again::timeout(1s, lasts(1ms)).when([](const again_test::trouble&) { return false; })))
          .has_value());
  CHECK(seen == 1);
}

TEST_CASE("a retry or timeout directly inside reuses the clock reading") {
  struct counting final : again::clock {
    again::time_point now() const noexcept override {
      ++reads;
      return again::clock::now();
    }
    mutable int reads = 0;
  };
  counting time;
  again::run_loop loop{time, 42};
  constexpr auto unbounded =
      again::checked({.backoff = again::constant(0s), .attempt_timeout = again::forever, .deadline = again::forever});
  const auto reads = [&](auto op) {
    return again::sync_wait(loop, [](counting& clock, auto what) -> task<int> {
      const int before = clock.reads;
      const auto result = co_await what;
      CHECK(result.has_value());
      co_return clock.reads - before;
    }(time, op));
  };
  const auto at_once = []() -> task<outcome> { co_return 7; };
  CHECK(reads(again::timeout(1h, at_once)) == 1);
  CHECK(reads(again::timeout(1h, again::retry(unbounded, at_once))) == 1);
  CHECK(reads(again::timeout(1h, again::timeout(2h, at_once))) == 1);
  CHECK(reads(again::timeout(1h, again::retry({.deadline = 1min}, at_once))) == 1);
}

TEST_CASE("in a further attempt a timeout counts from its own start, however long an observer took") {
  world w;
  int sends = 0;
  const auto op = [&]() -> task<outcome> {
    if (++sends == 1) co_return again_test::fail(1);
    const bool slept = co_await again::sleep_for(1500ms);
    co_return slept ? outcome{8} : again_test::aborted(2);
  };
  const again::policy p{.attempts = 2, .backoff = again::constant(0s), .jitter = again::jitter::none};
  const auto slow = [&](const again::attempt_record& r) {
    if (!r.last) w.time.advance(1s);
  };
  const auto result = w.run(again::retry(p, again::timeout(2s, op)).observe(slow));
  REQUIRE(result.has_value());
  CHECK(*result == 8);
  CHECK(w.elapsed() == 2500ms);
}

TEST_CASE("an exception passes through") {
  world w;
  CHECK_THROWS_AS(w.run(again::timeout(1s, []() -> task<outcome> { throw std::runtime_error{"thrown"}; })),
                  std::runtime_error);
}
