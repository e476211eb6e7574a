// SPDX-License-Identifier: MIT
/// \file
/// The parts of a retry: policy, settings, operation and hooks; and the random numbers of its waits.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/random.hpp>
#include <again/coro/scheduler.hpp>
#include <again/policy/backoff.hpp>
#include <again/policy/policy.hpp>

#include <cstdint>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

struct retry_settings {
  bool nested = false;         // makes all attempts inside a repeated one of an outer retry, too
  bool seeded = false;         // `seed` is used; else the scheduler gives one
  scheduler* where = nullptr;  // the scheduler given by `.on`, or null
  std::uint64_t seed = 0;
};

struct retry_plan {
  // Out of line: copying a policy takes as much code as the rest of a call.
  [[gnu::noinline]] explicit retry_plan(const checked_policy& p) noexcept : policy{p} {}
  [[gnu::noinline]] explicit retry_plan(duration deadline) : policy{checked_policy::one_attempt(deadline)} {}
  checked_policy policy;
  retry_settings settings{};
};

template <class Op, class Hooks> struct retry_parts : retry_plan {
  template <class P, class From>
  retry_parts(const P& p, From&& o, Hooks&& h) : retry_plan{p}, op(std::forward<From>(o)), hooks(std::move(h)) {}
  Op op;
  [[no_unique_address]] Hooks hooks;
};

/// How much jitter adds to the shortest delay after failed attempt `n`.
inline duration random_part(const policy& p, int n, double draw) noexcept {
  backoff_state apart{};
  const duration least = delay_bounds(p.backoff, p.jitter, n).least;
  const duration d = jittered_delay(p.backoff, p.jitter, n, draw, apart);
  return d > least ? d - least : duration::zero();
}

/// The random number for the next wait's jitter. No seed is taken if the wait does not depend on it.
inline double draw_for(const policy& p, const retry_settings& s, scheduler& home,
                       manual_optional<random_stream>& random) {
  if (!waits(p.backoff) || (p.jitter.kind == jitter::kinds::none && !p.backoff.random())) return 0;
  if (!random) random.emplace(s.seeded ? mix(s.seed) : home.seed());
  return random->draw();
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
