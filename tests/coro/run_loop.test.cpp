// SPDX-License-Identifier: MIT
#include <again/coro/run_loop.hpp>

#include <again/coro/virtual_clock.hpp>

#include "support/call.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <set>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using again_test::call;
using again_test::ring;
using again_test::world;

namespace {

struct numbered : again::timer {
  std::size_t number = 0;
  std::vector<std::size_t>* fired = nullptr;
};

}  // namespace

TEST_CASE("a million timers: half of them are disarmed, the rest fire in the order of their times") {
  constexpr std::size_t count = 1'000'000;
  world w;
  again::random_stream random{1};
  std::vector<numbered> timers(count);
  std::vector<again::time_point> when(count);
  std::vector<std::size_t> fired;
  fired.reserve(count);
  again::run_loop& loop = w.loop;
  for (std::size_t i = 0; i < count; ++i) {
    timers[i].number = i;
    timers[i].fired = &fired;
    timers[i].fire = [](again::timer& t) noexcept {
      static_cast<numbered&>(t).fired->push_back(static_cast<numbered&>(t).number);
    };
    when[i] =
        w.time.now() + again::duration{1 + static_cast<again::duration::rep>(random.bits() % 100'000)};  // many ties
    loop.arm(timers[i], when[i]);
  }
  CHECK(loop.timers() == count);
  for (std::size_t i = 0; i < count; i += 2) loop.disarm(timers[i]);
  CHECK(loop.timers() == count / 2);
  CHECK_FALSE(timers[0].armed());
  CHECK(timers[1].armed());
  loop.run_until([&] { return fired.size() == count / 2; });
  CHECK(loop.timers() == 0);
  bool in_order = true;
  for (std::size_t i = 0; i < fired.size(); ++i) {
    if (fired[i] % 2 != 1) in_order = false;
    if (i > 0 && when[fired[i]] < when[fired[i - 1]]) in_order = false;
    if (i > 0 && when[fired[i]] == when[fired[i - 1]] && fired[i] < fired[i - 1]) in_order = false;  // ties: as armed
  }
  CHECK(in_order);
}

TEST_CASE("a timer may be disarmed by another that fires at the same time, and may rearm itself") {
  world w;
  int fired = 0;
  ring second{[&] { fired += 100; }};
  ring first{[&] {
    ++fired;
    w.loop.disarm(second);
    if (fired < 3) w.loop.arm(first, w.time.now() + 1s);
  }};
  w.loop.arm(first, w.time.now() + 1s);
  w.loop.arm(second, w.time.now() + 1s);
  CHECK_FALSE(w.loop.run());  // nothing left
  CHECK(fired == 3);
  CHECK(w.elapsed() == 3s);
  w.loop.disarm(second);  // harmless
}

TEST_CASE("a timer in the past fires soon, and time does not go back") {
  world w;
  bool fired = false;
  ring late{[&] { fired = true; }};
  w.loop.arm(late, w.time.now() - 1h);
  w.loop.run_until([&] { return fired; });
  CHECK(fired);
  CHECK(w.elapsed() == 0s);
}

TEST_CASE("work runs in the order of posting, and forgotten work does not run") {
  world w;
  std::vector<int> ran;
  call a{[&] { ran.push_back(1); }};
  call b{[&] { ran.push_back(2); }};
  call c{[&] { ran.push_back(3); }};
  call d{[&] {
    ran.push_back(4);
    w.loop.post(a);  // local: posted from the loop itself
    w.loop.post(b);
    w.loop.post(c);
    w.loop.forget(b);
    w.loop.forget(b);
  }};
  for (call* x : {&a, &b, &c, &d}) w.loop.post(*x);
  w.loop.forget(b);
  CHECK_FALSE(w.loop.run());
  CHECK(ran == std::vector<int>{1, 3, 4, 1, 3});
}

TEST_CASE("work that posts itself for ever does not starve timers or work of other threads") {
  again::run_loop loop;  // real time
  std::atomic<bool> posted_ran{false};
  bool fired = false;
  call busy{[&] { loop.post(busy); }};
  call other{[&] { posted_ran = true; }};
  ring soon{[&] { fired = true; }};
  loop.post(busy);
  loop.arm(soon, loop.now() + 1ms);
  std::thread poster{[&] { loop.post(other); }};
  CHECK(loop.run_until([&] { return fired && posted_ran; }));
  poster.join();
  loop.forget(busy);
}

TEST_CASE("a timer that rearms itself for now does not starve work or finish") {
  world w;
  bool worked = false;
  ring busy{[&] { w.loop.arm(busy, w.time.now()); }};
  call work{[&] { worked = true; }};
  w.loop.arm(busy, w.time.now());
  bool posted = false;
  CHECK(w.loop.run_until([&] {
    if (!posted) w.loop.post(work);
    posted = true;
    return worked;
  }));
  w.loop.disarm(busy);
}

TEST_CASE("posts of four threads all arrive, each thread's in order") {
  again::run_loop loop;
  constexpr int threads = 4;
  constexpr int each = 5'000;
  std::deque<call> works;
  std::vector<int> last(threads, -1);
  int arrived = 0;
  bool in_order = true;
  for (int t = 0; t < threads; ++t) {
    for (int i = 0; i < each; ++i) {
      works.emplace_back([&, t, i] {
        in_order = in_order && last[static_cast<std::size_t>(t)] == i - 1 && loop.here();
        last[static_cast<std::size_t>(t)] = i;
        ++arrived;
      });
    }
  }
  std::vector<std::thread> posters;
  for (int t = 0; t < threads; ++t) {
    posters.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) loop.post(works[static_cast<std::size_t>(t * each + i)]);
    });
  }
  CHECK(loop.run_until([&] { return arrived == threads * each; }));
  CHECK(in_order);
  for (auto& p : posters) p.join();
}

