// SPDX-License-Identifier: MIT
#include <again/execution/as_awaitable.hpp>

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/coro/when_any.hpp>
#include <again/execution/as_sender.hpp>
#include <again/execution/loop_scheduler.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "execution_under_test.hpp"
#include "support/delayed.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

using again::execution::as_awaitable;
using again::execution::as_sender;
using again::execution::loop_scheduler;
using again::execution::sender_stopped;
using namespace std::chrono_literals;

namespace {

struct busy {
  int number = 0;
};
using outcome = again::expected<int, busy>;

again::task<outcome> an_hour() {
  const bool slept = co_await again::sleep_for(1h);
  co_return slept ? outcome{1} : outcome{again::unexpect, busy{1}};
}

/// Keeps its receiver until the test completes it. It is asked to stop by its environment's token.
struct held_operation {
  virtual void complete(int) noexcept = 0;
  virtual void stop() noexcept = 0;
  bool asked_to_stop = false;

 protected:
  ~held_operation() = default;
};
struct held_sender {
  using sender_concept = ex::sender_t;
  using completion_signatures =
      ex::completion_signatures<ex::set_value_t(int), ex::set_error_t(std::exception_ptr), ex::set_stopped_t()>;
  template <class R> struct state final : held_operation {
    using operation_state_concept = ex::operation_state_t;
    struct ask {
      state* self;
      void operator()() const noexcept { self->asked_to_stop = true; }
    };
    held_operation** where;
    R to;
    std::optional<ex::stop_callback_for_t<ex::stop_token_of_t<ex::env_of_t<R>>, ask>> on_stop;
    state(held_operation** w, R r) : where{w}, to(std::move(r)) {}
    state(state&&) = delete;
    void start() & noexcept {
      *where = this;
      on_stop.emplace(ex::get_stop_token(ex::get_env(to)), ask{this});
    }
    void complete(int n) noexcept override {
      on_stop.reset();
      ex::set_value(std::move(to), n);
    }
    void stop() noexcept override {
      on_stop.reset();
      ex::set_stopped(std::move(to));
    }
  };
  held_operation** where;
  template <class R> state<R> connect(R to) const { return {where, std::move(to)}; }
};

struct throws_in_connect {
  using sender_concept = ex::sender_t;
  using completion_signatures = ex::completion_signatures<ex::set_value_t()>;
  template <class R> struct state {
    using operation_state_concept = ex::operation_state_t;
    R to;
    void start() & noexcept { ex::set_value(std::move(to)); }
  };
  template <class R> state<R> connect(R) const { throw std::runtime_error{"not connected"}; }
};

}  // namespace

TEST_CASE("a sender gives a task its value: void, one, or a tuple of several") {
  auto total = []() -> again::task<int> {
    co_await as_awaitable(ex::just());
    const int one = co_await as_awaitable(ex::just(1));
    auto [two, three] = co_await as_awaitable(ex::just(2, std::make_unique<int>(3)));
    co_return one + two + *three;
  };
  CHECK(again::sync_wait(total()) == 6);
  CHECK(std::is_void_v<again::await_result_t<decltype(as_awaitable(ex::just_stopped()))>>);
}

TEST_CASE("the errors of a sender are thrown: an exception, an error_code as system_error, any other as it is") {
  auto throws = []() -> again::task<int> {
    co_await as_awaitable(ex::just() | ex::then([] { throw std::runtime_error{"theirs"}; }));
    co_return 0;
  };
  CHECK_THROWS_WITH_AS((void)again::sync_wait(throws()), "theirs", std::runtime_error);
  auto code = []() -> again::task<int> {
    co_await as_awaitable(ex::just_error(std::make_error_code(std::errc::timed_out)));
    co_return 0;
  };
  CHECK_THROWS_AS((void)again::sync_wait(code()), std::system_error);
  auto other = []() -> again::task<int> {
    int caught = 0;
    try {
      co_await as_awaitable(ex::just_error(busy{5}));
    } catch (const busy& b) { caught = b.number; }
    co_return caught;
  };
  CHECK(again::sync_wait(other()) == 5);
  auto unconnected = []() -> again::task<int> {
    co_await as_awaitable(throws_in_connect{});
    co_return 0;
  };
  CHECK_THROWS_WITH_AS((void)again::sync_wait(unconnected()), "not connected", std::runtime_error);
}

