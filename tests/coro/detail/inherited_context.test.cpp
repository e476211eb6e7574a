// SPDX-License-Identifier: MIT
// A task of ours awaits a coroutine of another library, which awaits something of ours: what travels through it.
#include <again/coro/detail/inherited_context.hpp>

#include <again/coro/default_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/protection/limit.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/call.hpp"
#include "support/far_loop.hpp"
#include "support/minimal_coroutine.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <coroutine>
#include <exception>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using again::policy;
using again::retry;
using again::stop_reason;
using again::task;
using again_test::detached;
using again_test::fail;
using again_test::lazy;
using again_test::outcome;
using again_test::world;

namespace {

constexpr policy four{.attempts = 4, .backoff = again::constant(1s), .jitter = again::jitter::none, .deadline = 1h};
constexpr policy patient{.attempts = 9, .backoff = again::constant(10s), .jitter = again::jitter::none, .deadline = 1h};

task<outcome> fails() { co_return fail(1); }

// What a transport does whose worker has finished a send: it resumes the coroutine itself if the loop sleeps.
class by_worker : again::work {
 public:
  using result_type = void;
  explicit by_worker(std::vector<std::thread>& workers) : workers_{workers} {}
  by_worker(const by_worker&) = delete;
  by_worker& operator=(const by_worker&) = delete;
  ~by_worker() = default;
  auto operator co_await() && noexcept { return again::detail::startable_awaiter<by_worker>{*this}; }
  bool start(again::continuation k, const again::context& ctx) noexcept {
    k_ = k;
    this->run = [](again::work& self) noexcept { static_cast<by_worker&>(self).k_(); };
    workers_.emplace_back([this, home = ctx.scheduler] {
      const std::atomic<bool> stays{false};
      if (home->post_or_run(*this)) home->run_shared(stays);
    });
    return false;
  }
  static void take() noexcept {}
  static std::exception_ptr exception() noexcept { return nullptr; }

 private:
  std::vector<std::thread>& workers_;
  again::continuation k_;
};

lazy<bool> sleeps(again::duration d) { co_return co_await again::sleep_for(d); }
lazy<outcome> waits_in_between() {
  auto r = co_await retry(patient, fails);
  co_return r ? outcome{*r} : fail(r.error().attempts(), again::disposition::aborted);
}

}  // namespace

TEST_CASE("inherited: a retry inside of a foreign coroutine knows the deadline around it, and is ended by it") {
  {
    world w;
    const auto r = w.run(again::timeout(15s, waits_in_between));
    CHECK(r.error().error()->number == 2);  // its second wait would not fit, and is not begun
    CHECK(w.elapsed() == 10s);
  }
  world w;
  const auto r = w.run(again::timeout(1s, []() -> lazy<outcome> {
    auto inner = co_await retry(patient, []() -> task<outcome> {
      co_return co_await again::sleep_for(1h) ? outcome{1} : again_test::aborted(3);
    });
    co_return fail(inner.error().error()->number);
  }));
  CHECK(r.error().reason() == stop_reason::deadline_reached);
  CHECK(r.error().error()->number == 3);
  CHECK(w.elapsed() == 1s);
}

TEST_CASE(
    "inherited: a stop request reaches what a foreign coroutine awaits, and the second thing that it awaits, too") {
  for (const bool second : {false, true}) {
    world w;
    again::inplace_stop_source stop;
    again_test::ring end{[&] { stop.request_stop(); }};
    w.loop.arm(end, w.time.now() + 1500ms);
    const auto inner = [&]() -> lazy<bool> {
      if (second && !co_await again::sleep_for(1s)) co_return true;
      co_return co_await again::sleep_for(1h);
    };
    const auto middle = [&]() -> lazy<bool> { co_return co_await inner(); };
    const auto outer = [&]() -> task<bool> { co_return co_await middle(); };
    CHECK_FALSE(w.run(outer(), stop.get_token()));
    CHECK(w.elapsed() == 1500ms);
  }
}

TEST_CASE("inherited: the attempts of two retries add up through a foreign coroutine") {
  world w;
  int sends = 0;
  const auto send = [&]() -> task<outcome> {
    ++sends;
    co_return fail(sends);
  };
  const auto middle = [&]() -> lazy<outcome> {
    co_await again::yield{};
    auto r = co_await retry(four, send);
    co_return r ? outcome{*r} : fail(0);
  };
  CHECK_FALSE(w.run(retry(four, middle)).has_value());
  CHECK(sends == 7);
}

