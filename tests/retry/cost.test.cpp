// SPDX-License-Identifier: MIT
// Promise 8: what a retry costs in heap and stack.
#include <again/retry.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/retry/timeout.hpp>

#include "support/counting_new.hpp"
#include "support/stack_depth.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <cstddef>

using namespace std::chrono_literals;
using again::policy;
using again::retry;
using again::task;
using again_test::fail;
using again_test::outcome;
using again_test::world;

namespace {

constexpr int million = 1'000'000;
constexpr policy endless{
    .attempts = million, .backoff = again::constant(0s), .attempt_timeout = again::forever, .deadline = again::forever};
constexpr policy bounded{.attempts = million, .backoff = again::constant(0s), .attempt_timeout = 1s, .deadline = 1h};

struct measured {
  std::size_t stack;
  std::size_t blocks;
  int sends;
};

// A million failures; `yields`: each attempt suspends before it fails.
measured million_failures(const policy& p, bool yields) {
  world w;
  again_test::stack_depth stack;
  measured m{};
  const auto op = [&]() -> task<outcome> {
    stack.here();
    if (yields) co_await again::yield();
    co_return fail(++m.sends);
  };
  const auto body = [&]() -> task<> {
    again_test::reset_most_live_blocks();
    const std::size_t before = again_test::live_blocks();
    auto result = co_await retry(p, op);
    m.blocks = again_test::most_live_blocks() - before;
    CHECK(result.error().attempts() == million);
    CHECK(result.error().error()->number == million);
    CHECK(result.error().trace().size() == again::attempt_trace::capacity);
  };
  w.run(body());
  m.stack = stack.bytes();
  return m;
}

// Allocations while `rounds` calls run in steady state.
template <class Call> std::size_t allocations_of(world& w, Call call) {
  const auto body = [&]() -> task<std::size_t> {
    for (int i = 0; i < 3; ++i) co_await call();
    const std::size_t before = again_test::allocations();
    for (int i = 0; i < 100; ++i) co_await call();
    co_return again_test::allocations() - before;
  };
  return w.run(body());
}

bool frames_are_recycled() {
  if (!again::detail::recycle_frames) MESSAGE("not measured: frames are not recycled under AddressSanitizer");
  const auto before = again_test::allocations();
  ::operator delete(::operator new(8));
  const bool counted = again_test::allocations() != before;
  if (!counted) MESSAGE("not measured: the sanitizer's operator new replaces the counting one");
  return again::detail::recycle_frames && counted;
}

}  // namespace

TEST_CASE("a million immediate failures need constant stack and constant memory") {
  for (const policy& p : {endless, bounded}) {
    const measured m = million_failures(p, false);
    CHECK(m.sends == million);
    CHECK(m.stack < again_test::constant_stack);
    CHECK(m.blocks < 20);
  }
}

TEST_CASE("a million failures that each suspend once need constant stack and memory, too") {
  const measured m = million_failures(bounded, true);
  CHECK(m.sends == million);
  CHECK(m.stack < again_test::constant_stack);
  CHECK(m.blocks < 20);
}

TEST_CASE("a first-try success allocates nothing, with and without bounds, at once and later") {
  if (!frames_are_recycled()) return;
  world w;
  const auto at_once = []() -> task<outcome> { co_return 1; };
  const auto later = []() -> task<outcome> {
    (void)co_await again::sleep_for(1ms);
    co_return 1;
  };
  CHECK(allocations_of(w, [&]() -> task<> { (void)co_await retry(endless, at_once); }) == 0);
  CHECK(allocations_of(w, [&]() -> task<> { (void)co_await retry(bounded, at_once); }) == 0);
  CHECK(allocations_of(w, [&]() -> task<> { (void)co_await retry(policy{}, later); }) == 0);
  CHECK(allocations_of(w, [&]() -> task<> { (void)co_await again::timeout(1s, later); }) == 0);
  int seen = 0;
  CHECK(allocations_of(w, [&]() -> task<> {
          (void)co_await retry(policy{}, later).observe([&](const again::attempt_record&) { ++seen; });
        }) == 0);
  CHECK(seen == 103);
}

TEST_CASE("a further attempt allocates nothing, with its wait and its jitter; the final failure allocates once") {
  if (!frames_are_recycled()) return;
  world w;
  const auto calls = [&](int attempts, bool succeeds) {
    return [&w, attempts, succeeds]() -> task<> {
      int n = 0;
      const auto op = [&]() -> task<outcome> {
        co_await again::yield();
        if (++n == attempts && succeeds) co_return n;
        co_return fail(n);
      };
      policy p;
      p.attempts = attempts;
      p.deadline = 1h;
      (void)co_await retry(p, op);
      (void)w;
    };
  };
  CHECK(allocations_of(w, calls(2, true)) == 0);
  CHECK(allocations_of(w, calls(20, true)) == 0);
  CHECK(allocations_of(w, calls(1, false)) == 100);
  CHECK(allocations_of(w, calls(20, false)) == 100);
}

TEST_CASE("a million calls in a row through one loop leave no memory behind") {
  world w;
  const auto op = []() -> task<outcome> { co_return 1; };
  again_test::stack_depth stack;
  const auto body = [&]() -> task<int> {
    int sum = 0;
    again_test::reset_most_live_blocks();
    const std::size_t before = again_test::live_blocks();
    for (int i = 0; i < million; ++i) {
      auto one = co_await retry(policy{}, op);
      sum += *one;
      stack.here();
    }
    CHECK(again_test::most_live_blocks() - before < 20);
    co_return sum;
  };
  CHECK(w.run(body()) == million);
  CHECK(stack.bytes() < again_test::constant_stack);
  CHECK(w.loop.timers() == 0);
}
