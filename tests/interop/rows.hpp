// SPDX-License-Identifier: MIT
/// \file
/// The rows of the table of docs/interop.md that are the same for every library whose promise transforms no await:
/// `World` names its task and its ways to start one.
///
/// ```cpp
/// struct world_of_x {
///   template <class T> using task = x::task<T>;
///   template <class A> static auto sync_wait(A&&);   // from a thread without a loop of ours
/// };
/// ```
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "stubborn_operations.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

namespace again_test {

using namespace std::chrono_literals;

// ── theirs alone: no loop of ours runs on their thread ──

/// `.stop(token)` ends a wait. Without it the test takes an hour.
template <class World> void stop_ends_a_wait() {
  std::atomic<int> sends{0};
  again::inplace_stop_source source;
  auto program = [&]() -> typename World::template task<retried> {
    co_return co_await again::retry(patient, failing{&sends})
        .stop(source.get_token())
        .observe([&](const again::attempt_record&) { source.request_stop(); });
  };
  const retried r = World::sync_wait(program());
  REQUIRE_FALSE(r.has_value());
  CHECK(sends == 1);
  CHECK(r.error().reason() == again::stop_reason::cancelled_in_delay);
}

/// The same while an attempt runs, from another thread.
template <class World> void stop_ends_an_attempt() {
  std::atomic<bool> begun{false};
  again::inplace_stop_source source;
  auto program = [&]() -> typename World::template task<retried> {
    co_return co_await again::retry(patient, waiting{&begun}).stop(source.get_token());
  };
  std::thread requester{[&] {
    begun.wait(false);
    source.request_stop();
  }};
  const retried r = World::sync_wait(program());
  requester.join();
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == again::stop_reason::cancelled_in_attempt);
}

/// `.within(d)` ends a running attempt.
template <class World> void a_deadline_ends_an_attempt() {
  std::atomic<bool> begun{false};
  auto program = [&]() ->
      typename World::template task<retried> { co_return co_await again::retry(patient, waiting{&begun}).within(1ms); };
  const retried r = World::sync_wait(program());
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == again::stop_reason::deadline_reached);
}

// ── again -> theirs -> again, in pretend time ──

/// What an `again::task` retries: a coroutine of theirs in which ours retries.
template <class World> struct two_layers {
  std::atomic<int>* sends;
  typename World::template task<outcome> operator()() const { return inner(sends); }
  static typename World::template task<outcome> inner(std::atomic<int>* sends) {
    const retried r = co_await again::retry(four_at_once, failing{sends});
    co_return r.has_value() ? outcome{*r} : fail(sends->load());
  }
};

template <class World> void two_layers_of_four_make_seven_sends() {
  world w;
  std::atomic<int> sends{0};
  auto program = [&]() -> again::task<retried> {
    co_return co_await again::retry(four_at_once, two_layers<World>{&sends});
  };
  const retried r = w.run(program());
  REQUIRE_FALSE(r.has_value());
  CHECK(sends == 7);
}

template <class World> void an_outer_timeout_reaches_the_inner_wait() {
  world w;
  std::atomic<bool> begun{false};
  auto theirs = [&]() -> typename World::template task<outcome> {
    const retried r = co_await again::retry(patient, waiting{&begun});
    co_return r.has_value() ? outcome{*r} : aborted(2);
  };
  auto program = [&]() -> again::task<retried> { co_return co_await again::timeout(100ms, theirs); };
  const retried r = w.run(program());
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == again::stop_reason::deadline_reached);
  CHECK(w.elapsed() == 100ms);
}

template <class World> void a_stop_request_reaches_the_inner_wait() {
  world w;
  std::atomic<int> sends{0};
  again::inplace_stop_source source;
  auto theirs = [&]() -> typename World::template task<outcome> {
    const retried r = co_await again::retry(patient, failing{&sends}).observe([&](const again::attempt_record&) {
      source.request_stop();
    });
    co_return r.has_value() ? outcome{*r} : aborted(sends);
  };
  auto program = [&]() -> again::task<outcome> { co_return co_await theirs(); };
  const outcome r = w.run(program(), source.get_token());
  REQUIRE_FALSE(r.has_value());
  CHECK(sends == 1);
  CHECK(w.elapsed() == 0s);
}

