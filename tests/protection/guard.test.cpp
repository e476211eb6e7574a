// SPDX-License-Identifier: MIT
#include <again/protection/guard.hpp>

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/counting_clock.hpp"
#include "support/scripted_peer.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;

TEST_CASE("a guard lets through while closed, and fails at once with nothing sent while open") {
  world w;
  again::breaker b{{.consecutive = 2, .open_for = 5s}};
  peer p{stopped};
  p.gives(1).fails(trouble{2}).fails(trouble{3}).gives(4);
  auto op = again::guard(b, std::ref(p));
  CHECK(w.run(op).value() == 1);
  const auto failed = w.run(op);
  CHECK(failed.error().reason() == stop_reason::attempts_exhausted);
  CHECK(failed.error().error()->number == 2);
  CHECK(failed.error().attempts() == 1);
  CHECK(failed.error().trace().size() == 1);
  (void)w.run(op);
  const auto refused = w.run(op);
  CHECK(refused.error().reason() == stop_reason::breaker_open);
  CHECK(refused.error().error() == nullptr);
  CHECK(refused.error().attempts() == 0);
  CHECK(p.calls().size() == 3);
  w.time.advance(5s);
  CHECK(w.run(op).value() == 4);
  CHECK(b.state() == again::breaker_state::closed);
}

TEST_CASE("a retry around a guard ends with the guard's reason") {
  world w;
  again::breaker b{{.consecutive = 2}};
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2});
  const auto r =
      w.run(again::retry(again::policy{.attempts = 5, .jitter = again::jitter::none}, again::guard(b, std::ref(p))));
  CHECK(r.error().reason() == stop_reason::breaker_open);
  CHECK(r.error().error()->number == 2);
  CHECK(r.error().attempts() == 2);
}

TEST_CASE("an exception says nothing of the peer and frees the probe's place") {
  world w;
  again::breaker b{{.consecutive = 1, .open_for = 1s}};
  b.trip(w.time.now());
  w.time.advance(1s);
  peer p{stopped};
  p.throws(std::runtime_error{"broken"}).gives(1);
  auto op = again::guard(b, std::ref(p));
  CHECK_THROWS_AS(w.run(op), std::runtime_error);
  CHECK(b.state() == again::breaker_state::half_open);
  CHECK(w.run(op).value() == 1);
}

namespace {

// Runs `op` until a second has passed, then asks it to stop or destroys it.
template <class Op> void cut_off(world& w, Op& op, bool destroy) {
  auto all = [&]() -> again::task<> {
    again::scope calls{co_await again::get_context()};
    calls.spawn([](Op& inner) -> again::task<> { (void)co_await inner; }(op));
    (void)co_await again::sleep_for(1s);
    if (destroy) co_return;
    calls.request_stop();
    co_await calls.join();
  };
  w.run(all());
}

}  // namespace

// resilience4j#935, monix#1080, rezilience#521: a probe that ended in another way than by success or failure kept its place,
// and the breaker stayed half open for ever.
TEST_CASE("however a half-open probe ends, the next call may probe") {
  world w;
  again::breaker b{{.consecutive = 1, .open_for = 5s}};
  peer p{stopped};
  auto op = again::guard(b, std::ref(p));
  p.fails(trouble{1});
  CHECK_FALSE(w.run(op));
  CHECK(w.run(op).error().reason() == stop_reason::breaker_open);
  w.time.advance(5s);
  auto state = again::breaker_state::half_open;
  SUBCASE("cancelled") {
    p.hangs();
    cut_off(w, op, false);
  }
  SUBCASE("destroyed while it runs") {
    p.hangs();
    cut_off(w, op, true);
  }
  SUBCASE("it throws") {
    p.throws(std::runtime_error{"broken"});
    CHECK_THROWS_AS(w.run(op), std::runtime_error);
  }
  SUBCASE("it throws later") {
    p.throws(std::runtime_error{"broken"}).takes(1s);
    CHECK_THROWS_AS(w.run(op), std::runtime_error);
  }
  SUBCASE("the caller's patience ends") {
    p.hangs();
    CHECK(w.run(again::timeout(1s, op)).error().reason() == stop_reason::deadline_reached);
  }
  SUBCASE("an error that says that nothing was sent for a reason of ours") {
    trouble ours{2, again::disposition::permanent};
    ours.reach = again::reach::not_sent;
    p.fails(ours);
    CHECK(w.run(op).error().reason() == stop_reason::permanent);
  }
  SUBCASE("the attempt's own bound: that is a failure, and the next break is longer") {
    p.hangs();
    const again::policy bounded{.attempts = 1, .attempt_timeout = 50ms};
    CHECK_FALSE(w.run(again::retry(bounded, op)));
    state = again::breaker_state::open;
    CHECK(b.until() == w.time.now() + 10s);
  }
  SUBCASE("a bound inside: the same") {
    p.hangs();
    CHECK_FALSE(w.run(again::guard(b, again::timeout(50ms, std::ref(p)))));
    state = again::breaker_state::open;
    CHECK(b.until() == w.time.now() + 10s);
  }
  CHECK(b.state() == state);
  if (state == again::breaker_state::open) w.time.advance(10s);
  p.gives(3);
  CHECK(w.run(op).value() == 3);
  CHECK(b.state() == again::breaker_state::closed);
}

