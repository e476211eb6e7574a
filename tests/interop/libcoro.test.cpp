// SPDX-License-Identifier: MIT
#include "rows.hpp"

#include <again/core/stop_token.hpp>
#include <again/coro/resume_on.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/retry/retry.hpp>

#include "libcoro_under_test.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <stop_token>
#include <thread>
#include <tuple>
#include <vector>

using namespace again_test;

namespace {

struct world_of_libcoro {
  template <class T> using task = coro::task<T>;
  template <class A> static auto sync_wait(A&& a) { return retried{coro::sync_wait(std::forward<A>(a))}; }
};

// Whether libcoro's coroutine is at its end when it is dropped is for its owner to see to.
struct running_tasks {
  std::vector<std::unique_ptr<coro::task<>>> kept;
  void operator()(coro::task<> what) {
    kept.push_back(std::make_unique<coro::task<>>(std::move(what)));
    kept.back()->resume();
  }
};

}  // namespace

TEST_CASE("libcoro: .stop(token) ends a wait") { stop_ends_a_wait<world_of_libcoro>(); }
TEST_CASE("libcoro: .stop(token) ends an attempt") { stop_ends_an_attempt<world_of_libcoro>(); }
TEST_CASE("libcoro: .within(duration) ends an attempt") { a_deadline_ends_an_attempt<world_of_libcoro>(); }
TEST_CASE("again, libcoro, again: two layers of four attempts make seven sends") {
  two_layers_of_four_make_seven_sends<world_of_libcoro>();
}
TEST_CASE("again, libcoro, again: a timeout outside ends a wait inside") {
  an_outer_timeout_reaches_the_inner_wait<world_of_libcoro>();
}
TEST_CASE("again, libcoro, again: a stop request outside ends a wait inside") {
  a_stop_request_reaches_the_inner_wait<world_of_libcoro>();
}
TEST_CASE("again, libcoro, again: every await of a coroutine has the context") {
  the_context_is_there_at_every_await<world_of_libcoro>();
}
TEST_CASE("again, libcoro, again: branches keep their own deadlines") {
  branches_keep_their_own_contexts<world_of_libcoro>();
}
TEST_CASE("again, libcoro, again: a detached coroutine does not keep a context that has ended") {
  running_tasks tasks;
  a_detached_coroutine_outlives_the_context<world_of_libcoro>(std::ref(tasks));
}
TEST_CASE("libcoro: retry takes a function that makes a task") { a_task_of_theirs_is_retried<world_of_libcoro>(); }

TEST_CASE("libcoro: resume_on brings the coroutine back to its pool") {
  const auto pool = coro::thread_pool::make_unique({.thread_count = 1});
  std::atomic<int> sends{0};
  auto program = [&]() -> coro::task<bool> {
    co_await pool->schedule();
    const std::thread::id pool_thread = std::this_thread::get_id();
    const retried r = co_await again::resume_on(*pool, again::retry(four_at_once, failing{&sends}));
    CHECK_FALSE(r.has_value());
    co_return std::this_thread::get_id() == pool_thread;
  };
  const bool came_back = coro::sync_wait(program());
  CHECK(came_back);
  CHECK(sends == 4);
}

TEST_CASE("libcoro: a std::stop_callback requests stop") {
  std::atomic<bool> begun{false};
  std::stop_source theirs;
  auto program = [&](std::stop_token token) -> coro::task<retried> {
    again::inplace_stop_source source;
    const std::stop_callback passes_on{std::move(token), [&] { source.request_stop(); }};
    co_return co_await again::retry(patient, waiting{&begun}).stop(source.get_token());
  };
  std::thread requester{[&] {
    begun.wait(false);
    theirs.request_stop();
  }};
  const retried r{coro::sync_wait(program(theirs.get_token()))};
  requester.join();
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == again::stop_reason::cancelled_in_attempt);
}

TEST_CASE("libcoro: when_all awaits retries, each in its own task") {
  std::atomic<int> sends{0};
  auto one = [&]() -> coro::task<retried> { co_return co_await again::retry(four_at_once, failing{&sends}); };
  auto both = [&]() -> coro::task<int> {
    auto [a, b] = co_await coro::when_all(one(), one());
    co_return (a.return_value().has_value() ? 1 : 0) + (b.return_value().has_value() ? 1 : 0);
  };
  const int succeeded = coro::sync_wait(both());
  CHECK(succeeded == 0);
  CHECK(sends == 8);
}

TEST_CASE("libcoro: a task that changes threads is resumed on the loop of the again::task that awaits it") {
  const auto pool = coro::thread_pool::make_unique({.thread_count = 1});
  auto theirs = [&]() -> coro::task<std::thread::id> {
    co_await pool->schedule();
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