TEST_CASE("a sender that was stopped is thrown as sender_stopped") {
  auto stopped = []() -> again::task<int> {
    co_await as_awaitable(ex::just_stopped());
    co_return 0;
  };
  CHECK_THROWS_AS((void)again::sync_wait(stopped()), sender_stopped);
}

TEST_CASE("a task goes on on its loop, whichever thread the sender completes on") {
  exec_parts::single_thread_context theirs;
  again::run_loop loop;
  auto where = [&]() -> again::task<bool> {
    const bool there =
        co_await as_awaitable(ex::schedule(theirs.get_scheduler()) | ex::then([&] { return loop.here(); }));
    co_return !there && loop.here();
  };
  for (int round = 0; round < 100; ++round) CHECK(again::sync_wait(loop, where()));
}

TEST_CASE("the scheduler of a sender's environment is the task's loop") {
  again::run_loop loop;
  auto where = [&]() -> again::task<bool> {
    const bool there = co_await as_awaitable(as_sender([&]() -> again::task<bool> {
      const again::context& ctx = co_await again::get_context();
      co_return ctx.scheduler == &loop&& loop.here();
    }));
    co_return there;
  };
  CHECK(again::sync_wait(loop, where()));
}

TEST_CASE("a stop request of the context reaches the sender by its environment") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  auto waits = [&] { return as_awaitable(as_sender(an_hour(), loop)); };
  auto bounded = [&]() -> again::task<int> {
    const auto r = co_await again::timeout(2s, waits);
    co_return r.has_value() ? 1 : r.error().attempts();
  };
  CHECK_THROWS_AS((void)again::sync_wait(loop, bounded()), sender_stopped);
  CHECK(time.now() == again::virtual_clock::start + 2s);

  auto raced = [&]() -> again::task<std::size_t> {
    auto forever = [&]() -> again::task<int> {
      try {
        (void)co_await as_awaitable(loop_scheduler{loop}.schedule_after(1h) | ex::then([] { return 1; }));
      } catch (const sender_stopped&) {}
      co_return 0;
    };
    auto winner = co_await again::when_any(forever(), again_test::after(1s, 1));
    co_return winner.index();
  };
  CHECK(again::sync_wait(loop, raced()) == 1);
  CHECK(time.now() == again::virtual_clock::start + 3s);
}

TEST_CASE("again, senders, again: the deadline is obeyed and nested attempts add up") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  int sends = 0;
  auto fails = [&]() -> again::task<outcome> {
    ++sends;
    co_return outcome{again::unexpect, busy{1}};
  };
  constexpr auto four = again::checked({.attempts = 4, .backoff = again::constant(1ms)});
  auto inner = [&] { return as_awaitable(ex::when_all(as_sender(again::retry(four, fails)))); };
  auto nested = [&]() -> again::task<int> {
    const auto r = co_await again::retry(four, inner);
    co_return r.error().attempts();
  };
  CHECK(again::sync_wait(loop, nested()) == 7);
  CHECK(sends == 7);

  const again::time_point before = time.now();
  auto asks = [&]() -> again::task<again::duration> {
    const again::context& ctx = co_await again::get_context();
    co_return ctx.deadline - ctx.scheduler->now();
  };
  auto bounded = [&]() -> again::task<again::expected<again::duration, busy>> {
    co_return co_await as_awaitable(ex::just() | ex::let_value([&] { return as_sender(asks); }));
  };
  auto outer = [&]() -> again::task<again::duration> {
    const auto left = co_await again::timeout(100ms, bounded);
    co_return *left;
  };
  const again::duration left = again::sync_wait(loop, outer());
  CHECK(left <= 100ms);
  CHECK(left >= 100ms - (time.now() - before));
}

