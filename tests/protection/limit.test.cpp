// SPDX-License-Identifier: MIT
#include <again/protection/limit.hpp>

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/counting_clock.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;

namespace {

// What a call does: notes its start, lasts, notes its end.
struct noted {
  std::vector<std::string> log{};
  int running = 0;
  int most = 0;
  auto op(int id, again::duration lasts) {
    return [this, id, lasts]() -> again::task<outcome> {
      log.push_back("+" + std::to_string(id));
      most = std::max(most, ++running);
      const bool slept = co_await again::sleep_for(lasts);
      --running;
      log.push_back("-" + std::to_string(id));
      if (!slept) co_return aborted(id);
      co_return id;
    };
  }
};

template <class Op> again::task<> note_result(Op op, std::vector<std::string>& results, int id) {
  const auto r = co_await op;
  results.push_back(std::to_string(id) + (r ? " ok" : " " + std::string{again::name(r.error().reason())}));
}

}  // namespace

TEST_CASE("no more than the limit run at once, waiters go in the order of their coming, more are overloaded") {
  world w;
  again::limiter slots{{.in_flight = 2, .queue = 3}};
  noted n;
  std::vector<std::string> results;
  auto all = [&]() -> again::task<> {
    again::scope calls{co_await again::get_context()};
    for (int id = 1; id <= 6; ++id) calls.spawn(note_result(again::limit(slots, n.op(id, 1s * id)), results, id));
    CHECK(slots.in_flight() == 2);
    CHECK(slots.queued() == 3);
    co_await calls.join();
  };
  w.run(all());
  CHECK(n.most == 2);
  CHECK(n.log == std::vector<std::string>{"+1", "+2", "-1", "+3", "-2", "+4", "-3", "+5", "-4", "-5"});
  CHECK(results == std::vector<std::string>{"6 overloaded", "1 ok", "2 ok", "3 ok", "4 ok", "5 ok"});
  CHECK(slots.in_flight() == 0);
  CHECK(slots.queued() == 0);
  CHECK(slots.refused() == 1);
}

TEST_CASE("overloaded means that nothing was sent") {
  world w;
  again::limiter slots{{.in_flight = 1, .queue = 0}};
  noted n;
  auto all = [&]() -> again::task<> {
    std::vector<std::string> results;
    again::scope calls{co_await again::get_context()};
    calls.spawn(note_result(again::limit(slots, n.op(1, 1s)), results, 1));
    auto second = again::limit(slots, n.op(2, 1s));
    const auto r = co_await second;
    CHECK(r.error().reason() == stop_reason::overloaded);
    CHECK(r.error().error() == nullptr);
    CHECK(r.error().attempts() == 0);
    CHECK(r.error().reach() == again::reach::not_sent);
    co_await calls.join();
  };
  w.run(all());
}

TEST_CASE("a waiter leaves the queue at once when it is cancelled or its time is up, and the next one moves up") {
  world w;
  again::limiter slots{{.in_flight = 1, .queue = 10}};
  noted n;
  std::vector<std::string> results;
  auto all = [&]() -> again::task<> {
    again::scope calls{co_await again::get_context()};
    again::scope cancelled{co_await again::get_context()};
    calls.spawn(note_result(again::limit(slots, n.op(1, 10s)), results, 1));
    cancelled.spawn(note_result(again::limit(slots, n.op(2, 1s)), results, 2));
    calls.spawn(note_result(again::timeout(2s, again::limit(slots, n.op(3, 1s))), results, 3));
    calls.spawn(note_result(again::limit(slots, n.op(4, 1s)), results, 4));
    (void)co_await again::sleep_for(1s);
    cancelled.request_stop();
    co_await cancelled.join();
    CHECK(w.elapsed() == 1s);
    CHECK(slots.queued() == 2);
    (void)co_await again::sleep_for(1500ms);
    CHECK(slots.queued() == 1);
    co_await calls.join();
  };
  w.run(all());
  CHECK(results == std::vector<std::string>{"2 cancelled_before_start", "3 deadline_reached", "1 ok", "4 ok"});
  CHECK(n.log == std::vector<std::string>{"+1", "-1", "+4", "-4"});
  CHECK(w.elapsed() == 11s);
}