TEST_CASE("inherited: two foreign coroutines at the same time have a context each") {
  world w;
  const auto bounded = [](again::duration d) {
    return again::timeout(d, []() -> lazy<outcome> {
      (void)co_await again::sleep_for(1s);
      co_return co_await again::sleep_for(1h) ? outcome{1} : again_test::aborted(2);
    });
  };
  const auto [a, b] = w.run(again::when_all(bounded(2s), bounded(4s)));
  CHECK(a.error().reason() == stop_reason::deadline_reached);
  CHECK(b.error().reason() == stop_reason::deadline_reached);
  CHECK(a.error().elapsed() == 2s);
  CHECK(b.error().elapsed() == 4s);
}

TEST_CASE("inherited: a coroutine that is detached inside goes on when its context has ended") {
  for (const bool destroyed : {false, true}) {
    world w;
    int attempts = 0;
    std::vector<bool> slept;
    const auto send = [&]() -> task<outcome> {
      ++attempts;
      co_return fail(attempts);
    };
    const auto background = [&]() -> detached {
      slept.push_back(co_await again::sleep_for(5s));  // it ends after its context
      slept.push_back(co_await again::sleep_for(1h));  // this is later than the deadline was
      (void)co_await retry(four, send);
    };
    const auto middle = [&]() -> lazy<outcome> {
      background();
      if (destroyed) (void)co_await again::sleep_for(1h);
      co_return outcome{1};
    };
    again::inplace_stop_source stop;
    {
      const auto bounded = [&]() -> task<> { (void)co_await again::timeout(10s, middle); };
      std::optional<task<>> running{bounded()};
      again::context ctx = w.loop.root();
      ctx.stop = stop.get_token();
      ctx.repeated = true;
      again_test::ring end{[&] { running.reset(); }};
      again_test::call begin{[&] {
        if (running->start({[](void*) noexcept {}, nullptr}, ctx)) return;
        w.loop.arm(end, w.time.now() + 1s);
      }};
      w.loop.post(begin);
      const again::time_point until = w.time.now() + 2s;
      again_test::ring here{[&] { w.loop.finish(); }};
      w.loop.arm(here, until);
      CHECK(w.loop.run());
    }  // from here on the context and the task that awaited are gone
    stop.request_stop();
    CHECK_FALSE(w.loop.run());
    CHECK(slept == std::vector<bool>{true, true});
    CHECK(attempts == 4);
  }
}

TEST_CASE("inherited: a coroutine may be destroyed wherever it is suspended") {
  const auto awaits = [](int kind) -> lazy<int> {
    const auto slow = []() -> task<outcome> {
      (void)co_await again::sleep_for(1s);
      co_return fail(1);
    };
    again::limiter one;
    switch (kind) {
      case 0: (void)co_await again::sleep_for(1h); break;
      case 1: (void)co_await slow(); break;
      case 2: (void)co_await again::when_all(slow, sleeps(2s)); break;
      case 3: {
        auto named = slow();
        (void)co_await std::move(named);
        break;
      }
      case 4: {
        auto op = again::limit(one, waits_in_between);
        (void)co_await op();
        break;
      }
      case 5: (void)co_await sleeps(2s); break;
      default: (void)co_await retry(four, slow); break;
    }
    (void)co_await again::sleep_for(2s);
    co_return 1;
  };
  for (int kind = 0; kind < 7; ++kind) {
    for (again::duration after = 0s; after <= 6s; after += 500ms) {
      world w;
      again::inplace_stop_source stop;
      std::optional<again::context> ctx{w.loop.root()};
      ctx->stop = stop.get_token();
      const auto outer = [&]() -> task<> { (void)co_await awaits(kind); };
      std::optional<task<>> running{outer()};
      again_test::ring end{[&] {
        running.reset();
        ctx.reset();
      }};
      again_test::call begin{[&] {
        (void)running->start({[](void*) noexcept {}, nullptr}, *ctx);
        w.loop.arm(end, w.time.now() + after);
      }};
      w.loop.post(begin);
      CHECK_FALSE(w.loop.run());
      CHECK(w.loop.timers() == 0);
    }
  }
}

