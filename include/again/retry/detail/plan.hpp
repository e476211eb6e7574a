// SPDX-License-Identifier: MIT
/// \file
/// What a call gives to its retry: policy, settings, operation and hooks; and the random draws of its waits.
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
  bool nested = false;         // may multiply an outer retry's attempts
  bool seeded = false;         // with `seed`; else the scheduler gives one
  scheduler* where = nullptr;  // where to run, if given
  std::uint64_t seed = 0;
};

struct retry_plan {
  // Out of line: the copy is as long as all the rest of a call's code.
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

/// What jitter adds to the least delay after failed attempt `n`.
inline duration random_part(const policy& p, int n, double draw) noexcept {
  backoff_state apart{};
  const duration least = delay_bounds(p.backoff, p.jitter, n).least;
  const duration d = jittered_delay(p.backoff, p.jitter, n, draw, apart);
  return d > least ? d - least : duration::zero();
}

/// The draw of the next wait's jitter; no seed is taken where it would not matter.
inline double draw_for(const policy& p, const retry_settings& s, scheduler& home,
                       manual_optional<random_stream>& random) {
  if (!waits(p.backoff) || (p.jitter.kind == jitter::kinds::none && !p.backoff.random())) return 0;
  if (!random) random.emplace(s.seeded ? mix(s.seed) : home.seed());
  return random->draw();
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