TEST_CASE("destroying a waiter takes it out of the queue, destroying a running call frees its slot") {
  world w;
  again::limiter slots{{.in_flight = 1, .queue = 10}};
  noted n;
  std::vector<std::string> results;
  auto all = [&]() -> again::task<> {
    auto running = std::make_unique<again::scope>(co_await again::get_context());
    auto waiting = std::make_unique<again::scope>(co_await again::get_context());
    again::scope last{co_await again::get_context()};
    running->spawn(note_result(again::limit(slots, n.op(1, 10s)), results, 1));
    waiting->spawn(note_result(again::limit(slots, n.op(2, 1s)), results, 2));
    last.spawn(note_result(again::limit(slots, n.op(3, 1s)), results, 3));
    waiting.reset();
    CHECK(slots.queued() == 1);
    running.reset();
    CHECK(slots.queued() == 0);
    CHECK(slots.in_flight() == 1);
    co_await last.join();
  };
  w.run(all());
  CHECK(results == std::vector<std::string>{"3 ok"});
  CHECK(slots.in_flight() == 0);
}

TEST_CASE("a slot given to a waiter that is destroyed or stopped before it wakes goes to the next") {
  world w;
  again::limiter slots{{.in_flight = 1, .queue = 10}};
  noted n;
  std::vector<std::string> results;
  auto all = [&]() -> again::task<> {
    auto running = std::make_unique<again::scope>(co_await again::get_context());
    auto next = std::make_unique<again::scope>(co_await again::get_context());
    again::scope stopping{co_await again::get_context()};
    again::scope last{co_await again::get_context()};
    running->spawn(note_result(again::limit(slots, n.op(1, 10s)), results, 1));
    next->spawn(note_result(again::limit(slots, n.op(2, 1s)), results, 2));
    stopping.spawn(note_result(again::limit(slots, n.op(3, 1s)), results, 3));
    last.spawn(note_result(again::limit(slots, n.op(4, 1s)), results, 4));
    running.reset();          // 2 has the slot, and has not woken yet
    next.reset();             // 3 has it
    stopping.request_stop();  // 3 is stopped before it wakes
    co_await stopping.join();
    co_await last.join();
  };
  w.run(all());
  CHECK(results == std::vector<std::string>{"3 cancelled_before_start", "4 ok"});
  CHECK(n.log == std::vector<std::string>{"+1", "+4", "-4"});
  CHECK(slots.in_flight() == 0);
}

TEST_CASE("an exception frees the slot") {
  world w;
  again::limiter slots{{.in_flight = 1, .queue = 0}};
  auto op = again::limit(slots, []() -> again::task<outcome> {
    throw std::runtime_error{"broken"};
    co_return 1;
  });
  CHECK_THROWS_AS(w.run(op), std::runtime_error);
  CHECK(slots.in_flight() == 0);
}

