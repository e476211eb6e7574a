// SPDX-License-Identifier: MIT
#include <again/coro/awaitable.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/coro/when_any.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/call.hpp"
#include "support/minimal_coroutine.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <coroutine>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>

using namespace std::chrono_literals;
using again::task;
using again_test::bare;
using again_test::outcome;
using again_test::promised;
using again_test::world;

namespace {

const again::policy quick{.attempts = 3, .backoff = again::constant(1s), .jitter = again::jitter::none};

task<outcome> third_time(int& sends) {
  co_await again::yield();
  if (++sends < 3) co_return again_test::fail(sends);
  co_return sends;
}

// Resumes a coroutine of another library on the loop's thread and runs the loop until it has finished.
template <class T> T finish(world& w, bare<T> coroutine) {
  bool resumed = false;
  w.loop.run_until([&] {
    if (!std::exchange(resumed, true)) coroutine.resume();
    return coroutine.done();
  });
  return coroutine.result();
}

struct later_on_another_thread {
  std::thread* worker;
  int n;
  static bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) const {
    *worker = std::thread{[h] { h.resume(); }};
  }
  int await_resume() const {
    if (n < 0) throw std::runtime_error{"negative"};
    return n;
  }
};
struct by_member {
  std::thread* worker;
  int n;
  later_on_another_thread operator co_await() const noexcept { return {worker, n}; }
};
struct by_function {
  int n;
};
struct at_once {
  int n;
  static bool await_ready() noexcept { return true; }
  static void await_suspend(std::coroutine_handle<>) noexcept {}
  int await_resume() const noexcept { return n; }
};
at_once operator co_await(by_function f) noexcept { return {f.n}; }

// The example of awaitable.hpp.
class one_second : again::timer {
 public:
  using result_type = int;
  one_second() = default;
  one_second(const one_second&) = delete;
  one_second& operator=(const one_second&) = delete;
  ~one_second() {
    if (home_ != nullptr) home_->disarm(*this);
  }
  bool start(again::continuation k, const again::context& ctx) noexcept {
    k_ = k;
    home_ = ctx.scheduler;
    fire = [](again::timer& self) noexcept { static_cast<one_second&>(self).k_(); };
    home_->arm(*this, home_->now() + std::chrono::seconds{1});
    return false;
  }
  int take() { return 42; }
  std::exception_ptr exception() noexcept { return nullptr; }
  auto operator co_await() && noexcept { return again::detail::startable_awaiter<one_second>{*this}; }

 private:
  again::continuation k_;
  again::scheduler* home_ = nullptr;
};
static_assert(again::startable<one_second> && again::awaitable<one_second>);

}  // namespace

TEST_CASE("a coroutine of another library awaits every combinator, on the thread of a running loop") {
  world w;
  int sends = 0;
  const auto theirs = [&]() -> bare<int> {
    auto retried = co_await again::retry(quick, [&] { return third_time(sends); });
    if (!retried) co_return -1;
    int sum = *retried;
    auto timed = co_await again::timeout(1min, [&] { return third_time(sends); });
    if (!timed) co_return -2;
    sum += *timed;
    auto [a, b] = co_await again::when_all([&] { return third_time(sends); }, [] { return again::sleep_for(1s); });
    if (!a || !b) co_return -3;
    sum += *a;
    auto any = co_await again::when_any([] { return again::sleep_for(1h); }, [&] { return third_time(sends); });
    sum += *std::get<1>(any);
    if (!co_await again::sleep_for(2s)) co_return -4;
    co_return sum;
  };
  CHECK(finish(w, theirs()) == 3 + 4 + 5 + 6);
  CHECK(w.elapsed() == 2s + 1s + 2s);
}

TEST_CASE("exceptions reach the awaiting coroutine of another library") {
  world w;
  const auto theirs = []() -> bare<std::string> {
    try {
      (void)co_await again::retry(quick, []() -> task<outcome> {
        throw std::runtime_error{"thrown"};
        co_return 0;
      });
    } catch (const std::runtime_error& e) { co_return e.what(); }
    co_return "not thrown";
  };
  CHECK(finish(w, theirs()) == "thrown");
}

TEST_CASE("a std::future-style coroutine with no loop at all is run on the default loop") {
  std::atomic<int> sends{0};
  const auto theirs = [&]() -> promised<int> {
    const std::thread::id before = std::this_thread::get_id();
    const again::policy fast{.attempts = 3, .backoff = again::constant(1ms)};
    auto result = co_await again::retry(fast, [&]() -> task<outcome> {
      if (++sends < 3) co_return again_test::fail(sends);
      co_return 7;
    });
    const bool elsewhere = std::this_thread::get_id() != before;
    if (!co_await again::sleep_for(1ms)) co_return -1;
    co_return elsewhere&& result ? *result : -2;
  };
  CHECK(theirs().get() == 7);
  CHECK(sends == 3);
}

