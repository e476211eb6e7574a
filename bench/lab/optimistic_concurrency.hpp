// SPDX-License-Identifier: MIT
/// \file
/// The model behind "Exponential Backoff And Jitter" (AWS Architecture Blog), with the library's own retry: clients update one
/// row under optimistic concurrency. Each reads the version, writes with it, and on conflict waits and reads again. Every
/// message takes |N(10, 2)| units; a unit is a millisecond of pretend time.
#pragma once

#include <again/coro/run_loop.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/retry.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace lab {

struct contention {
  double completion_time = 0;  ///< units until the last client is done
  double calls = 0;            ///< writes
};

struct named_backoff {
  std::string_view name;
  again::backoff backoff;
  again::jitter jitter;
  bool article_decorr = false;  ///< delays by a rule of our own, told to the retry as the peer's wish
};

// expo(n) = min(2000, 2^n · 5), n from 1 after the first failure.
inline constexpr again::backoff aws_expo =
    again::exponential(std::chrono::milliseconds{10}, std::chrono::milliseconds{2000});
// "Decorr" is the article's: cut to the cap after the draw, which heaps a share of the delays upon the cap. The library's own
// decorrelated backoff is cut before the draw; it is the last line.
inline constexpr std::array<named_backoff, 6> aws_backoffs{{
    {"Exponential", aws_expo, again::jitter::none},
    {"Decorr", again::constant(again::duration::zero()), again::jitter::none, true},
    {"EqualJitter", aws_expo, again::jitter::equal},
    {"FullJitter", aws_expo, again::jitter::full},
    {"None", again::constant(again::duration::zero()), again::jitter::none},
    {"again::decorrelated", again::decorrelated(std::chrono::milliseconds{5}, std::chrono::milliseconds{2000}),
     again::jitter::none},
}};

class optimistic_row {
 public:
  explicit optimistic_row(std::uint64_t seed) noexcept : random_{again::mix(seed)} {}

  struct conflict {};
  again::task<again::expected<int, conflict>> update() {
    (void)co_await message();
    const int seen = version_;
    (void)co_await message();
    (void)co_await message();
    ++writes_;
    const bool done = seen == version_;
    if (done) ++version_;
    (void)co_await message();
    if (!done) co_return again::expected<int, conflict>{again::unexpect, conflict{}};
    co_return seen;
  }
  int writes() const noexcept { return writes_; }

 private:
  again::sleep message() noexcept {
    constexpr double two_pi = 6.283185307179586;
    const double normal =
        std::sqrt(-2 * std::log(1 - random_.draw())) * std::cos(two_pi * random_.draw());  // Box and Muller
    return again::sleep_for(again::saturating_scale(std::chrono::milliseconds{1}, std::fabs(10 + 2 * normal)));
  }
  again::random_stream random_;
  int version_ = 0;
  int writes_ = 0;
};

inline contention compete(int clients, const named_backoff& how, int runs, std::uint64_t seed) {
  contention sum;
  for (int run = 0; run < runs; ++run) {
    again::virtual_clock time;
    again::run_loop loop{time, again::mix(seed + static_cast<std::uint64_t>(run))};
    optimistic_row row{loop.seed()};
    const again::policy p{.attempts = 1'000'000,
                          .backoff = how.backoff,
                          .jitter = how.jitter,
                          .attempt_timeout = again::forever,
                          .deadline = again::forever};
    const auto client = [&](again::random_stream random) -> again::task<> {
      double sleep = 5;
      auto op = again::retry(p, [&row] { return row.update(); }).when([&](const optimistic_row::conflict&) {
        again::verdict v;
        if (how.article_decorr) {
          sleep = std::min(2000.0, 5 + (3 * sleep - 5) * random.draw());
          v.server_delay = again::saturating_scale(std::chrono::milliseconds{1}, sleep);
        }
        return v;
      });
      (void)co_await op;
    };
    const auto all = [&]() -> again::task<> {
      again::scope clients_running{co_await again::get_context()};
      for (int i = 0; i < clients; ++i) clients_running.spawn(client(again::random_stream{loop.seed()}));
      co_await clients_running.join();
    };
    again::sync_wait(loop, all());
    sum.completion_time +=
        std::chrono::duration<double, std::milli>(time.now() - again::virtual_clock::start).count() / runs;
    sum.calls += static_cast<double>(row.writes()) / runs;
  }
  return sum;
}

}  // namespace lab
