// SPDX-License-Identifier: MIT
// What a retry adds to an operation in a coroutine of Asio, and a million waits on Asio's loop through our timers.
#include "harness.hpp"

#include <again/asio.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>

#include <chrono>
#include <cstdlib>
#include <random>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;

struct failed {
  int number = 0;
};
using outcome = again::expected<int, failed>;

// The README's policy: timers are armed for the attempt and for the deadline.
constexpr auto polite = again::checked({
    .attempts = 4,
    .backoff = again::exponential(100ms, 2s),
    .jitter = again::jitter::full,
    .attempt_timeout = 1s,
    .deadline = 5s,
});
constexpr auto unbounded =
    again::checked({.attempts = 4, .backoff = again::exponential(100ms, 2s), .deadline = again::forever});

void expect(bool good) {
  if (!good) std::abort();
}

// ── one coroutine, one operation after the other; each goes through the loop once ──

net::awaitable<outcome> answered_by_asio() {
  co_await net::post(net::use_awaitable);
  co_return 1;
}
again::task<outcome> answered_by_task() { co_return 1; }

net::awaitable<void> bare(std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) expect((co_await answered_by_asio()).has_value());
}
template <class Policy> net::awaitable<void> retried(const Policy& p, std::size_t n) {
  auto op = [] { return answered_by_task(); };
  for (std::size_t i = 0; i < n; ++i) {
    const auto r = co_await again::asio::async_retry(p, op);
    expect(r.has_value());
  }
}
net::awaitable<void> only_run(std::size_t n) {
  auto op = [] { return answered_by_task(); };
  for (std::size_t i = 0; i < n; ++i) expect((co_await again::asio::async_run(op)).has_value());
}
void run(net::awaitable<void> body) {
  net::io_context io{1};
  net::co_spawn(io, std::move(body), net::detached);
  io.run();
}

// ── a million waits ──

std::chrono::nanoseconds wait_of(std::size_t i) {
  static const std::vector<std::chrono::nanoseconds> waits = [] {
    std::vector<std::chrono::nanoseconds> all(1 << 16);
    std::mt19937_64 random{42};
    for (auto& w : all) w = std::chrono::nanoseconds{random() % 1'000'000'000};
    return all;
  }();
  return waits[i % waits.size()] + std::chrono::nanoseconds{i};
}
again::task<> sleeper(std::chrono::nanoseconds d, std::size_t& woken) {
  const bool slept = co_await again::sleep_for(d);
  if (slept) ++woken;
}
again::task<std::size_t> all_sleep(std::size_t n) {
  std::size_t woken = 0;
  again::scope all{co_await again::get_context()};
  for (std::size_t i = 0; i < n; ++i) all.spawn(sleeper(wait_of(i), woken));
  co_await all.join();
  co_return woken;
}
void ours_on_asio(std::size_t n) {
  net::io_context io{1};
  expect(again::asio::run(io, all_sleep(n)) == n);
}
net::awaitable<void> asio_sleeper(net::io_context& io, std::chrono::nanoseconds d, std::size_t& woken) {
  net::steady_timer t{io, d};
  co_await t.async_wait(net::use_awaitable);
  ++woken;
}
void asios_own(std::size_t n) {
  net::io_context io{1};
  std::size_t woken = 0;
  for (std::size_t i = 0; i < n; ++i) net::co_spawn(io, asio_sleeper(io, wait_of(i), woken), net::detached);
  io.run();
  expect(woken == n);
}

}  // namespace

int main(int argc, char** argv) {
  bench::suite s{"asio", argc, argv};
  const char* const calls = "in a coroutine of Asio, success at once";
  s.add(calls, "an operation of Asio, bare", [](std::size_t n) { run(bare(n)); });
  s.add(calls, "async_run", [](std::size_t n) { run(only_run(n)); });
  s.add(calls, "async_retry, no bound in time", [](std::size_t n) { run(retried(unbounded, n)); });
  s.add(calls, "async_retry, the usual policy", [](std::size_t n) { run(retried(polite, n)); });

  const std::size_t many = s.quick() ? 100'000 : 1'000'000;
  const char* const waits = "waits at once, each of up to a second";
  s.add_once(waits, "again on Asio's loop", many, [](std::size_t n, auto&) { ours_on_asio(n); });
  s.add_once(waits, "Asio, a steady_timer in each coroutine", many, [](std::size_t n, auto&) { asios_own(n); });

  s.add_goal({.text = "a retry adds at most 120 ns to the bare operation",
              .group = calls,
              .who = "async_retry, the usual policy",
              .against_group = {},
              .against = {},
              .limit = 120,
              .minus_group = calls,
              .minus = "an operation of Asio, bare"});
  s.add_goal({.text = "one wait on Asio's loop costs at most 0.4 of a steady_timer",
              .group = waits,
              .who = "again on Asio's loop",
              .against_group = waits,
              .against = "Asio, a steady_timer in each coroutine",
              .limit = 0.4});
  return s.run();
}
