// SPDX-License-Identifier: MIT
// A loop that is shared with workers: `run_loop::share_with_workers`, `post_or_run`, `run_shared`. A plain thread
// stands in for a transport's worker.
#include <again/coro/run_loop.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/virtual_clock.hpp>

#include "support/call.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using again_test::call;
using again_test::ring;

namespace {

using id = std::thread::id;
using flag = std::atomic<bool>;
const flag stays{false};

/// A thread that runs the loop as soon as the loop's own thread sleeps, and runs `work` there. It runs nothing if the
/// loop ends first.
class worker {
 public:
  worker(again::run_loop& loop, std::vector<call*> work, const flag& reclaimed = stays)
      : thread_{[this, &loop, work = std::move(work), &reclaimed] {
          if (!take_over(loop)) return;
          for (call* w : work) loop.post(*w);
          loop.run_shared(reclaimed);
        }} {}
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  ~worker() {
    over_ = true;
    thread_.join();
  }
  id get_id() const { return thread_.get_id(); }

 private:
  bool take_over(again::run_loop& loop) const {
    std::atomic<bool> ran{false};
    call probe{[&] { ran = true; }};
    for (;;) {
      const bool ours = loop.post_or_run(probe);
      while (!ours && !ran && !over_) std::this_thread::yield();
      if (!ran) loop.forget(probe);
      if (ours || over_) return ours;
      ran = false;
    }
  }
  std::atomic<bool> over_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE(
    "a worker that posts to a shared loop runs it while its own thread sleeps; run returns when the work is done") {
  again::run_loop loop;
  loop.share_with_workers();
  id ran_on;
  bool here = false;
  call last{[&] {
    ran_on = std::this_thread::get_id();
    here = loop.here();
    loop.finish();
  }};
  const worker other{loop, {&last}};
  const id other_id = other.get_id();
  CHECK(loop.run());
  CHECK(ran_on == other_id);
  CHECK(here);
}

TEST_CASE("a loop is not run by a worker if it is not shared, while it is awake, and under a pretend clock") {
  const auto brought = [](again::run_loop& loop, bool while_asleep) {
    bool taken_over = false;
    id ran_on;
    call last{[&] {
      ran_on = std::this_thread::get_id();
      loop.finish();
    }};
    std::atomic<bool> asked{false};
    std::thread other;
    const auto bring = [&] {
      taken_over = loop.post_or_run(last);
      asked = true;
    };
    call first{[&] {
      other = std::thread{bring};
      while (!while_asleep && !asked) std::this_thread::yield();
    }};
    loop.work_started();
    loop.post(first);
    CHECK(loop.run());
    loop.work_finished();
    other.join();
    CHECK(ran_on == std::this_thread::get_id());
    return taken_over;
  };
  again::run_loop kept;
  CHECK_FALSE(brought(kept, true));
  again::run_loop awake;
  awake.share_with_workers();
  CHECK_FALSE(brought(awake, false));
  again::virtual_clock time;
  again::run_loop pretends{time};
  pretends.share_with_workers();
  CHECK_FALSE(brought(pretends, true));
}

TEST_CASE("a timer armed on a worker fires in time, although the sleeping thread would have slept for longer") {
  again::run_loop loop;
  loop.share_with_workers();
  ring soon{[&] { loop.finish(); }};
  call arms{[&] { loop.arm(soon, loop.now() + 1ms); }};
  const worker other{loop, {&arms}};
  CHECK(loop.run());
}

TEST_CASE("a timer that becomes due while a worker runs the loop fires") {
  for (const bool reclaimed : {false, true}) {
    again::run_loop loop;
    loop.share_with_workers();
    ring due{[&] { loop.finish(); }};
    loop.arm(due, loop.now() + 20ms);
    call outlasts{[&] {
      while (loop.now() < loop.last_wake() + 40ms) std::this_thread::yield();
    }};
    const flag away{reclaimed};
    const worker other{loop, {&outlasts}, away};
    CHECK(loop.run());
  }
}

TEST_CASE("a loop's own thread that woke up in vain while a worker ran the loop still wakes up for the next timer") {
  again::run_loop loop;
  loop.share_with_workers();
  ring due{[] {}};
  ring later{[&] { loop.finish(); }};
  loop.arm(due, loop.now() + 20ms);
  loop.arm(later, loop.now() + 60ms);
  call outlasts{[&] {
    while (loop.now() < loop.last_wake() + 40ms) std::this_thread::yield();
  }};
  const worker other{loop, {&outlasts}};
  CHECK(loop.run());
}

TEST_CASE("a reclaimed worker leaves the remaining work to the loop's own thread, in order") {
  again::run_loop loop;
  loop.share_with_workers();
  std::vector<id> ran;
  std::vector<std::unique_ptr<call>> work;
  std::vector<call*> all;
  for (int i = 0; i < 100; ++i) {
    work.push_back(std::make_unique<call>([&, i] {
      ran.push_back(std::this_thread::get_id());
      CHECK(ran.size() == static_cast<std::size_t>(i) + 1);
      if (i == 99) loop.finish();
    }));
    all.push_back(work.back().get());
  }
  const flag away{true};
  const worker other{loop, all, away};
  const id other_id = other.get_id();
  CHECK(loop.run());
  REQUIRE(ran.size() == 100);
  CHECK(ran.front() == other_id);
  CHECK(ran.back() == std::this_thread::get_id());
}

TEST_CASE("work posted after a worker has last checked for it still runs") {
  again::run_loop loop;
  loop.share_with_workers();
  ring far{[] {}};
  loop.arm(far, loop.now() + 1h);  // so that `done` is called once more after the last check for work
  bool ran = false;
  call late{[&] { ran = true; }};
  int asked_after = -1;
  call last{[&] { asked_after = 0; }};
  const worker other{loop, {&last}};
  const auto done = [&] {
    if (asked_after >= 0 && ++asked_after == 2) std::thread{[&] { loop.post(late); }}.join();
    return ran;
  };
  CHECK(loop.run_until(done));
  loop.disarm(far);
}

TEST_CASE("finish from any thread ends a loop that a worker runs") {
  again::run_loop loop;
  loop.share_with_workers();
  std::atomic<bool> begun{false};
  std::atomic<bool> told{false};
  call holds{[&] {
    begun = true;
    while (!told) std::this_thread::yield();
  }};
  bool late_ran = false;
  call late{[&] { late_ran = true; }};
  const worker other{loop, {&holds, &late}};
  std::thread ends{[&] {
    while (!begun) std::this_thread::yield();
    loop.finish();
    told = true;
  }};
  CHECK(loop.run());
  CHECK_FALSE(late_ran);
  ends.join();
  loop.forget(late);
}

TEST_CASE("a coroutine on a worker may block on the same loop, and another worker may run that wait") {
  again::run_loop loop;
  loop.share_with_workers();
  bool outer_due = false;
  ring outer{[&] { outer_due = true; }};
  loop.arm(outer, loop.now() + 1ms);
  std::unique_ptr<worker> second;
  bool second_ran = false;
  call inner{[&] { second_ran = true; }};
  call waits{[&] {
    second = std::make_unique<worker>(loop, std::vector<call*>{&inner});
    again::sync_wait(loop, []() -> again::task<> { static_cast<void>(co_await again::sleep_for(3ms)); }());
    while (!second_ran)
      again::sync_wait(loop, []() -> again::task<> { static_cast<void>(co_await again::sleep_for(1ms)); }());
  }};
  const worker other{loop, {&waits}};
  CHECK(loop.run_until([&] { return outer_due && second_ran; }));
}

TEST_CASE("work of many threads, with and without timers: each runs once, and one at a time") {
  constexpr int threads = 4;
  constexpr int each = 2'000;
  for (const bool ticking : {false, true}) {
    again::run_loop loop;
    loop.share_with_workers();
    int ran = 0;  // not atomic: one thread at a time runs the loop
    ring tick{[&] { loop.arm(tick, loop.last_wake() + 50us); }};
    if (ticking) loop.arm(tick, loop.now());
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        for (int i = 0; i < each; ++i) {
          flag gone{false};
          call w{[&] {
            ++ran;
            gone.store(true, std::memory_order_release);
          }};
          if (loop.post_or_run(w)) loop.run_shared(gone);
          while (!gone.load(std::memory_order_acquire)) std::this_thread::yield();
        }
      });
    }
    CHECK(loop.run_until([&] { return ran == threads * each; }));
    for (std::thread& t : all) t.join();
    CHECK(ran == threads * each);
    loop.disarm(tick);
  }
}
