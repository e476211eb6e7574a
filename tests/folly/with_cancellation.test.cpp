// SPDX-License-Identifier: MIT
#include <again/folly/with_cancellation.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "folly_under_test.hpp"
#include "interop/stubborn_operations.hpp"
#include "support/far_loop.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

using namespace again_test;
using namespace std::chrono_literals;

namespace {

// A pool of one thread, whose id the tests compare.
struct pool {
  folly::CPUThreadPoolExecutor executor{1};
  template <class T> T run(folly::coro::Task<T> task) {
    return folly::coro::blockingWait(
        folly::coro::co_withExecutor(folly::Executor::KeepAlive<>{&executor}, std::move(task)));
  }
  template <class T> T run(folly::CancellationToken token, folly::coro::Task<T> task) {
    return run(folly::coro::co_withCancellation(std::move(token), std::move(task)));
  }
};

// folly's own function for all awaitables is not taken for ours: that would lose the token and say nothing.
template <class A>
using under_a_token = decltype(folly::coro::co_withCancellation(folly::CancellationToken{}, std::declval<A>()));
using a_retry = decltype(again::retry(patient, failing{}));
static_assert(std::is_same_v<under_a_token<a_retry>, again::detail::folly_cancellable<a_retry>>);
static_assert(std::is_same_v<under_a_token<a_retry&>, again::detail::folly_cancellable<a_retry&>>);
static_assert(std::is_same_v<under_a_token<again::task<int>>, again::detail::folly_cancellable<again::task<int>>>);
static_assert(std::is_same_v<under_a_token<again::sleep>, again::detail::folly_cancellable<again::sleep>>);
static_assert(std::is_same_v<under_a_token<folly::coro::Baton&>, folly::coro::Baton&>);

}  // namespace

TEST_CASE("a Task awaits a retry directly and goes on on its executor") {
  pool p;
  std::atomic<int> sends{0};
  auto program = [&]() -> folly::coro::Task<bool> {
    const std::thread::id before = std::this_thread::get_id();
    const retried r = co_await again::retry(four_at_once, failing{&sends});
    CHECK_FALSE(r.has_value());
    co_return std::this_thread::get_id() == before;
  };
  CHECK(p.run(program()));
  CHECK(sends == 4);
}

TEST_CASE("cancellation of a Task ends a running attempt") {
  pool p;
  std::atomic<bool> begun{false};
  folly::CancellationSource source;
  auto program = [&]() -> folly::coro::Task<retried> { co_return co_await again::retry(patient, waiting{&begun}); };
  std::thread requester{[&] {
    begun.wait(false);
    source.requestCancellation();
  }};
  const retried r = p.run(source.getToken(), program());
  requester.join();
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == again::stop_reason::cancelled_in_attempt);
}

TEST_CASE("cancellation of a Task ends a wait between attempts") {
  pool p;
  std::atomic<int> sends{0};
  folly::CancellationSource source;
  auto program = [&]() -> folly::coro::Task<retried> {
    co_return co_await again::retry(patient, failing{&sends}).observe([&](const again::attempt_record&) {
      source.requestCancellation();
    });
  };
  const retried r = p.run(source.getToken(), program());
  REQUIRE_FALSE(r.has_value());
  CHECK(sends == 1);
  CHECK(r.error().reason() == again::stop_reason::cancelled_in_delay);
}

TEST_CASE("a Task that is cancelled before it awaits sends nothing") {
  pool p;
  std::atomic<int> sends{0};
  folly::CancellationSource source;
  source.requestCancellation();
  auto program = [&]() -> folly::coro::Task<retried> { co_return co_await again::retry(patient, failing{&sends}); };
  const retried r = p.run(source.getToken(), program());
  REQUIRE_FALSE(r.has_value());
  CHECK(sends == 0);
  CHECK(r.error().reason() == again::stop_reason::cancelled_before_start);
}

