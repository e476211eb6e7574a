// SPDX-License-Identifier: MIT
// A loop that is lent: `run_loop::share_with_workers`, `post_or_run`, `run_shared`. Here a plain thread is the
// transport's worker.
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

/// A thread that borrows the loop, as soon as its own thread is asleep, and runs `work` there; or nothing if the loop
/// ends first.
class borrower {
 public:
  borrower(again::run_loop& loop, std::vector<call*> work, const flag& reclaimed = stays)
      : thread_{[this, &loop, work = std::move(work), &reclaimed] {
          if (!borrow(loop)) return;
          for (call* w : work) loop.post(*w);
          loop.run_shared(reclaimed);
        }} {}
  borrower(const borrower&) = delete;
  borrower& operator=(const borrower&) = delete;
  ~borrower() {
    over_ = true;
    thread_.join();
  }
  id get_id() const { return thread_.get_id(); }

 private:
  bool borrow(again::run_loop& loop) const {
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

TEST_CASE("whoever brings work to a lent loop runs it while its own thread sleeps, which returns when it is done") {
  again::run_loop loop;
  loop.share_with_workers();
  id ran_on;
  bool here = false;
  call last{[&] {
    ran_on = std::this_thread::get_id();
    here = loop.here();
    loop.finish();
  }};
  const borrower other{loop, {&last}};
  const id other_id = other.get_id();
  CHECK(loop.run());
  CHECK(ran_on == other_id);
  CHECK(here);
}

TEST_CASE("a loop is not borrowed where it is not lent, while it is awake, and under a pretend clock") {
  const auto brought = [](again::run_loop& loop, bool while_asleep) {
    bool borrowed = false;
    id ran_on;
    call last{[&] {
      ran_on = std::this_thread::get_id();
      loop.finish();
    }};
    std::atomic<bool> asked{false};
    std::thread other;
    const auto bring = [&] {
      borrowed = loop.post_or_run(last);
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
    return borrowed;
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

TEST_CASE("a timer armed by whoever borrowed the loop fires in time, though its own thread meant to sleep for longer") {
  again::run_loop loop;
  loop.share_with_workers();
  ring soon{[&] { loop.finish(); }};
  call arms{[&] { loop.arm(soon, loop.now() + 1ms); }};
  const borrower other{loop, {&arms}};
  CHECK(loop.run());
}

TEST_CASE("a timer that becomes due while the loop is borrowed fires") {
  for (const bool reclaimed : {false, true}) {
    again::run_loop loop;
    loop.share_with_workers();
    ring due{[&] { loop.finish(); }};
    loop.arm(due, loop.now() + 20ms);
    call outlasts{[&] {
      while (loop.now() < loop.last_wake() + 40ms) std::this_thread::yield();
    }};
    const flag away{reclaimed};
    const borrower other{loop, {&outlasts}, away};
    CHECK(loop.run());
  }
}

TEST_CASE("a loop's own thread that woke up in vain while the loop was borrowed still wakes up for the next timer") {
  again::run_loop loop;
  loop.share_with_workers();
  ring due{[] {}};
  ring later{[&] { loop.finish(); }};
  loop.arm(due, loop.now() + 20ms);
  loop.arm(later, loop.now() + 60ms);
  call outlasts{[&] {
    while (loop.now() < loop.last_wake() + 40ms) std::this_thread::yield();
  }};
  const borrower other{loop, {&outlasts}};
  CHECK(loop.run());
}

TEST_CASE("who is called away leaves the rest to the loop's own thread, in order") {
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
  const borrower other{loop, all, away};
  const id other_id = other.get_id();
  CHECK(loop.run());
  REQUIRE(ran.size() == 100);
  CHECK(ran.front() == other_id);
  CHECK(ran.back() == std::this_thread::get_id());
}

TEST_CASE("what comes when a borrower has looked for the last time is not left lying") {
  again::run_loop loop;
  loop.share_with_workers();
  ring far{[] {}};
  loop.arm(far, loop.now() + 1h);  // so that `done` is asked once more after the last look
  bool ran = false;
  call late{[&] { ran = true; }};
  int asked_after = -1;
  call last{[&] { asked_after = 0; }};
  const borrower other{loop, {&last}};
  const auto done = [&] {
    if (asked_after >= 0 && ++asked_after == 2) std::thread{[&] { loop.post(late); }}.join();
    return ran;
  };
  CHECK(loop.run_until(done));
  loop.disarm(far);
}

TEST_CASE("finish from anywhere ends a loop that is borrowed") {
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
  const borrower other{loop, {&holds, &late}};
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

TEST_CASE("a coroutine may wait in place on the loop that it was borrowed for, and that wait may be borrowed again") {
  again::run_loop loop;
  loop.share_with_workers();
  bool outer_due = false;
  ring outer{[&] { outer_due = true; }};
  loop.arm(outer, loop.now() + 1ms);
  std::unique_ptr<borrower> second;
  bool second_ran = false;
  call inner{[&] { second_ran = true; }};
  call waits{[&] {
    second = std::make_unique<borrower>(loop, std::vector<call*>{&inner});
    again::sync_wait(loop, []() -> again::task<> { static_cast<void>(co_await again::sleep_for(3ms)); }());
    while (!second_ran)
      again::sync_wait(loop, []() -> again::task<> { static_cast<void>(co_await again::sleep_for(1ms)); }());
  }};
  const borrower other{loop, {&waits}};
  CHECK(loop.run_until([&] { return outer_due && second_ran; }));
}

TEST_CASE("work of many threads, with and without timers beside it: one at a time, each once") {
  constexpr int threads = 4;
  constexpr int each = 2'000;
  for (const bool ticking : {false, true}) {
    again::run_loop loop;
    loop.share_with_workers();
    int ran = 0;  // not atomic: whoever runs the loop is alone with it
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
