// SPDX-License-Identifier: MIT
#include <again/coro/resume_on.hpp>

#include <again/coro/default_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/retry.hpp>

#include "support/minimal_coroutine.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using again::task;
using again_test::lazy;
using again_test::outcome;
using again_test::promised;

namespace {

/// A pool of one thread, in the manner of cppcoro::static_thread_pool and coro::thread_pool.
class pool {
 public:
  pool() : thread_{[this] { run(); }} {}
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool() {
    resume(nullptr);
    thread_.join();
  }
  class scheduled {
   public:
    explicit scheduled(pool& p) noexcept : pool_{p} {}
    scheduled(const scheduled&) = delete;
    scheduled& operator=(const scheduled&) = delete;
    ~scheduled() = default;
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const { pool_.resume(h); }
    void await_resume() const { ++pool_.arrivals; }

   private:
    pool& pool_;
  };
  scheduled schedule() noexcept { return scheduled{*this}; }
  void resume(std::coroutine_handle<> h) {
    const std::lock_guard lock{mutex_};  // until the end: the coroutine may destroy the pool
    ready_.push_back(h);
    wake_.notify_one();
  }
  bool here() const { return std::this_thread::get_id() == thread_.get_id(); }
  int arrivals = 0;  // the pool's thread

 private:
  void run() {
    for (;;) {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, [this] { return !ready_.empty(); });
      const std::coroutine_handle<> next = ready_.front();
      ready_.pop_front();
      lock.unlock();
      if (!next) return;
      next.resume();
    }
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::coroutine_handle<>> ready_;
  std::thread thread_;
};

const again::policy quick{.attempts = 3, .backoff = again::constant(1ms), .jitter = again::jitter::none};

task<outcome> third_time(int& sends) {
  co_await again::yield();
  if (++sends < 3) co_return again_test::fail(sends);
  co_return sends;
}

}  // namespace

static_assert(again::resume_target<pool&> && !again::resume_target<int> && !again::resume_target<std::string&>);
static_assert(again::resume_target<void (*)(std::coroutine_handle<>)> && !again::resume_target<void (*)(int)>);

TEST_CASE("resume_on: a coroutine of a pool goes on on its pool, and may block there") {
  pool own;
  int sends = 0;
  const auto theirs = [&]() -> promised<int> {
    co_await own.schedule();
    auto r = co_await again::resume_on(own, again::retry(quick, [&] { return third_time(sends); }));
    if (!r || !own.here()) co_return -1;
    auto post = [&](std::coroutine_handle<> h) { own.resume(h); };
    const auto [a, b] =
        co_await again::resume_on(post, [] { return again::when_all(again::sleep_for(1ms), again::sleep_for(2ms)); });
    if (!a || !b || !own.here()) co_return -2;
    auto at_once = []() -> task<int> { co_return 40; };
    const int n = co_await again::resume_on(own, at_once());
    co_return own.here() ? again::sync_wait(at_once()) + n - 40 : -3;
  };
  CHECK(theirs().get() == 40);
  CHECK(own.arrivals >= 2);
}

TEST_CASE("resume_on: exceptions arrive there, and one of the way back is thrown where the work was done") {
  pool own;
  const auto theirs = [&](bool broken) -> promised<std::string> {
    const auto throws = []() -> task<int> {
      co_await again::yield{};
      throw std::runtime_error{"thrown"};
    };
    const auto back = [&](std::coroutine_handle<> h) {
      if (broken) throw std::runtime_error{"no way back"};
      own.resume(h);
    };
    try {
      (void)co_await again::resume_on(back, throws());
    } catch (const std::runtime_error& e) { co_return own.here() != broken ? e.what() : "on the wrong thread"; }
    co_return "not thrown";
  };
  CHECK(theirs(false).get() == "thrown");
  CHECK(theirs(true).get() == "no way back");
}

TEST_CASE("resume_on: in a task it changes nothing; in a coroutine that a task awaits it has the stop token") {
  pool own;
  again::run_loop loop;
  again::inplace_stop_source stop;
  const auto in_a_task = [&]() -> task<bool> {
    const bool slept = co_await again::resume_on(own, again::sleep_for(1ms));
    co_return slept&& loop.here();
  };
  CHECK(again::sync_wait(loop, in_a_task()));
  bool there = false;
  const auto middle = [&]() -> lazy<bool> {
    const bool slept = co_await again::resume_on(own, again::sleep_for(1h));
    there = own.here();
    co_return slept;
  };
  const auto outer = [&]() -> task<bool> { co_return co_await middle() || !loop.here(); };
  std::thread stopper{[&] { stop.request_stop(); }};
  CHECK_FALSE(again::sync_wait(loop, outer(), stop.get_token()));
  CHECK((there || stop.stop_requested()));
  stopper.join();
}

TEST_CASE("a blocking wait on the thread of the default loop is refused, and the loop goes on") {
  const auto at_once = []() -> task<int> { co_return 1; };
  const auto theirs = [&](bool own_loop) -> promised<std::string> {
    (void)co_await again::sleep_for(1ms);  // the coroutine goes on on the default loop
    try {
      again::run_loop loop;
      (void)(own_loop ? again::sync_wait(loop, at_once()) : again::sync_wait(at_once()));
    } catch (const std::logic_error& e) { co_return e.what(); }
    co_return "not refused";
  };
  CHECK(theirs(false).get().find("hang every coroutine") != std::string::npos);
  CHECK(theirs(true).get().find("resume_on") != std::string::npos);
  const auto still = []() -> promised<bool> { co_return co_await again::sleep_for(1ms); };
  CHECK(still().get());
}