TEST_CASE("a nested Task passes cancellation on, and of two tokens the inner one counts") {
  pool p;
  std::atomic<bool> begun{false};
  folly::CancellationSource outer;
  folly::CancellationSource inner;
  auto child = [&]() -> folly::coro::Task<retried> { co_return co_await again::retry(patient, waiting{&begun}); };
  auto nested = [&]() -> folly::coro::Task<retried> { co_return co_await child(); };
  auto direct = [&]() -> folly::coro::Task<retried> {
    co_return co_await folly::coro::co_withCancellation(inner.getToken(), again::retry(patient, waiting{&begun}));
  };
  {
    std::thread requester{[&] {
      begun.wait(false);
      outer.requestCancellation();
    }};
    const retried r = p.run(outer.getToken(), nested());
    requester.join();
    CHECK_FALSE(r.has_value());
  }
  begun = false;
  {
    std::thread requester{[&] {
      begun.wait(false);
      inner.requestCancellation();
    }};
    const retried r = p.run(outer.getToken(), direct());  // outer is cancelled already: it does not count
    requester.join();
    REQUIRE_FALSE(r.has_value());
    CHECK(r.error().reason() == again::stop_reason::cancelled_in_attempt);
  }
}

TEST_CASE("tasks, sleeps and named operations are awaited as well, and cancelled") {
  pool p;
  folly::CancellationSource source;
  std::atomic<bool> begun{false};
  auto program = [&]() -> folly::coro::Task<int> {
    CHECK(co_await which_thread() != std::this_thread::get_id());
    auto op = again::retry(patient, waiting{&begun});
    source.requestCancellation();
    const retried first = co_await op;
    const retried second = co_await op;
    CHECK_FALSE(first.has_value());
    CHECK_FALSE(second.has_value());
    const bool slept = co_await again::sleep_for(1h);
    CHECK_FALSE(slept);
    const outcome ours = co_await waiting{&begun}();
    CHECK_FALSE(ours.has_value());
    auto [a, b] = co_await again::when_all(waiting{&begun}(), waiting{&begun}());
    CHECK_FALSE(a.has_value());
    CHECK_FALSE(b.has_value());
    co_return 1;
  };
  CHECK(p.run(source.getToken(), program()) == 1);
}

TEST_CASE(".on(scheduler) runs it there, and .within sets a deadline") {
  pool p;
  far_loop far;
  std::atomic<bool> begun{false};
  auto where = [&]() -> again::task<outcome> {
    CHECK(far.loop.here());
    co_return outcome{1};
  };
  auto program = [&]() -> folly::coro::Task<int> {
    const std::thread::id before = std::this_thread::get_id();
    const retried there = co_await again::retry(four_at_once, where).on(far.loop);
    CHECK(there.has_value());
    CHECK(std::this_thread::get_id() == before);
    const retried late = co_await again::retry(patient, waiting{&begun}).within(1ms);
    CHECK_FALSE(late.has_value());
    CHECK(late.error().reason() == again::stop_reason::deadline_reached);
    co_return 1;
  };
  CHECK(p.run(program()) == 1);
}

TEST_CASE("collectAll awaits retries, each in its own Task") {
  pool p;
  std::atomic<int> sends{0};
  auto one = [&]() -> folly::coro::Task<retried> { co_return co_await again::retry(four_at_once, failing{&sends}); };
  auto both = [&]() -> folly::coro::Task<int> {
    auto [a, b] = co_await folly::coro::collectAll(one(), one());
    co_return (a.has_value() ? 1 : 0) + (b.has_value() ? 1 : 0);
  };
  CHECK(p.run(both()) == 0);
  CHECK(sends == 8);
}

TEST_CASE("an exception of an operation is the Task's") {
  pool p;
  auto throws = []() -> again::task<outcome> {
    co_await again::yield();
    throw std::runtime_error{"no luck"};
  };
  auto program = [&]() -> folly::coro::Task<int> {
    try {
      (void)co_await again::retry(four_at_once, throws);
    } catch (const std::runtime_error&) { co_return 1; }
    co_return 0;
  };
  CHECK(p.run(program()) == 1);
}