/// What a task of ours sees that their coroutine awaits.
inline again::task<again::duration> time_left() {
  const again::context& ctx = co_await again::get_context();
  co_return ctx.deadline == again::never ? again::duration::max() : ctx.deadline - ctx.scheduler->now();
}

/// A coroutine of theirs that is resumed by ours, awaits twice and more: each await has the context.
template <class World> void the_context_is_there_at_every_await() {
  world w;
  auto theirs = [&]() -> typename World::template task<int> {
    int deadlines = 0;
    for (int i = 0; i < 3; ++i) {
      if (co_await time_left() < 1h) ++deadlines;
      (void)co_await again::sleep_for(1ms);
    }
    co_return deadlines;
  };
  auto between = [&]() -> typename World::template task<int> {
    const int first = co_await theirs();
    (void)co_await again::sleep_for(1ms);
    co_return first + co_await theirs();
  };
  auto op = [&]() -> again::task<outcome> { co_return co_await between(); };
  auto program = [&]() -> again::task<retried> { co_return co_await again::timeout(100ms, op); };
  const retried r = w.run(program());
  REQUIRE(r.has_value());
  CHECK(*r == 6);
  CHECK(w.elapsed() == 7ms);
}

/// Two branches with different deadlines: neither sees the other's, whichever is resumed in between.
template <class World> void branches_keep_their_own_contexts() {
  world w;
  auto theirs = [&](int steps) -> typename World::template task<outcome> {
    for (int i = 0; i < steps; ++i) (void)co_await again::sleep_for(10ms);
    const again::duration left = co_await time_left();
    co_return outcome{static_cast<int>(left / 1ms)};
  };
  auto program = [&]() -> again::task<int> {
    auto [a, b] = co_await again::when_all(again::timeout(100ms, [&] { return theirs(3); }),
                                           again::timeout(1000ms, [&] { return theirs(2); }));
    CHECK(a.has_value());
    CHECK(b.has_value());
    CHECK(*a == 70);
    CHECK(*b == 980);
    co_return 0;
  };
  (void)w.run(program());
}

/// A coroutine of theirs that is started inside a bounded await and goes on after it: its context has ended with the
/// await, so it must not be used any more (the address sanitizer sees it).
template <class World, class Detach> void a_detached_coroutine_outlives_the_context(Detach detach) {
  world w;
  auto flag = std::make_shared<std::atomic<int>>(0);
  auto left_behind = [](std::shared_ptr<std::atomic<int>> done) -> typename World::template task<void> {
    for (int i = 0; i < 5; ++i) (void)co_await again::sleep_for(50ms);
    std::atomic<int> sends{0};
    const retried r = co_await again::retry(four_at_once, failing{&sends});
    *done = sends + (r.has_value() ? 100 : 0);
  };
  auto theirs = [&]() -> typename World::template task<outcome> {
    detach(left_behind(flag));
    (void)co_await again::sleep_for(60ms);
    co_return outcome{1};
  };
  auto program = [&]() -> again::task<int> {
    {
      const retried r = co_await again::timeout(100ms, theirs);
      CHECK(r.has_value());
    }
    (void)co_await again::sleep_for(1s);
    co_return flag->load();
  };
  CHECK(w.run(program()) == 4);
  CHECK(w.elapsed() == 1060ms);
}

/// `retry` takes a coroutine of theirs, whose await gives `T&&`.
template <class World> void a_task_of_theirs_is_retried() {
  world w;
  int sends = 0;
  auto theirs = [&]() -> typename World::template task<outcome> {
    ++sends;
    (void)co_await again::sleep_for(1ms);
    co_return sends == 3 ? outcome{sends} : fail(sends);
  };
  auto program = [&]() -> again::task<retried> {
    co_return co_await again::retry({.attempts = 4, .backoff = again::constant(1ms), .jitter = again::jitter::none},
                                    theirs);
  };
  const retried r = w.run(program());
  REQUIRE(r.has_value());
  CHECK(*r == 3);
}

}  // namespace again_test
