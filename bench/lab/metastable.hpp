// SPDX-License-Identifier: MIT
/// \file
/// A metastable outage (Bronson et al., HotOS 2021; Huang et al., OSDI 2022). A server serves 1000 requests a second, in the
/// order of their coming, and refuses when 3000 are waiting. It does not know that a caller has given up: it serves the dead
/// request as well. 1000 clients in 10 processes send 700 a second in all and wait one second for a response. For ten
/// seconds the server stands still. The question is what happens afterwards.
#pragma once

#include <again/coro/run_loop.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/budget.hpp>
#include <again/protection/guard.hpp>
#include <again/protection/hedge.hpp>
#include <again/protection/resilient.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

namespace lab {

using namespace std::chrono_literals;

struct no_response {
  bool refused = false;
  bool stopped = false;
  again::verdict verdict() const noexcept {
    return {.kind = stopped ? again::disposition::aborted : again::disposition::transient,
            .reach = refused ? again::reach::answered : again::reach::maybe_sent};
  }
};
using response = again::expected<int, no_response>;

/// One server that works off a queue, and stands still for a while.
class queue_server {
 public:
  static constexpr again::duration service = 1ms;
  static constexpr std::size_t room = 3000;

  queue_server(again::time_point stands_still, again::time_point goes_on) : from_{stands_still}, until_{goes_on} {}

  again::task<response> send(std::vector<double>& load) {
    again::scheduler& loop = co_await again::get_scheduler();
    const again::time_point now = loop.now();
    load[second(now)] += 1;
    while (!waiting_.empty() && waiting_.front() <= now) waiting_.pop_front();
    if (waiting_.size() >= room) co_return response{again::unexpect, no_response{.refused = true}};
    free_ = worked(free_ > now ? free_ : now);
    waiting_.push_back(free_);
    if (!co_await again::sleep_until(free_))
      co_return response{again::unexpect, no_response{.stopped = true}};  // the work is done all the same
    co_return 1;
  }

  static std::size_t second(again::time_point t) {
    return static_cast<std::size_t>((t - again::virtual_clock::start) / 1s);
  }

 private:
  again::time_point worked(again::time_point begin) const {
    if (begin >= from_ && begin < until_) begin = until_;
    const again::time_point end = begin + service;
    return begin < from_ && end > from_ ? end + (until_ - from_) : end;
  }
  again::time_point from_;
  again::time_point until_;
  again::time_point free_{};
  std::deque<again::time_point> waiting_;
};

inline constexpr again::policy metastable_naive{.attempts = 4,
                                                .backoff = again::constant(100ms),
                                                .jitter = again::jitter::none,
                                                .attempt_timeout = 1s,
                                                .deadline = 30s};
inline constexpr again::policy metastable_jitter{.attempts = 4,
                                                 .backoff = again::exponential(200ms, 5s),
                                                 .jitter = again::jitter::full,
                                                 .attempt_timeout = 1s,
                                                 .deadline = 30s};
inline constexpr again::budgets::ratio metastable_budget{.share = 0.2, .floor_per_second = 1};
inline constexpr again::breaker_rules metastable_breaker{
    .consecutive = 20, .open_for = 2s, .growth = 2, .open_max = 10s, .probes = 2};

/// What one process's clients share.
struct process {
  again::budget budget{metastable_budget};
  again::breaker breaker{metastable_breaker};
  again::resilience all{{.retrying = metastable_jitter,
                         .at_once = {.in_flight = 100, .queue = 50},
                         .retries = metastable_budget,
                         .breaking = metastable_breaker}};
};

enum class strategy : std::uint8_t {
  none,
  naive,
  jitter,
  budget,
  breaker_wait,
  breaker,
  hedge,
  hedge_budget,
  resilient
};
struct named_strategy {
  strategy which;
  std::string_view name;
};
inline constexpr std::array<named_strategy, 9> strategies{{
    {strategy::none, "no retry"},
    {strategy::naive, "naive retry"},
    {strategy::jitter, "backoff and jitter"},
    {strategy::budget, "jitter and budget"},
    {strategy::breaker_wait, "breaker, callers wait"},
    {strategy::breaker, "breaker, callers fail"},
    {strategy::hedge, "hedge"},
    {strategy::hedge_budget, "hedge and budget"},
    {strategy::resilient, "resilient"},
}};

struct course {
  static constexpr int seconds = 120;
  static constexpr int fails_at = 10;
  static constexpr int heals_at = 20;
  std::vector<double> asked = std::vector<double>(seconds + 60);  ///< calls begun in each second
  std::vector<double> load = std::vector<double>(seconds + 60);   ///< sends that reached the server
  std::vector<double> good = std::vector<double>(seconds + 60);   ///< calls that got their response
  int recovered =
      -1;  ///< seconds from the end of the outage until nine tenths of the calls succeed, for good; -1: never