TEST_CASE("with .on a coroutine without a loop is resumed on the given scheduler") {
  world w;
  int sends = 0;
  const auto theirs = [&]() -> promised<bool> {
    auto result = co_await again::retry(quick, [&] { return third_time(sends); }).on(w.loop);
    co_return result.has_value() && w.loop.here();
  };
  auto future = theirs();  // posted to the loop, which does not run yet
  CHECK(sends == 0);
  w.loop.run_until([&] { return sends == 3; });
  CHECK_FALSE(w.loop.run());
  CHECK(future.get());
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("a coroutine without a loop may be destroyed before its transfer to a loop has arrived") {
  world w;
  int sends = 0;
  const auto theirs = [&]() -> bare<int> {
    (void)co_await again::retry(quick, [&] { return third_time(sends); }).on(w.loop);
    co_return 1;
  };
  {
    auto coroutine = theirs();
    coroutine.resume();  // posted to the loop, which does not run yet
    CHECK_FALSE(coroutine.done());
  }
  CHECK_FALSE(w.loop.run());
  CHECK(sends == 0);
}

TEST_CASE("a task awaits coroutines of another library, and is resumed on its own thread") {
  world w;
  std::thread worker;
  const auto ours = [&]() -> task<int> {
    const std::thread::id home = std::this_thread::get_id();
    int sum = co_await later_on_another_thread{&worker, 1};
    worker.join();
    sum += co_await by_member{&worker, 2};
    worker.join();
    sum += co_await by_function{4};
    co_return std::this_thread::get_id() == home ? sum : -1;
  };
  w.loop.work_started();  // other threads may post
  CHECK(w.run(ours()) == 7);
  const auto throws = [&]() -> task<int> { co_return co_await later_on_another_thread{&worker, -1}; };
  CHECK_THROWS_WITH_AS(w.run(throws()), "negative", std::runtime_error);
  worker.join();
  w.loop.work_finished();
}

TEST_CASE("an operation that returns a foreign awaitable is retried like any other") {
  struct foreign_outcome {
    int& sends;
    static bool await_ready() noexcept { return true; }
    static void await_suspend(std::coroutine_handle<>) noexcept {}
    outcome await_resume() const { return ++sends < 3 ? again_test::fail(sends) : outcome{sends}; }
  };
  world w;
  int sends = 0;
  const auto result = w.run(again::retry(quick, [&] { return foreign_outcome{sends}; }));
  REQUIRE(result.has_value());
  CHECK(*result == 3);
}

TEST_CASE("the awaiting coroutine of another library may be destroyed wherever it is suspended") {
  const auto at = [](int moment, int& sends) -> bare<int> {
    const auto op = [&]() -> task<outcome> {
      ++sends;
      (void)co_await again::sleep_for(1s);
      co_return again_test::fail(sends);
    };
    const again::policy p{.attempts = 5, .backoff = again::constant(1s), .jitter = again::jitter::none};
    switch (moment % 5) {
      case 0: (void)co_await again::retry(p, op); break;
      case 1: (void)co_await again::timeout(3s, again::retry(p, op)); break;
      case 2: (void)co_await again::when_all(op, again::retry(p, op)); break;
      case 3: (void)co_await again::when_any([] { return again::sleep_for(1h); }, again::retry(p, op)); break;
      default: (void)co_await again::sleep_for(1h); break;
    }
    co_return 1;
  };
  for (int kind = 0; kind < 5; ++kind) {
    for (again::duration after = 0s; after <= 10s; after += 500ms) {
      world w;
      int sends = 0;
      auto coroutine = std::make_unique<bare<int>>(at(kind, sends));
      again_test::ring end{[&] { coroutine.reset(); }};
      again_test::call begin{[&] {
        coroutine->resume();
        w.loop.arm(end, w.time.now() + after);
      }};
      w.loop.post(begin);
      CHECK_FALSE(w.loop.run());
      CHECK(w.loop.timers() == 0);
    }
  }
}

TEST_CASE("a startable of a user is awaited in a task, given to sync_wait, and ends when it is destroyed") {
  world w;
  const auto in_a_task = []() -> again::task<int> {
    const int n = co_await one_second{};
    co_return n;
  };
  CHECK(w.run(in_a_task()) == 42);
  CHECK(w.run(one_second{}) == 42);
  CHECK(w.time.now() == again::virtual_clock::start + std::chrono::seconds{2});
  const auto [n, slept] = w.run(again::when_all(in_a_task, again::sleep_for(std::chrono::seconds{1})));
  CHECK(n == 42);
  CHECK(slept);
  {
    one_second started;
    CHECK_FALSE(started.start({}, w.loop.root()));
    CHECK(w.loop.timers() == 1);
  }
  CHECK(w.loop.timers() == 0);
}
