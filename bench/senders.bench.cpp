// SPDX-License-Identifier: MIT
// What it costs to await a retry as a sender (P2300), and a sender in a task. All succeeds at once, on our own loop
// except where it says otherwise. The library of senders is the look-alike of the tests, or stdexec by -Dstdexec=PATH.
#include "harness.hpp"

#include <again/again.hpp>
#include <again/execution.hpp>

#include "execution/execution_under_test.hpp"

#include <chrono>
#include <cstdlib>
#include <exception>
#include <optional>
#include <utility>

namespace {

using namespace std::chrono_literals;
using again::execution::as_awaitable;
using again::execution::as_sender;
using again::execution::loop_scheduler;

struct failed {
  int number = 0;
};
using outcome = again::expected<int, failed>;
constexpr auto unbounded =
    again::checked({.attempts = 4, .backoff = again::exponential(100ms, 2s), .deadline = again::forever});

void expect(bool good) {
  if (!good) std::abort();
}
again::task<outcome> answered() { co_return 1; }

// ── in a task ──

again::task<int> awaited(std::size_t n) {
  auto op = [] { return answered(); };
  auto retried = again::retry(unbounded, op);
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto r = co_await retried;
    sum += *r;
  }
  co_return sum;
}
again::task<int> awaited_just(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += co_await as_awaitable(ex::just(1));
  co_return sum;
}
again::task<int> awaited_as_sender(std::size_t n) {
  auto op = [] { return answered(); };
  const auto retried = again::retry(unbounded, op);
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto r = co_await as_awaitable(as_sender(retried));
    sum += *r;
  }
  co_return sum;
}
again::task<int> retried_senders(std::size_t n) {
  auto op = [] { return ex::just(1); };
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto r = co_await as_awaitable(again::retry(unbounded, op));
    sum += *r;
  }
  co_return sum;
}
void in_a_task(again::task<int> (*body)(std::size_t), std::size_t n) {
  again::run_loop loop;
  expect(again::sync_wait(loop, body(n)) == static_cast<int>(n));
}

// ── started by hand ──

void started_on_our_loop(std::size_t n) {
  auto op = [] { return answered(); };
  const auto retried = again::retry(unbounded, op);
  again::run_loop loop;
  again_test::kept_end end;
  (void)loop.run_until([&] {
    for (std::size_t i = 0; i < n; ++i) {
      auto operation = ex::connect(as_sender(retried), again_test::keeping_receiver<ex::never_stop_token>{&end, {}});
      ex::start(operation);
    }
    return true;
  });
  expect(end.values == static_cast<int>(n));
}
void over_the_default_loop(std::size_t n) {
  auto op = [] { return answered(); };
  const auto retried = again::retry(unbounded, op);
  for (std::size_t i = 0; i < n; ++i) expect(std::get<0>(*ex::sync_wait(as_sender(retried))).has_value());
}
void scheduled(std::size_t n) {
  again::run_loop loop;
  again_test::kept_end end;
  for (std::size_t i = 0; i < n; ++i) {
    auto operation =
        ex::connect(ex::schedule(loop_scheduler{loop}), again_test::keeping_receiver<ex::never_stop_token>{&end, {}});
    ex::start(operation);
    (void)loop.run_until([&] { return end.values == static_cast<int>(i) + 1; });
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::suite s{"senders", argc, argv};
  const char* const tasks = "in a task, success at once";
  s.add(tasks, "co_await retry", [](std::size_t n) { in_a_task(&awaited, n); });
  s.add(tasks, "co_await as_awaitable(just(1)), no retry", [](std::size_t n) { in_a_task(&awaited_just, n); });
  s.add(tasks, "co_await as_awaitable(as_sender(retry))", [](std::size_t n) { in_a_task(&awaited_as_sender, n); });
  s.add(tasks, "co_await as_awaitable(retry of just(1))", [](std::size_t n) { in_a_task(&retried_senders, n); });

  const char* const senders = "as a sender, success at once";
  s.add(senders, "as_sender, started on our loop", &started_on_our_loop);
  s.add(senders, "sync_wait(as_sender), by the default loop", &over_the_default_loop);
  s.add(senders, "schedule(loop_scheduler), no retry", &scheduled);
  return s.run();
}