TEST_CASE("inherited: a coroutine that starts at once inside of one of our tasks has no part in it") {
  world w;
  again::inplace_stop_source stop;
  std::vector<bool> slept;
  const auto background = [&]() -> detached { slept.push_back(co_await again::sleep_for(1h)); };
  const auto inner = [&]() -> task<> {
    background();
    co_return;
  };
  const auto middle = [&]() -> lazy<bool> {
    co_await inner();
    co_return co_await again::sleep_for(2h);
  };
  const auto outer = [&]() -> task<bool> { co_return co_await middle(); };
  again_test::ring end{[&] { stop.request_stop(); }};
  w.loop.arm(end, w.time.now() + 1s);
  CHECK_FALSE(w.run(outer(), stop.get_token()));
  CHECK_FALSE(w.loop.run());
  CHECK(slept == std::vector<bool>{true});
}

TEST_CASE("inherited: a blocking wait inside of a foreign coroutine has its own loop and context") {
  world w;
  again::inplace_stop_source stop;
  bool nested = false;
  const auto middle = [&]() -> lazy<bool> {
    stop.request_stop();
    world other;
    const auto inside = [&]() -> detached { nested = co_await again::sleep_for(1h); };
    again_test::call begin{[&] { inside(); }};
    other.loop.post(begin);
    CHECK_FALSE(other.loop.run());
    co_return co_await again::sleep_for(1s);
  };
  const auto outer = [&]() -> task<bool> { co_return co_await middle(); };
  CHECK_FALSE(w.run(outer(), stop.get_token()));
  CHECK(nested);
}

TEST_CASE("inherited: with .on it goes to the other loop with its stop token, and comes back") {
  again_test::far_loop far;
  again::run_loop here;
  again::inplace_stop_source stop;
  std::thread stopper;
  bool back = false;
  const auto op = [&]() -> task<outcome> {
    stopper = std::thread{[&] { stop.request_stop(); }};
    co_return co_await again::sleep_for(1h) ? outcome{1} : again_test::aborted(2);
  };
  const auto middle = [&]() -> lazy<stop_reason> {
    auto r = co_await retry(four, op).on(far.loop);
    back = here.here();
    co_return r.error().reason();
  };
  const auto outer = [&]() -> task<stop_reason> { co_return co_await middle(); };
  CHECK(again::sync_wait(here, outer(), stop.get_token()) == stop_reason::cancelled_in_attempt);
  CHECK(back);
  stopper.join();
}

TEST_CASE("inherited: not by a coroutine that has gone to a thread of its own library") {
  struct other_thread {
    std::thread& runs;
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const {
      std::thread& there = runs;  // the awaiter may be gone as soon as the thread runs
      there = std::thread{[h] { h.resume(); }};
    }
    static void await_resume() noexcept {}
  };
  again::run_loop here;
  again::inplace_stop_source stop;
  std::thread pool;
  bool slept = false;
  const auto middle = [&]() -> lazy<int> {
    (void)co_await again::sleep_for(1ms);
    co_await other_thread{pool};
    stop.request_stop();
    slept = co_await again::sleep_for(1ms);  // on the default loop, with nothing inherited
    co_return 1;
  };
  const auto outer = [&]() -> task<int> { co_return co_await middle(); };
  CHECK(again::sync_wait(here, outer(), stop.get_token()) == 1);
  CHECK(slept);
  pool.join();
}

TEST_CASE("inherited: on a loop that is shared with workers, whichever thread runs it") {
  again::run_loop loop;
  loop.share_with_workers();
  again::inplace_stop_source stop;
  std::vector<std::thread> workers;
  std::set<std::thread::id> seen;
  int inherited = 0;
  const auto asks = []() -> task<bool> { co_return (co_await again::get_stop_token()).stop_possible(); };
  const auto middle = [&]() -> lazy<int> {
    for (int i = 0; i < 50; ++i) {
      co_await by_worker{workers};
      seen.insert(std::this_thread::get_id());
      inherited += co_await asks() ? 1 : 0;
    }
    co_return 1;
  };
  const auto outer = [&]() -> task<int> { co_return co_await middle(); };
  CHECK(again::sync_wait(loop, outer(), stop.get_token()) == 1);
  CHECK(inherited == 50);
  for (std::thread& w : workers) w.join();
}
