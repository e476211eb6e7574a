// SPDX-License-Identifier: MIT
#include <again/asio/scheduler.hpp>

#include <again/asio/async_run.hpp>
#include <again/asio/run.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/retry.hpp>

#include "asio_under_test.hpp"
#include "support/call.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

using again_test::call;
using again_test::ring;
using namespace std::chrono_literals;

TEST_CASE("an executor has one scheduler; another executor of the same context has another") {
  net::io_context io;
  again::scheduler& s = again::asio::scheduler_of(io.get_executor());
  CHECK(&s == &again::asio::scheduler_of(io.get_executor()));
  const auto strand = net::make_strand(io);
  CHECK(&again::asio::scheduler_of(strand) != &s);
  CHECK(&again::asio::scheduler_of(strand) == &again::asio::scheduler_of(strand));
}

TEST_CASE("posted work runs in the order of posting, as handlers of the executor, and can be taken back") {
  net::io_context io;
  again::scheduler& s = again::asio::scheduler_of(io.get_executor());
  std::vector<int> ran;
  call first{[&] {
    CHECK(s.here());
    ran.push_back(1);
  }};
  call second{[&] { ran.push_back(2); }};
  call third{[&] { ran.push_back(3); }};
  s.post(first);
  s.post(second);
  s.post(third);
  s.forget(second);
  CHECK(ran.empty());
  CHECK_FALSE(s.here());
  io.run();
  CHECK(ran == std::vector<int>{1, 3});
  s.post(second);
  io.restart();
  io.run();
  CHECK(ran.size() == 3);
}

TEST_CASE("work that posts itself again leaves room for other handlers") {
  net::io_context io;
  again::scheduler& s = again::asio::scheduler_of(io.get_executor());
  int rounds = 0;
  bool other = false;
  call* self = nullptr;
  call again_and_again{[&] {
    ++rounds;
    if (!other) s.post(*self);
  }};
  self = &again_and_again;
  s.post(again_and_again);
  net::post(io, [&] { other = true; });
  io.run();
  CHECK(other);
  CHECK(rounds < 1000);
}

TEST_CASE("timers fire in the order of their times, can be disarmed, and one that is earlier than the alarm moves it") {
  net::io_context io;
  again::scheduler& s = again::asio::scheduler_of(io.get_executor());
  std::vector<int> fired;
  ring late{[&] { fired.push_back(3); }};
  ring early{[&] { fired.push_back(1); }};
  ring middle{[&] { fired.push_back(2); }};
  ring never_fires{[&] { fired.push_back(100); }};
  call arm{[&] { s.arm(never_fires, s.now() + 1h); }};
  call arm_earlier{[&] {
    s.arm(late, s.now() + 3ms);
    s.arm(early, s.now() - 1s);  // due
    s.arm(middle, s.now() + 1ms);
    s.disarm(never_fires);
  }};
  s.post(arm);
  io.poll();
  s.post(arm_earlier);
  io.restart();
  io.run();  // returns: no timer is left
  CHECK(fired == std::vector<int>{1, 2, 3});
}

TEST_CASE("a retry of our own loop runs on Asio's executor with .on, and comes back") {
  net::thread_pool pool{1};
  again::scheduler& s = again::asio::scheduler_of(pool.get_executor());
  std::thread::id attempt;
  const auto op = [&]() -> again::task<again_test::outcome> {
    attempt = std::this_thread::get_id();
    co_await again::yield();
    co_return 4;
  };
  const auto program = [&]() -> again::task<int> {
    const auto before = std::this_thread::get_id();
    auto r = co_await again::retry(again::policy{}, op).on(s);
    CHECK(before == std::this_thread::get_id());
    co_return *r;
  };
  CHECK(again::sync_wait(program()) == 4);
  CHECK(attempt != std::this_thread::get_id());
}

TEST_CASE("many sleeps share the executor: all wake up") {
  net::io_context io;
  std::vector<again::task<>> sleepers;
  int awake = 0;
  const auto sleeper = [&](int i) -> again::task<> {
    (void)co_await again::sleep(std::chrono::microseconds{(i * 7919) % 3000});
    ++awake;
  };
  for (int i = 0; i < 1000; ++i) sleepers.push_back(sleeper(i));
  again::asio::run(io, [&] { return again::when_all(std::move(sleepers)); });
  CHECK(awake == 1000);
}

TEST_CASE("from four threads: posts of all of them arrive, one at a time") {
  net::thread_pool pool{4};
  again::scheduler& s = again::asio::scheduler_of(pool.get_executor());
  constexpr int each = 1000;
  int unguarded = 0;
  std::vector<std::vector<call>> works(4);
  for (auto& mine : works) {
    for (int i = 0; i < each; ++i) mine.emplace_back([&] { ++unguarded; });
  }
  std::vector<std::thread> threads;
  for (auto& mine : works) {
    threads.emplace_back([&] {
      for (call& w : mine) s.post(w);
    });
  }
  for (auto& t : threads) t.join();
  pool.join();
  CHECK(unguarded == 4 * each);
}
