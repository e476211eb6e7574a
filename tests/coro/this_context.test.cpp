// SPDX-License-Identifier: MIT
#include <again/coro/this_context.hpp>

#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/retry.hpp>

#include "support/minimal_coroutine.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <utility>
#include <vector>

using namespace std::chrono_literals;
using again::task;
using again_test::world;

TEST_CASE("a task sees the scheduler, stop token and deadline of the coroutine that awaits it") {
  world w;
  again::inplace_stop_source stop;
  const auto inner = [&]() -> task<> {
    const again::context& ctx = co_await again::get_context();
    CHECK(ctx.scheduler == &w.loop);
    CHECK(&co_await again::get_scheduler() == &w.loop);
    CHECK(co_await again::get_stop_token() == stop.get_token());
    CHECK(ctx.deadline == again::never);
    CHECK(ctx.kind == again::deadline_kind::none);
  };
  const auto outer = [&]() -> task<> { co_await inner(); };
  w.run(outer(), stop.get_token());
}

TEST_CASE("an attempt sees its own timeout, the nearest deadline, and whether it is a repetition") {
  world w;
  std::vector<again::context> seen;
  const auto op = [&]() -> task<again_test::outcome> {
    seen.push_back(co_await again::get_context());
    co_return again_test::fail(1);
  };
  const again::policy p{.attempts = 3,
                        .backoff = again::constant(3s),
                        .jitter = again::jitter::none,
                        .attempt_timeout = 2s,
                        .deadline = 7s};
  CHECK_FALSE(w.run(again::retry(p, op)).has_value());
  REQUIRE(seen.size() == 3);
  const again::time_point start = again::virtual_clock::start;
  CHECK(seen[0].deadline == start + 2s);
  CHECK(seen[0].kind == again::deadline_kind::attempt);
  CHECK_FALSE(seen[0].repeated);
  CHECK(seen[1].deadline == start + 5s);
  CHECK(seen[1].repeated);
  CHECK(seen[2].deadline == start + 7s);
  CHECK(seen[2].kind == again::deadline_kind::overall);
}

TEST_CASE("a coroutine without a context gets that of the loop on its thread") {
  world w;
  const auto knows_nothing = [&]() -> again_test::bare<int> {
    CHECK(&co_await again::get_scheduler() == &w.loop);
    CHECK_FALSE((co_await again::get_stop_token()).stop_possible());
    co_return 1;
  };
  auto coroutine = knows_nothing();
  bool resumed = false;
  w.loop.run_until([&] {
    if (!std::exchange(resumed, true)) coroutine.resume();
    return coroutine.done();
  });
  CHECK(coroutine.result() == 1);
}