TEST_CASE("a peer that hangs opens the breaker, whether the attempt's bound is the retry's or inside") {
  const again::policy impatient{.attempts = 5,
                                .backoff = again::constant(0ms),
                                .jitter = again::jitter::none,
                                .attempt_timeout = 1s,
                                .deadline = 1h};
  SUBCASE("retry({.attempt_timeout = 1s}, guard(breaker, op))") {
    world w;
    again::breaker b{{.consecutive = 2}};
    peer p{stopped};
    p.hangs().hangs();
    const auto r = w.run(again::retry(impatient, again::guard(b, std::ref(p))));
    CHECK(r.error().reason() == stop_reason::breaker_open);
    CHECK(r.error().attempts() == 2);
    CHECK(b.state() == again::breaker_state::open);
    CHECK(w.elapsed() == 2s);
  }
  SUBCASE("the same with an error type that is permanent by default") {
    world w;
    again::breaker b{{.consecutive = 2}};
    peer p{trouble{0, again::disposition::permanent}};
    p.hangs().hangs();
    const auto r = w.run(again::retry(impatient, again::guard(b, std::ref(p))));
    CHECK(r.error().reason() == stop_reason::breaker_open);
    CHECK(r.error().attempts() == 2);
    CHECK(b.state() == again::breaker_state::open);
  }
  SUBCASE("guard(breaker, timeout(1s, op))") {
    world w;
    again::breaker b{{.consecutive = 2}};
    peer p{stopped};
    p.hangs().hangs();
    auto op = again::guard(b, again::timeout(1s, std::ref(p)));
    for (int i = 0; i < 2; ++i) CHECK(w.run(op).error().reason() == stop_reason::deadline_reached);
    CHECK(b.state() == again::breaker_state::open);
  }
  SUBCASE("timeout(1s, guard(breaker, op)) is the caller's patience") {
    world w;
    again::breaker b{{.consecutive = 1}};
    peer p{stopped};
    p.hangs();
    CHECK(w.run(again::timeout(1s, again::guard(b, std::ref(p)))).error().reason() == stop_reason::deadline_reached);
    CHECK(b.state() == again::breaker_state::closed);
  }
  SUBCASE("a stop request before the bound says nothing of the peer") {
    world w;
    again::breaker b{{.consecutive = 1}};
    peer p{stopped};
    p.hangs();
    auto all = [&]() -> again::task<> {
      again::scope calls{co_await again::get_context()};
      calls.spawn([](again::policy how, again::breaker& shared, peer& to) -> again::task<> {
        const auto r = co_await again::retry(how, again::guard(shared, std::ref(to)));
        CHECK(r.error().reason() == stop_reason::cancelled_in_attempt);
      }(impatient, b, p));
      (void)co_await again::sleep_for(500ms);
      calls.request_stop();
      co_await calls.join();
    };
    w.run(all());
    CHECK(b.state() == again::breaker_state::closed);
  }
}

TEST_CASE("a success costs one reading of the clock while all is quiet, and two after recent failures") {
  counting_clock time;
  again::run_loop loop{time, 1};
  again::breaker b{{.consecutive = 5}};
  const auto reads_of = [&](const auto& op) {
    auto one = [&]() -> again::task<long> {
      auto guarded = again::guard(b, op);
      const long before = time.reads();
      (void)co_await guarded;
      co_return time.reads() - before;
    };
    return again::sync_wait(loop, one());
  };
  const auto good = []() -> again::task<outcome> { co_return 1; };
  const auto bad = []() -> again::task<outcome> { co_return fail(2); };
  CHECK(reads_of(good) == 1);
  CHECK(reads_of(bad) == 2);
  CHECK(reads_of(good) == 2);
  CHECK(reads_of(good) == 1);
}

TEST_CASE("a guard says of its operation whether it may be repeated") {
  peer p{stopped};
  again::breaker b;
  CHECK(again::guard(b, std::ref(p)).repeatable());
}
