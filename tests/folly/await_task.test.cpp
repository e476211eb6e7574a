// SPDX-License-Identifier: MIT
#include <again/folly/await_task.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/folly/with_cancellation.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "folly_under_test.hpp"
#include "interop/stubborn_operations.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

using namespace again_test;
using namespace std::chrono_literals;

namespace {

// Waits until its Task is cancelled, as operations of folly do that support it.
folly::coro::Task<outcome> until_cancelled() {
  const folly::CancellationToken token = co_await folly::coro::co_current_cancellation_token;
  folly::coro::Baton baton;
  const folly::CancellationCallback wakes{token, [&] { baton.post(); }};
  co_await baton;
  co_return aborted(1);
}

}  // namespace

TEST_CASE("a Task runs on its executor, and the again::task goes on on its loop") {
  folly::CPUThreadPoolExecutor executor{1};
  const folly::Executor::KeepAlive<> ex{&executor};
  auto theirs = []() -> folly::coro::Task<std::thread::id> { co_return std::this_thread::get_id(); };
  auto program = [&]() -> again::task<bool> {
    const std::thread::id here = std::this_thread::get_id();
    const std::thread::id there = co_await folly::coro::co_withExecutor(ex, theirs());
    CHECK(there != here);
    co_return std::this_thread::get_id() == here;
  };
  CHECK(again::sync_wait(program()));
}

TEST_CASE("a timeout cancels a Task") {
  folly::CPUThreadPoolExecutor executor{1};
  const folly::Executor::KeepAlive<> ex{&executor};
  auto op = [&] { return folly::coro::co_withExecutor(ex, until_cancelled()); };
  auto program = [&]() -> again::task<retried> { co_return co_await again::timeout(1ms, op); };
  const retried r = again::sync_wait(program());
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == again::stop_reason::deadline_reached);
}

TEST_CASE("a stop request cancels a Task, also one that was made before") {
  folly::CPUThreadPoolExecutor executor{1};
  const folly::Executor::KeepAlive<> ex{&executor};
  again::inplace_stop_source source;
  source.request_stop();
  auto program = [&]() -> again::task<outcome> {
    co_return co_await folly::coro::co_withExecutor(ex, until_cancelled());
  };
  const outcome r = again::sync_wait(program(), source.get_token());
  CHECK_FALSE(r.has_value());
}

TEST_CASE("a retry takes a function that makes a Task, and its exception is rethrown") {
  folly::CPUThreadPoolExecutor executor{1};
  const folly::Executor::KeepAlive<> ex{&executor};
  int sends = 0;
  auto theirs = [&]() -> folly::coro::Task<outcome> {
    ++sends;
    co_return sends == 3 ? outcome{sends} : fail(sends);
  };
  auto throws = []() -> folly::coro::Task<outcome> {
    throw std::runtime_error{"no luck"};
    co_return outcome{0};
  };
  auto program = [&]() -> again::task<int> {
    const retried r = co_await again::retry(four_at_once, [&] { return folly::coro::co_withExecutor(ex, theirs()); });
    CHECK(r.has_value());
    try {
      (void)co_await folly::coro::co_withExecutor(ex, throws());
    } catch (const std::runtime_error&) { co_return *r; }
    co_return 0;
  };
  CHECK(again::sync_wait(program()) == 3);
}

TEST_CASE("again, folly, again: stop reaches the retry inside, through folly's cancellation") {
  folly::CPUThreadPoolExecutor executor{1};
  const folly::Executor::KeepAlive<> ex{&executor};
  std::atomic<bool> begun{false};
  auto theirs = [&]() -> folly::coro::Task<outcome> {
    const retried r = co_await again::retry(patient, waiting{&begun});
    co_return r.has_value() ? outcome{*r} : aborted(1);
  };
  auto op = [&] { return folly::coro::co_withExecutor(ex, theirs()); };
  auto program = [&]() -> again::task<retried> { co_return co_await again::timeout(5ms, op); };
  const retried r = again::sync_wait(program());
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == again::stop_reason::deadline_reached);
  CHECK(begun);
}

TEST_CASE("again, folly, again: the attempt number does not travel, because the Task runs elsewhere") {
  folly::CPUThreadPoolExecutor executor{1};
  const folly::Executor::KeepAlive<> ex{&executor};
  std::atomic<int> sends{0};
  auto theirs = [&]() -> folly::coro::Task<outcome> {
    const retried r = co_await again::retry(four_at_once, failing{&sends});
    co_return r.has_value() ? outcome{*r} : fail(1);
  };
  auto op = [&] { return folly::coro::co_withExecutor(ex, theirs()); };
  auto program = [&]() -> again::task<retried> { co_return co_await again::retry(four_at_once, op); };
  const retried r = again::sync_wait(program());
  CHECK_FALSE(r.has_value());
  CHECK(sends == 16);
}