  double share_answered() const {
    double all = 0;
    double answered = 0;
    for (int s = 0; s < seconds; ++s) {
      all += asked[static_cast<std::size_t>(s)];
      answered += good[static_cast<std::size_t>(s)];
    }
    return answered / all;
  }
  double peak_load() const {
    double most = 0;
    for (const double l : load) most = l > most ? l : most;
    return most;
  }
};

inline course outage(strategy how, std::uint64_t seed) {
  constexpr int clients = 1000;
  constexpr int processes = 10;
  constexpr double each_per_second = 0.7;

  course seen;
  again::virtual_clock time;
  again::run_loop loop{time, seed};
  queue_server server{again::virtual_clock::start + course::fails_at * 1s,
                      again::virtual_clock::start + course::heals_at * 1s};
  std::array<process, processes> hosts;
  const again::time_point end = again::virtual_clock::start + course::seconds * 1s;
  const auto op = [&] { return server.send(seen.load); };

  const auto call = [&](process& host) -> again::task<> {
    seen.asked[queue_server::second(time.now())] += 1;
    bool good = false;
    switch (how) {
      case strategy::none: good = (co_await again::timeout(1s, op)).has_value(); break;
      case strategy::naive: good = (co_await again::retry(metastable_naive, op)).has_value(); break;
      case strategy::jitter: good = (co_await again::retry(metastable_jitter, op)).has_value(); break;
      case strategy::budget:
        good = (co_await again::retry(metastable_jitter, op).budget(host.budget)).has_value();
        break;
      case strategy::breaker_wait:
        good = (co_await again::retry(metastable_jitter, op).breaker(host.breaker)).has_value();
        break;
      case strategy::breaker:
        good = (co_await again::retry(metastable_jitter, again::guard(host.breaker, op))).has_value();
        break;
      case strategy::resilient: good = (co_await again::resilient(host.all, op)).has_value(); break;
      case strategy::hedge: good = (co_await again::timeout(1s, again::hedge({.delay = 50ms}, op))).has_value(); break;
      case strategy::hedge_budget:
        good = (co_await again::timeout(1s, again::hedge({.delay = 50ms}, op).budget(host.budget))).has_value();
        break;
    }
    if (good) seen.good[queue_server::second(time.now())] += 1;
  };
  const auto client = [&](process& host, again::random_stream random, again::scope& calls) -> again::task<> {
    for (;;) {
      (void)co_await again::sleep_for(again::saturating_scale(1s, -std::log(1 - random.draw()) / each_per_second));
      if (time.now() >= end) co_return;
      calls.spawn(call(host));
    }
  };
  const auto all = [&]() -> again::task<> {
    again::scope calls{co_await again::get_context()};
    again::scope sources{co_await again::get_context()};
    for (int i = 0; i < clients; ++i)
      sources.spawn(client(hosts[static_cast<std::size_t>(i % processes)], again::random_stream{loop.seed()}, calls));
    co_await sources.join();
    co_await calls.join();
  };
  again::sync_wait(loop, all());

  for (int s = course::seconds - 1; s >= course::heals_at; --s) {
    const std::size_t i = static_cast<std::size_t>(s);
    if (seen.good[i] < 0.9 * clients * each_per_second * 0.9) break;
    seen.recovered = s - course::heals_at;
  }
  return seen;
}

}  // namespace lab