TEST_CASE("one limiter serves loops on several threads") {
  again::limiter slots{{.in_flight = 3, .queue = 1000}};
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  std::atomic<int> done{0};
  const auto op = [&]() -> again::task<outcome> {
    const int now = ++running;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {}
    co_await again::yield{};
    --running;
    co_return 1;
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      again::run_loop loop;
      auto all = [&]() -> again::task<> {
        again::scope calls{co_await again::get_context()};
        for (int i = 0; i < 100; ++i) {
          calls.spawn([](again::limiter& s, auto call, std::atomic<int>& count) -> again::task<> {
            auto limited = again::limit(s, call);
            if (co_await limited) ++count;
          }(slots, op, done));
        }
        co_await calls.join();
      };
      again::sync_wait(loop, all());
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(done == 400);
  CHECK(most <= 3);
  CHECK(slots.in_flight() == 0);
}

TEST_CASE("threads that come and go through one slot: every waiter gets it, and one at a time") {
  again::limiter slot{{.in_flight = 1, .queue = 1000}};
  int unguarded = 0;  // the slot guards it
  std::atomic<int> stopped{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      again::run_loop loop;
      auto one = [&](bool stops) -> again::task<> {
        again::scope call{co_await again::get_context()};
        call.spawn([](again::limiter& s, int& n, std::atomic<int>& count) -> again::task<> {
          auto op = again::limit(s, [&n]() -> again::task<outcome> {
            const int before = n;
            co_await again::yield{};
            n = before + 1;
            co_return 1;
          });
          if (!co_await op) ++count;
        }(slot, unguarded, stopped));
        if (stops) call.request_stop();
        co_await call.join();
      };
      for (int i = 0; i < 300; ++i) again::sync_wait(loop, one((i + t) % 4 == 0));
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(unguarded + stopped == 8 * 300);
  CHECK(slot.in_flight() == 0);
  CHECK(slot.queued() == 0);
}

TEST_CASE("a thousand tasks that await a limiter all run: by default, and with a number of slots alone") {
  for (const again::concurrency_limits& limits : {again::concurrency_limits{}, {.in_flight = 16}, {.in_flight = 1}}) {
    world w;
    again::limiter slots{limits};
    noted n;
    std::vector<std::string> results;
    auto all = [&]() -> again::task<> {
      again::scope calls{co_await again::get_context()};
      for (int id = 0; id < 1000; ++id) calls.spawn(note_result(again::limit(slots, n.op(id, 1s)), results, id));
      co_await calls.join();
    };
    w.run(all());
    CHECK(results.size() == 1000);
    CHECK(slots.refused() == 0);
    CHECK(n.most == limits.in_flight);
    CHECK(w.elapsed() == 1s * ((1000 + limits.in_flight - 1) / limits.in_flight));
  }
}

TEST_CASE("the default queue has an end: the call after 64 slots and 10 000 waiters is refused at once") {
  world w;
  again::limiter slots;
  int running = 0;
  auto all = [&]() -> again::task<> {
    again::scope calls{co_await again::get_context()};
    const auto call = [](again::limiter& s, int& n) -> again::task<> {
      auto op = again::limit(s, [&n]() -> again::task<outcome> {
        ++n;
        (void)co_await again::sleep_for(1h);
        co_return aborted(0);
      });
      (void)co_await op;
    };
    for (int id = 0; id < 64 + 10'000; ++id) calls.spawn(call(slots, running));
    CHECK(slots.queued() == 10'000);
    CHECK(slots.refused() == 0);
    calls.spawn(call(slots, running));
    CHECK(slots.refused() == 1);
    calls.request_stop();
    co_await calls.join();
  };
  w.run(all());
  CHECK(running == 64);
  CHECK(slots.queued() == 0);
}

TEST_CASE("where a slot is free a success costs no reading of the clock, and with a deadline one") {
  counting_clock time;
  again::run_loop loop{time, 1};
  again::limiter slots{};
  auto op = again::limit(slots, []() -> again::task<outcome> { co_return 1; });
  auto hundred = [&]() -> again::task<long> {
    const long before = time.reads();
    for (int i = 0; i < 100; ++i) CHECK(co_await op);
    co_return time.reads() - before;
  };
  CHECK(again::sync_wait(loop, hundred()) == 0);
  auto bounded = [&]() -> again::task<again::expected<long, trouble>> { co_return co_await hundred(); };
  CHECK(again::sync_wait(loop, again::timeout(1h, bounded)).value() == 100);
}

TEST_CASE("limits that make no sense are refused") {
  CHECK_THROWS_AS(again::limiter({.in_flight = 0}), std::invalid_argument);
  CHECK_THROWS_AS(again::limiter({.queue = -1}), std::invalid_argument);
}
