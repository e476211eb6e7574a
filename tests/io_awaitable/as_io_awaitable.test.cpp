// SPDX-License-Identifier: MIT
#include <again/io_awaitable/as_io_awaitable.hpp>

#include <again/coro/default_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/retry/retry.hpp>

#include "capy_under_test.hpp"
#include "interop/stubborn_operations.hpp"
#include "support/far_loop.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <type_traits>

using namespace again_test;
using namespace std::chrono_literals;

TEST_CASE("a task of the protocol awaits a retry, and goes on on its executor") {
  capy_pool p;
  std::atomic<int> sends{0};
  auto program = [&]() -> capy::task<int> {
    const std::thread::id before = std::this_thread::get_id();
    const retried r = co_await again::as_io_awaitable(again::retry(four_at_once, failing{&sends}));
    CHECK_FALSE(r.has_value());
    CHECK(std::this_thread::get_id() == before);
    CHECK(co_await again::as_io_awaitable(which_thread()) != before);
    CHECK(std::this_thread::get_id() == before);
    co_return 1;
  };
  CHECK(p.run(program()) == 1);
  CHECK(sends == 4);
}

TEST_CASE("the environment's stop token ends a running attempt, in a nested task, too") {
  capy_pool p;
  std::atomic<bool> begun{false};
  std::stop_source source;
  auto inner = [&]() -> capy::task<int> {
    const retried r = co_await again::as_io_awaitable(again::retry(patient, waiting{&begun}));
    co_return r.has_value() ? -1 : static_cast<int>(r.error().reason());
  };
  auto program = [&]() -> capy::task<int> { co_return co_await inner(); };
  std::thread requester{[&] {
    begun.wait(false);
    source.request_stop();
  }};
  const int reason = p.run(program(), source.get_token());
  requester.join();
  CHECK(reason == static_cast<int>(again::stop_reason::cancelled_in_attempt));
}

TEST_CASE("a stop request from before sends nothing") {
  capy_pool p;
  std::atomic<int> sends{0};
  std::stop_source source;
  source.request_stop();
  auto program = [&]() -> capy::task<int> {
    const retried r = co_await again::as_io_awaitable(again::retry(patient, failing{&sends}));
    co_return r.has_value() ? -1 : static_cast<int>(r.error().reason());
  };
  CHECK(p.run(program(), source.get_token()) == static_cast<int>(again::stop_reason::cancelled_before_start));
  CHECK(sends == 0);
}

TEST_CASE("named operations, sleeps, a scheduler, a deadline and exceptions") {
  capy_pool p;
  far_loop far;
  std::atomic<bool> begun{false};
  std::atomic<int> sends{0};
  auto throws = []() -> again::task<outcome> {
    co_await again::yield();
    throw std::runtime_error{"no luck"};
  };
  auto where = [&]() -> again::task<outcome> {
    CHECK(far.loop.here());
    co_return outcome{1};
  };
  auto program = [&]() -> capy::task<int> {
    auto op = again::retry(four_at_once, failing{&sends});
    CHECK_FALSE((co_await again::as_io_awaitable(op)).has_value());
    CHECK_FALSE((co_await again::as_io_awaitable(op)).has_value());
    CHECK(sends == 8);
    CHECK(co_await again::as_io_awaitable(again::sleep_for(1ms)));
    CHECK((co_await again::as_io_awaitable(again::retry(four_at_once, where).on(far.loop))).has_value());
    const retried late = co_await again::as_io_awaitable(again::retry(patient, waiting{&begun}).within(1ms));
    CHECK_FALSE(late.has_value());
    CHECK(late.error().reason() == again::stop_reason::deadline_reached);
    int caught = 0;
    try {
      (void)co_await again::as_io_awaitable(again::retry(four_at_once, throws));
    } catch (const std::runtime_error&) { caught = 1; }
    co_return caught;
  };
  CHECK(p.run(program()) == 1);
}

TEST_CASE("what ends at once goes on at once, in constant stack") {
  // On the loop's own thread: an executor that may always go on at once.
  world w;
  struct here {
    capy::execution_context* ctx;
    capy::execution_context& context() const noexcept { return *ctx; }
    void on_work_started() const noexcept {}
    void on_work_finished() const noexcept {}
    std::coroutine_handle<> dispatch(capy::continuation& c) const { return c.h; }
    void post(capy::continuation& c) const { c.h.resume(); }
    bool operator==(const here&) const noexcept = default;
  };
  capy_pool p;
  const here executor{&p.pool};
  int done = 0;
  auto at_once = []() -> again::task<outcome> { co_return outcome{1}; };
  auto program = [&]() -> capy::task<int> {
    for (int i = 0; i < 100'000; ++i) {
      if ((co_await again::as_io_awaitable(again::retry(four_at_once, at_once))).has_value()) ++done;
    }
    co_return done;
  };
  auto start = [&]() -> again::task<> {
    capy::run_async(
        executor, std::stop_token{}, [&](int n) { CHECK(n == 100'000); },
        [](std::exception_ptr) { CHECK(false); })(program());
    co_return;
  };
  w.run(start());
  CHECK(done == 100'000);
}
