// SPDX-License-Identifier: MIT
#include <again/io_awaitable/await_io.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/io_awaitable/as_io_awaitable.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "capy_under_test.hpp"
#include "interop/stubborn_operations.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>

using namespace again_test;
using namespace std::chrono_literals;

namespace {

// An operation of the protocol that a thread finishes: it posts the coroutine to the executor.
struct finished_by_a_thread {
  capy::continuation c{};
  std::thread finisher{};
  finished_by_a_thread() = default;
  finished_by_a_thread(finished_by_a_thread&& other) noexcept : finisher{std::move(other.finisher)} {}
  finished_by_a_thread& operator=(finished_by_a_thread&&) = delete;
  ~finished_by_a_thread() {
    if (finisher.joinable()) finisher.join();
  }
  static bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h, const capy::io_env* env) {
    c.h = h;
    finisher = std::thread{[this, env] { env->executor.post(c); }};
    return std::noop_coroutine();
  }
  int await_resume() const noexcept { return 7; }
};

// One that ends when it is stopped, and not before.
struct until_stopped {
  struct resumes {
    until_stopped* self;
    void operator()() const { self->env->executor.post(self->c); }
  };
  capy::continuation c{};
  const capy::io_env* env = nullptr;
  std::optional<std::stop_callback<resumes>> callback{};
  until_stopped() = default;
  until_stopped(until_stopped&& /*other*/) noexcept {}
  until_stopped& operator=(until_stopped&&) = delete;
  ~until_stopped() = default;
  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h, const capy::io_env* e) {
    c.h = h;
    env = e;
    callback.emplace(e->stop_token, resumes{this});
  }
  outcome await_resume() {
    callback.reset();
    return aborted(1);
  }
};

}  // namespace

TEST_CASE("a task of the protocol runs on the loop of the again::task that awaits it") {
  world w;
  auto theirs = []() -> capy::task<std::thread::id> { co_return std::this_thread::get_id(); };
  auto nested = [&]() -> capy::task<std::thread::id> { co_return co_await theirs(); };
  auto program = [&]() -> again::task<bool> { co_return co_await nested() == std::this_thread::get_id(); };
  CHECK(w.run(program()));
}

TEST_CASE("an operation that another thread finishes resumes on the loop") {
  auto theirs = []() -> capy::task<int> {
    const std::thread::id before = std::this_thread::get_id();
    const int n = co_await finished_by_a_thread{};
    CHECK(std::this_thread::get_id() == before);
    co_return n;
  };
  auto program = [&]() -> again::task<int> {
    const std::thread::id before = std::this_thread::get_id();
    int sum = 0;
    for (int i = 0; i < 10; ++i) sum += co_await theirs();
    sum += co_await finished_by_a_thread{};
    CHECK(std::this_thread::get_id() == before);
    co_return sum;
  };
  again::run_loop loop;
  CHECK(again::sync_wait(loop, program()) == 77);
}

TEST_CASE("a timeout stops an operation of the protocol, directly and in a task") {
  world w;
  auto theirs = []() -> capy::task<outcome> { co_return co_await until_stopped{}; };
  auto program = [&]() -> again::task<int> {
    const retried direct = co_await again::timeout(100ms, [] { return until_stopped{}; });
    CHECK_FALSE(direct.has_value());
    CHECK(direct.error().reason() == again::stop_reason::deadline_reached);
    const retried in_task = co_await again::timeout(100ms, theirs);
    CHECK_FALSE(in_task.has_value());
    CHECK(in_task.error().reason() == again::stop_reason::deadline_reached);
    co_return 1;
  };
  CHECK(w.run(program()) == 1);
  CHECK(w.elapsed() == 200ms);
}

TEST_CASE("a retry takes a function that makes a task of the protocol, and its exception is rethrown") {
  world w;
  int sends = 0;
  auto theirs = [&]() -> capy::task<outcome> {
    ++sends;
    co_return sends == 3 ? outcome{sends} : fail(sends);
  };
  auto throws = []() -> capy::task<outcome> {
    throw std::runtime_error{"no luck"};
    co_return outcome{1};
  };
  auto program = [&]() -> again::task<int> {
    const retried r = co_await again::retry(four_at_once, theirs);
    CHECK(r.has_value());
    try {
      (void)co_await again::retry(four_at_once, throws);
    } catch (const std::runtime_error&) { co_return *r; }
    co_return 0;
  };
  CHECK(w.run(program()) == 3);
}

TEST_CASE("again, capy, again: a timeout outside ends a wait inside, and the clock of the loop is theirs") {
  world w;
  std::atomic<bool> begun{false};
  auto theirs = [&]() -> capy::task<outcome> {
    const retried r = co_await again::as_io_awaitable(again::retry(patient, waiting{&begun}));
    co_return r.has_value() ? outcome{*r} : aborted(1);
  };
  auto program = [&]() -> again::task<retried> { co_return co_await again::timeout(100ms, theirs); };
  const retried r = w.run(program());
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == again::stop_reason::deadline_reached);
  CHECK(w.elapsed() == 100ms);
}

TEST_CASE("again, capy, again: two layers of four attempts make seven sends, also after an operation of theirs") {
  std::atomic<int> sends{0};
  bool theirs_first = false;
  auto theirs = [&]() -> capy::task<outcome> {
    if (theirs_first) (void)co_await finished_by_a_thread{};
    const retried r = co_await again::as_io_awaitable(again::retry(four_at_once, failing{&sends}));
    co_return r.has_value() ? outcome{*r} : fail(sends);
  };
  auto program = [&]() -> again::task<retried> { co_return co_await again::retry(four_at_once, theirs); };
  CHECK_FALSE(again::sync_wait(program()).has_value());
  CHECK(sends == 7);
  theirs_first = true;
  sends = 0;
  CHECK_FALSE(again::sync_wait(program()).has_value());
  CHECK(sends == 7);
}

TEST_CASE("an awaiting coroutine may be destroyed while a task of the protocol is suspended in one of ours") {
  world w;
  std::atomic<bool> begun{false};
  auto theirs = [&]() -> capy::task<outcome> {
    const retried r = co_await again::as_io_awaitable(again::retry(patient, waiting{&begun}));
    co_return r.has_value() ? outcome{*r} : aborted(1);
  };
  auto awaiting = [&]() -> again::task<> { (void)co_await theirs(); };
  auto program = [&]() -> again::task<bool> {
    {
      again::task<> dropped = awaiting();
      const again::context& ctx = co_await again::get_context();
      (void)dropped.start({[](void*) noexcept {}, nullptr}, ctx);
      (void)co_await again::sleep_for(1s);
    }
    co_return begun.load();
  };
  CHECK(w.run(program()));
}
