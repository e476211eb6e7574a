// SPDX-License-Identifier: MIT
// A retry that is given a stop token and a nearer deadline of its own.
#include <again/retry/retry.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/retry/timeout.hpp>

#include "support/call.hpp"
#include "support/far_loop.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <thread>

using namespace std::chrono_literals;
using again::policy;
using again::retry;
using again::stop_reason;
using again::task;
using again_test::fail;
using again_test::outcome;
using again_test::world;

namespace {

constexpr policy steady{.attempts = 4,
                        .backoff = again::constant(1s),
                        .jitter = again::jitter::none,
                        .attempt_timeout = 3s,
                        .deadline = 1h};

task<outcome> fails() { co_return fail(1); }
task<outcome> slow() {
  const bool slept = co_await again::sleep_for(2s);
  co_return slept ? outcome{7} : again_test::aborted(2);
}

}  // namespace

TEST_CASE("stop: the token stops a wait and a running attempt, beside that of the awaiting context") {
  for (const bool by_token : {true, false}) {
    world w;
    again::inplace_stop_source mine, callers;
    again_test::ring end{[&] { (by_token ? mine : callers).request_stop(); }};
    w.loop.arm(end, w.time.now() + 500ms);
    const auto waiting = w.run(retry(steady, fails).stop(mine.get_token()), callers.get_token());
    CHECK(waiting.error().reason() == stop_reason::cancelled_in_delay);
    CHECK(waiting.error().error()->number == 1);
    CHECK(w.elapsed() == 500ms);
  }
  world w;
  again::inplace_stop_source mine;
  again_test::ring end{[&] { mine.request_stop(); }};
  w.loop.arm(end, w.time.now() + 500ms);
  const auto running = w.run(retry(steady, slow).stop(mine.get_token()));
  CHECK(running.error().reason() == stop_reason::cancelled_in_attempt);
  CHECK(w.elapsed() == 500ms);
}

TEST_CASE("stop: requested before the start, and a token without a source") {
  world w;
  again::inplace_stop_source mine;
  mine.request_stop();
  int sends = 0;
  const auto op = [&]() -> task<outcome> {
    ++sends;
    co_return 3;
  };
  CHECK(w.run(retry(steady, op).stop(mine.get_token())).error().reason() == stop_reason::cancelled_before_start);
  CHECK(sends == 0);
  CHECK(*w.run(retry(steady, op).stop({})) == 3);
}

TEST_CASE("stop: the source may be destroyed as soon as there is a result") {
  world w;
  const auto program = [&]() -> task<int> {
    std::optional<again::inplace_stop_source> mine{std::in_place};
    auto op = retry(steady, slow).stop(mine->get_token());
    const auto r = co_await op();
    mine.reset();
    co_return *r;
  };
  CHECK(w.run(program()) == 7);
}

TEST_CASE("stop: hooks and scheduler may be given before and after it") {
  world w;
  again::inplace_stop_source mine;
  int seen = 0;
  const auto r = w.run(retry(steady, fails)
                           .observe([&](const again::attempt_record&) { ++seen; })
                           .stop(mine.get_token())
                           .when([](const again_test::trouble&) { return false; }));
  CHECK(r.error().reason() == stop_reason::permanent);
  CHECK(seen == 1);
}

TEST_CASE("stop: it reaches a retry that runs on the loop of another thread") {
  again_test::far_loop far;
  again::run_loop here;
  again::inplace_stop_source mine;
  std::thread stopper;
  const auto op = [&]() -> task<outcome> {
    stopper = std::thread{[&] { mine.request_stop(); }};
    co_await again::yield();
    co_return fail(1);
  };
  const policy patient{.attempts = 2, .backoff = again::constant(1h), .jitter = again::jitter::none, .deadline = 10h};
  const auto r = again::sync_wait(here, retry(patient, op).stop(mine.get_token()).on(far.loop));
  stopper.join();
  CHECK_FALSE(r.has_value());
}

TEST_CASE("stop: the awaiting coroutine may be destroyed at every moment") {
  for (again::duration at{0}; at <= 6s; at += 500ms) {
    world w;
    again::inplace_stop_source mine;
    auto awaits = [&]() -> task<> { (void)co_await retry(steady, slow).stop(mine.get_token()); };
    std::optional<task<>> awaiting{awaits()};
    again_test::ring end{[&] { awaiting.reset(); }};
    again_test::call begin{[&] {
      (void)awaiting->start({[](void*) noexcept {}, nullptr}, w.loop.root());
      w.loop.arm(end, w.time.now() + at);
    }};
    w.loop.post(begin);
    CHECK_FALSE(w.loop.run());
    CHECK(w.loop.timers() == 0);
    mine.request_stop();
  }
}

TEST_CASE("within: the nearer of the two deadlines ends it") {
  {
    world w;
    const auto r = w.run(retry(steady, slow).within(1s));
    CHECK(r.error().reason() == stop_reason::deadline_reached);
    CHECK(w.elapsed() == 1s);
  }
  {
    world w;
    policy short_one = steady;
    short_one.deadline = 1s;
    short_one.attempt_timeout = 1s;
    const auto r = w.run(retry(short_one, slow).within(1min));
    CHECK(r.error().reason() == stop_reason::deadline_reached);
    CHECK(w.elapsed() == 1s);
  }
  {
    world w;
    const auto r = w.run(retry(steady, fails).within(1500ms));  // the second wait would not fit
    CHECK(r.error().reason() == stop_reason::deadline_too_near);
    CHECK(r.error().attempts() == 2);
    CHECK(w.elapsed() == 1s);
  }
}

TEST_CASE("within: no time left ends it before the first attempt") {
  for (const again::duration left : {again::duration{0}, again::duration{-5s}}) {
    world w;
    int sends = 0;
    const auto op = [&]() -> task<outcome> {
      ++sends;
      co_return 1;
    };
    const auto r = w.run(retry(steady, op).within(left));
    CHECK(r.error().reason() == stop_reason::deadline_reached);
    CHECK(r.error().error() == nullptr);
    CHECK(sends == 0);
    CHECK(w.elapsed() == 0s);
  }
}
