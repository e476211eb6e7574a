// SPDX-License-Identifier: MIT
#include "rows.hpp"

#include <again/core/stop_token.hpp>
#include <again/coro/resume_on.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "cppcoro_under_test.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <tuple>

using namespace again_test;

namespace {

struct world_of_cppcoro {
  template <class T> using task = cppcoro::task<T>;
  template <class A> static auto sync_wait(A&& a) { return retried{cppcoro::sync_wait(std::forward<A>(a))}; }
};

}  // namespace

TEST_CASE("cppcoro: .stop(token) ends a wait") { stop_ends_a_wait<world_of_cppcoro>(); }
TEST_CASE("cppcoro: .stop(token) ends an attempt") { stop_ends_an_attempt<world_of_cppcoro>(); }
TEST_CASE("cppcoro: .within(duration) ends an attempt") { a_deadline_ends_an_attempt<world_of_cppcoro>(); }
TEST_CASE("again, cppcoro, again: two layers of four attempts make seven sends") {
  two_layers_of_four_make_seven_sends<world_of_cppcoro>();
}
TEST_CASE("again, cppcoro, again: a timeout outside ends a wait inside") {
  an_outer_timeout_reaches_the_inner_wait<world_of_cppcoro>();
}
TEST_CASE("again, cppcoro, again: a stop request outside ends a wait inside") {
  a_stop_request_reaches_the_inner_wait<world_of_cppcoro>();
}
TEST_CASE("again, cppcoro, again: every await of a coroutine has the context") {
  the_context_is_there_at_every_await<world_of_cppcoro>();
}
TEST_CASE("again, cppcoro, again: branches keep their own deadlines") {
  branches_keep_their_own_contexts<world_of_cppcoro>();
}
TEST_CASE("again, cppcoro, again: a detached coroutine does not keep a context that has ended") {
  cppcoro::async_scope scope;
  a_detached_coroutine_outlives_the_context<world_of_cppcoro>(
      [&](cppcoro::task<> what) { scope.spawn(std::move(what)); });
  auto joined = [&]() -> cppcoro::task<> { co_await scope.join(); };
  cppcoro::sync_wait(joined());
}
TEST_CASE("cppcoro: retry takes a function that makes a task") { a_task_of_theirs_is_retried<world_of_cppcoro>(); }

TEST_CASE("cppcoro: resume_on, its own and ours, brings the coroutine back to its pool") {
  cppcoro::static_thread_pool pool{1};
  std::atomic<int> sends{0};
  auto program = [&]() -> cppcoro::task<bool> {
    co_await pool.schedule();
    const std::thread::id pool_thread = std::this_thread::get_id();
    const retried theirs = co_await cppcoro::resume_on(pool, again::retry(four_at_once, failing{&sends}));
    CHECK_FALSE(theirs.has_value());
    CHECK(std::this_thread::get_id() == pool_thread);
    const retried ours = co_await again::resume_on(pool, again::retry(four_at_once, failing{&sends}));
    CHECK_FALSE(ours.has_value());
    CHECK(std::this_thread::get_id() == pool_thread);
    const retried neither = co_await again::retry(four_at_once, failing{&sends});
    CHECK_FALSE(neither.has_value());
    co_return std::this_thread::get_id() != pool_thread;  // on the loop's thread
  };
  const bool moved = cppcoro::sync_wait(program());
  CHECK(moved);
  CHECK(sends == 12);
}

TEST_CASE("cppcoro: a cancellation_registration requests stop") {
  std::atomic<bool> begun{false};
  cppcoro::static_thread_pool pool{1};
  cppcoro::cancellation_source theirs;
  auto program = [&](cppcoro::cancellation_token token) -> cppcoro::task<retried> {
    co_await pool.schedule();
    again::inplace_stop_source source;
    const cppcoro::cancellation_registration passes_on{std::move(token), [&] { source.request_stop(); }};
    co_return co_await again::resume_on(pool, again::retry(patient, waiting{&begun}).stop(source.get_token()));
  };
  std::thread requester{[&] {
    begun.wait(false);
    theirs.request_cancellation();
  }};
  const retried r{cppcoro::sync_wait(program(theirs.token()))};
  requester.join();
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == again::stop_reason::cancelled_in_attempt);
}

TEST_CASE("cppcoro: when_all awaits retries, each in its own task") {
  std::atomic<int> sends{0};
  auto one = [&]() -> cppcoro::task<retried> { co_return co_await again::retry(four_at_once, failing{&sends}); };
  auto both = [&]() -> cppcoro::task<int> {
    auto [a, b] = co_await cppcoro::when_all(one(), one());
    co_return (a.has_value() ? 1 : 0) + (b.has_value() ? 1 : 0);
  };
  const int succeeded = cppcoro::sync_wait(both());
  CHECK(succeeded == 0);
  CHECK(sends == 8);
}

TEST_CASE("cppcoro: a task that changes threads is resumed on the loop of the again::task that awaits it") {
  world w;
  cppcoro::static_thread_pool pool{1};
  auto theirs = [&]() -> cppcoro::task<std::thread::id> {
    co_await pool.schedule();
    co_return std::this_thread::get_id();
  };
  auto program = [&]() -> again::task<bool> {
    const std::thread::id here = std::this_thread::get_id();
    const std::thread::id there = co_await theirs();
    CHECK(there != here);
    co_return std::this_thread::get_id() == here;
  };
  again::run_loop real;
  CHECK(again::sync_wait(real, program()));
}