TEST_CASE("finish ends a run: from another thread, from before it, from work and from a timer, each time once") {
  again::run_loop loop;
  std::thread other{[&] { loop.finish(); }};
  CHECK(loop.run());
  other.join();
  loop.finish();
  CHECK(loop.run());
  call work{[&] { loop.finish(); }};
  loop.post(work);
  CHECK(loop.run());
  ring soon{[&] { loop.finish(); }};
  loop.arm(soon, loop.now());
  CHECK(loop.run());
  for (int i = 0; i < 2'000; ++i) {  // at whatever point of a turn it comes
    std::thread late{[&] { loop.finish(); }};
    CHECK(loop.run());
    late.join();
  }
}

TEST_CASE("under pretend time a loop with nothing left returns false, and one with outside work waits for it") {
  world w;
  CHECK_FALSE(w.loop.run());
  bool arrived = false;
  call back{[&] { arrived = true; }};
  w.loop.work_started();
  std::thread outside{[&] {
    w.loop.post(back);
    w.loop.work_finished();
  }};
  while (!arrived) w.loop.run_until([&] { return arrived; });
  outside.join();
  CHECK_FALSE(w.loop.run());
}

TEST_CASE("pretend time does not jump while outside work runs") {
  world w;
  bool fired = false;
  bool arrived = false;
  ring far{[&] { fired = true; }};
  call back{[&] { arrived = true; }};
  w.loop.arm(far, w.time.now() + 1h);
  w.loop.work_started();
  std::thread outside{[&] { w.loop.post(back); }};
  w.loop.run_until([&] { return arrived; });
  outside.join();
  CHECK_FALSE(fired);
  CHECK(w.elapsed() < 1h);
  w.loop.work_finished();
  w.loop.run_until([&] { return fired; });
  CHECK(w.elapsed() == 1h);
}

TEST_CASE("here is true on the thread that runs the loop, while it runs, and loops nest") {
  world outer;
  world inner;
  CHECK_FALSE(outer.loop.here());
  bool checked = false;
  call nested{[&] {
    CHECK(inner.loop.here());
    CHECK_FALSE(outer.loop.here());
    checked = true;
  }};
  call work{[&] {
    CHECK(outer.loop.here());
    inner.loop.post(nested);
    CHECK_FALSE(inner.loop.run());
    CHECK(outer.loop.here());
  }};
  outer.loop.post(work);
  CHECK_FALSE(outer.loop.run());
  CHECK(checked);
  CHECK_FALSE(outer.loop.here());
}

TEST_CASE("a seeded loop repeats its seeds, which all differ; an unseeded loop does not") {
  again::virtual_clock time;
  again::run_loop a{time, 1};
  again::run_loop b{time, 1};
  again::run_loop c{time};
  again::run_loop d{time};
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t s = a.seed();
    CHECK(s == b.seed());
    seen.insert(s);
    seen.insert(c.seed());
    seen.insert(d.seed());
  }
  CHECK(seen.size() == 300);
}

TEST_CASE("poll runs what is ready, does not sleep, and says when to call it again") {
  again::virtual_clock time;
  again::run_loop loop{time};
  int ran = 0;
  call work{[&] {
    CHECK(loop.here());
    ++ran;
  }};
  CHECK(loop.poll() == again::never);
  loop.post(work);
  CHECK(loop.poll() == again::never);
  CHECK(ran == 1);

  ring later{[&] { ++ran; }};
  loop.arm(later, time.now() + 3s);
  CHECK(loop.poll() == time.now() + 3s);
  CHECK(ran == 1);
  time.advance(3s);
  CHECK(loop.poll() == again::never);
  CHECK(ran == 2);
  CHECK_FALSE(loop.here());
}

TEST_CASE("poll returns although work posts itself again, and says that there is more") {
  again::virtual_clock time;
  again::run_loop loop{time};
  int ran = 0;
  call* self = nullptr;
  call work{[&] {
    ++ran;
    loop.post(*self);
  }};
  self = &work;
  loop.post(work);
  CHECK(loop.poll() == time.now());
  CHECK(ran > 0);
  CHECK(ran <= 128);
  loop.forget(work);
}

TEST_CASE("a polled loop tells once that work was posted, until poll has taken it") {
  again::virtual_clock time;
  again::run_loop loop{time};
  std::atomic<int> told{0};
  loop.when_posted([](void* count) noexcept { ++*static_cast<std::atomic<int>*>(count); }, &told);
  call from_inside{[] {}};
  call first{[&] { loop.post(from_inside); }};
  call second{[] {}};
  std::thread{[&] {
    loop.post(first);
    loop.post(second);
  }}.join();
  CHECK(told == 1);
  loop.poll();
  CHECK(told == 1);  // what is posted by a callback needs no telling
  loop.post(second);
  CHECK(told == 2);
  loop.poll();
}