#if !defined(AGAIN_EXECUTION_HEADER)  // the look-alike has no coroutine type of its own
TEST_CASE("a coroutine of stdexec awaits as_sender, with its stop token, and is awaited in a task") {
  auto theirs = [](int n) -> exec::task<int> {
    const int r = co_await as_sender(again_test::after(1ms, n));
    co_return r;
  };
  CHECK(std::get<0>(*ex::sync_wait(theirs(3))) == 3);
  again::run_loop loop;
  auto ours = [&]() -> again::task<bool> {
    const int n = co_await as_awaitable(theirs(4));
    co_return n == 4 && loop.here();
  };
  CHECK(again::sync_wait(loop, ours()));
  auto waits = []() -> exec::task<int> {
    const outcome r = co_await as_sender(an_hour());
    co_return r.has_value() ? 1 : 0;
  };
  CHECK(std::get<0>(*ex::sync_wait(exec::when_any(waits(), as_sender(again_test::after(1ms, 2))))) == 2);
}
#endif

TEST_CASE("a hundred thousand senders that complete inside start need constant stack") {
  auto total = []() -> again::task<int> {
    int n = 0;
    for (int i = 0; i < 100'000; ++i) n += co_await as_awaitable(ex::just(1));
    co_return n;
  };
  CHECK(again::sync_wait(total()) == 100'000);
}

TEST_CASE("a coroutine destroyed while its sender runs asks that to stop, and does not wait for it") {
  again::run_loop loop;
  held_operation* held = nullptr;
  auto waits = [&]() -> again::task<int> { co_return co_await as_awaitable(held_sender{&held}); };
  SUBCASE("the sender ends with a value") {
    std::optional<again::task<int>> running{waits()};
    CHECK_FALSE(running->start({}, loop.root()));
    running.reset();
    CHECK(held->asked_to_stop);
    held->complete(1);
  }
  SUBCASE("the sender is stopped, on another thread") {
    std::optional<again::task<int>> running{waits()};
    CHECK_FALSE(running->start({}, loop.root()));
    running.reset();
    std::thread{[&] { held->stop(); }}.join();
  }
  SUBCASE("the sender has completed and the continuation is posted") {
    std::optional<again::task<int>> running{waits()};
    CHECK_FALSE(running->start({}, loop.root()));
    std::thread{[&] { held->complete(1); }}.join();
    running.reset();
    (void)loop.poll();
  }
  SUBCASE("it was never started") {
    std::optional<again::task<int>> running{waits()};
    running.reset();
    CHECK(held == nullptr);
  }
  SUBCASE("the stop request completes it inside") {
    again::virtual_clock time;
    again::run_loop own{time, 1};
    std::optional<again::task<outcome>> running;
    auto on_their_token = [&]() -> again::task<outcome> { co_return co_await as_awaitable(as_sender(an_hour(), own)); };
    running.emplace(on_their_token());
    (void)own.run_until([&] { return running->start({}, own.root()) || true; });
    running.reset();
    (void)own.run_until([] { return false; });
    CHECK(time.now() == again::virtual_clock::start);
  }
}

TEST_CASE("destruction may race with a completion on another thread") {
  exec_parts::single_thread_context theirs;
  again::run_loop loop;
  for (int round = 0; round < 300; ++round) {
    auto hops = [&]() -> again::task<int> {
      co_return co_await as_awaitable(ex::schedule(theirs.get_scheduler()) | ex::then([] { return 1; }));
    };
    again::task<int> running = hops();
    (void)running.start({[](void*) noexcept {}, nullptr}, loop.root());
    if (round % 3 == 0) std::this_thread::yield();
  }
  (void)loop.poll();
}

TEST_CASE("under pretend time the clock does not jump while a sender runs elsewhere") {
  exec_parts::single_thread_context theirs;
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  auto hops = [&]() -> again::task<int> {
    co_return co_await as_awaitable(ex::schedule(theirs.get_scheduler()) | ex::then([] { return 1; }));
  };
  auto bounded = [&]() -> again::task<std::size_t> {
    auto first = co_await again::when_any(hops(), again_test::after(1h, 1));
    co_return first.index();
  };
  CHECK(again::sync_wait(loop, bounded()) == 0);
  CHECK(time.now() < again::virtual_clock::start + 1h);
}
