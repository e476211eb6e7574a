// SPDX-License-Identifier: MIT
/// \file
/// How many sends a request costs when a share of all attempts fails, for each budget: sequential requests of three attempts,
/// a thousand in a second, no wait between attempts.
#pragma once

#include <again/coro/run_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/protection/budget.hpp>
#include <again/retry.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

namespace lab {

struct named_budget {
  std::string_view name;
  std::unique_ptr<again::budget> (*fresh)();
};

inline constexpr std::array<named_budget, 7> budgets{{
    {"none", [] { return std::unique_ptr<again::budget>{}; }},
    {"SRE 10 % cumulative", [] { return std::make_unique<again::budget>(again::budgets::cumulative{.share = 0.1}); }},
    {"Finagle/tower 10 s, 10/s, 20 %", [] { return std::make_unique<again::budget>(again::budgets::ratio{}); }},
    {"AWS v2.0 500/5", [] { return std::make_unique<again::budget>(again::budgets::aws_v2_0); }},
    {"AWS v2.1 500/14", [] { return std::make_unique<again::budget>(again::budgets::aws_v2_1); }},
    {"gRPC 10/0.1", [] { return std::make_unique<again::budget>(again::budgets::throttle{.max = 10}); }},
    {"gRPC 100/0.1", [] { return std::make_unique<again::budget>(again::budgets::throttle{.max = 100}); }},
}};

struct sends_made {
  long requests = 0;
  long sends = 0;
  double per_request() const { return static_cast<double>(sends) / static_cast<double>(requests); }
};

inline sends_made amplify(const named_budget& which, int requests, double failing, std::uint64_t seed) {
  again::virtual_clock time;
  again::run_loop loop{time, seed};
  again::random_stream random{loop.seed()};
  sends_made made{.requests = requests};
  struct broken {};
  const auto send = [&]() -> again::task<again::expected<int, broken>> {
    ++made.sends;
    if (random.draw() < failing) co_return again::expected<int, broken>{again::unexpect, broken{}};
    co_return 1;
  };
  constexpr again::policy thrice{.attempts = 3,
                                 .backoff = again::constant(again::duration::zero()),
                                 .jitter = again::jitter::none,
                                 .attempt_timeout = again::forever,
                                 .deadline = again::forever};
  const std::unique_ptr<again::budget> shared = which.fresh();
  const auto all = [&]() -> again::task<> {
    for (int i = 0; i < requests; ++i) {
      auto op = again::retry(thrice, send);
      if (shared) {
        (void)co_await std::move(op).budget(*shared);
      } else {
        (void)co_await op;
      }
      (void)co_await again::sleep_for(std::chrono::milliseconds{1});
    }
  };
  again::sync_wait(loop, all());
  return made;
}

}  // namespace lab
