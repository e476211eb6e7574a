// SPDX-License-Identifier: MIT
// What a retry that succeeds at once costs in coroutines of other libraries, and how soon one ends that is cancelled. The libraries are
// the look-alikes of the tests: their threads, their executors, their ways to resume.
#include "harness.hpp"

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/folly.hpp>
#include <again/io_awaitable.hpp>
#include <again/retry/retry.hpp>

#include "support/capy_lookalike.hpp"
#include "support/cppcoro_lookalike.hpp"

#include <folly/coro/BlockingWait.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <thread>
#include <vector>

namespace {

namespace capy = boost::capy;
using namespace std::chrono_literals;

struct failed {
  int number = 0;
};
using outcome = again::expected<int, failed>;

constexpr auto polite = again::checked({
    .attempts = 4,
    .backoff = again::exponential(100ms, 2s),
    .jitter = again::jitter::full,
    .attempt_timeout = 1s,
    .deadline = 5s,
});
constexpr auto patient =
    again::checked({.attempts = 4, .backoff = again::constant(1h), .attempt_timeout = 100h, .deadline = 1000h});

void expect(bool good) {
  if (!good) std::abort();
}
again::task<outcome> at_once() { co_return 1; }
const auto op = [] { return at_once(); };

// ── success at once ──

again::task<> in_task(std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) expect((co_await again::retry(polite, op)).has_value());
}
cppcoro::task<> in_cppcoro(std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) expect((co_await again::retry(polite, op)).has_value());
}
again::task<> in_cppcoro_in_task(std::size_t n) { co_await in_cppcoro(n); }
cppcoro::task<> in_cppcoro_and_back(cppcoro::static_thread_pool& pool, std::size_t n) {
  co_await pool.schedule();
  for (std::size_t i = 0; i < n; ++i) {
    expect((co_await cppcoro::resume_on(pool, again::retry(polite, op))).has_value());
  }
}
folly::coro::Task<int> in_folly(std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) expect((co_await again::retry(polite, op)).has_value());
  co_return 0;
}
capy::task<int> in_capy(std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    expect((co_await again::as_io_awaitable(again::retry(polite, op))).has_value());
  }
  co_return 0;
}
again::task<> in_capy_in_task(std::size_t n) { (void)co_await in_capy(n); }

int on_capy(capy::thread_pool& pool, std::stop_token token, capy::task<int> what) {
  std::promise<int> result;
  capy::run_async(
      pool.get_executor(), std::move(token), [&](int r) { result.set_value(r); },
      [&](const std::exception_ptr& e) { result.set_exception(e); })(std::move(what));
  return result.get_future().get();
}
int on_folly(folly::Executor& executor, folly::coro::Task<int> what) {
  return folly::coro::blockingWait(
      folly::coro::co_withExecutor(folly::Executor::KeepAlive<>{&executor}, std::move(what)));
}

// ── cancelled while it waits for an hour ──

std::atomic<bool> waits{false};
outcome fails() { return outcome{again::unexpect, failed{1}}; }
const auto failing = []() -> again::task<outcome> { co_return fails(); };
const auto seen = [](const again::attempt_record&) {
  waits = true;
  waits.notify_all();
};

// The time from the request to the end, in microseconds: the median of `rounds`.
template <class Request, class Await> double until_end(int rounds, Request request, Await await_end) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) {
    waits = false;
    double requested = 0;
    std::thread requester{[&] {
      waits.wait(false);
      std::this_thread::sleep_for(1ms);  // the wait has begun
      requested = bench::wall_seconds();
      request();
    }};
    await_end();
    const double ended = bench::wall_seconds();
    requester.join();
    times.push_back((ended - requested) * 1e6);
  }
  return bench::quantile(std::move(times), 0.5);
}

cppcoro::task<> cancelled_cppcoro(cppcoro::static_thread_pool& pool, cppcoro::cancellation_token token) {
  co_await pool.schedule();
  again::inplace_stop_source source;
  const cppcoro::cancellation_registration passes_on{std::move(token), [&] { source.request_stop(); }};
  auto r = co_await cppcoro::resume_on(pool, again::retry(patient, failing).observe(seen).stop(source.get_token()));
  expect(!r.has_value());
}
folly::coro::Task<int> cancelled_folly() {
  expect(!(co_await again::retry(patient, failing).observe(seen)).has_value());
  co_return 0;
}
capy::task<int> cancelled_capy() {
  expect(!(co_await again::as_io_awaitable(again::retry(patient, failing).observe(seen))).has_value());
  co_return 0;
}

void measure_cancellation(bench::suite& s) {
  const int rounds = s.quick() ? 20 : 200;
  const char* const group = "from the request to the end of a retry that waits";
  {
    cppcoro::static_thread_pool pool{1};
    cppcoro::cancellation_source source;
    s.figure(group, "cppcoro, cancellation_registration and resume_on", "us",
             until_end(
                 rounds, [&] { source.request_cancellation(); },
                 [&] {
                   cppcoro::sync_wait(cancelled_cppcoro(pool, source.token()));
                   source = {};
                 }));
  }
  {
    folly::CPUThreadPoolExecutor executor{1};
    folly::CancellationSource source;
    s.figure(group, "folly::coro::Task", "us",
             until_end(
                 rounds, [&] { source.requestCancellation(); },
                 [&] {
                   on_folly(executor, folly::coro::co_withCancellation(source.getToken(), cancelled_folly()));
                   source = {};
                 }));
  }
  {
    capy::thread_pool pool{1};
    std::stop_source source;
    s.figure(group, "capy::task", "us",
             until_end(
                 rounds, [&] { source.request_stop(); },
                 [&] {
                   on_capy(pool, source.get_token(), cancelled_capy());
                   source = {};
                 }));
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::suite s{"interop", argc, argv};
  const char* const calls = "a retry that succeeds at once, awaited in";
  s.add(calls, "again::task", [](std::size_t n) { again::sync_wait(in_task(n)); }, bench::timed_by::wall);
  s.add(
      calls, "cppcoro::task in an again::task", [](std::size_t n) { again::sync_wait(in_cppcoro_in_task(n)); },
      bench::timed_by::wall);
  s.add(
      calls, "capy::task in an again::task", [](std::size_t n) { again::sync_wait(in_capy_in_task(n)); },
      bench::timed_by::wall);
  s.add(
      calls, "cppcoro::task, over the default loop and back by resume_on",
      [](std::size_t n) {
        cppcoro::static_thread_pool pool{1};
        cppcoro::sync_wait(in_cppcoro_and_back(pool, n));
      },
      bench::timed_by::wall);
  s.add(
      calls, "folly::coro::Task on a pool, over the default loop",
      [](std::size_t n) {
        folly::CPUThreadPoolExecutor executor{1};
        on_folly(executor, in_folly(n));
      },
      bench::timed_by::wall);
  s.add(
      calls, "capy::task on a pool, over the default loop",
      [](std::size_t n) {
        capy::thread_pool pool{1};
        on_capy(pool, {}, in_capy(n));
      },
      bench::timed_by::wall);
  measure_cancellation(s);
  s.note("the other libraries are the look-alikes of the tests");
  return s.run();
}
