// SPDX-License-Identifier: MIT
/// \file
/// `decide`: the one pure decision. From (policy, where we are, verdict of the last error, random draw) to "again after d,
/// because …" or "stop, because …". The loop, `explain` and `worst_case` all call it; nothing else decides.
#pragma once

#include <again/core/detail/enumerators.hpp>
#include <again/core/stop_reason.hpp>
#include <again/policy/policy.hpp>
#include <again/policy/verdict.hpp>

#include <cstdint>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {

/// Who asked for a wait.
enum class wait_by : std::uint8_t {
  none,     ///< there is no wait
  backoff,  ///< the policy
  server,   ///< the peer (Retry-After), with the policy's jitter above it
};
constexpr std::string_view name(wait_by by) noexcept { return detail::enumerator_name(by); }

/// Where a retry stands when an attempt has failed.
struct progress {
  int attempt = 1;               ///< the attempt that has just failed, from 1
  duration elapsed{};            ///< since the start of the first attempt
  duration inherited = forever;  ///< what is left until a deadline given from outside
  bool nested = false;           ///< inside a repeated attempt of an outer retry, and not allowed to multiply it
  backoff_state state{};         ///< what the last decision returned
};

struct decision {
  bool again = false;
  duration wait{};                                     ///< before the next attempt; when `again`
  wait_by by = wait_by::none;                          ///< who asked for it
  stop_reason stop = stop_reason::attempts_exhausted;  ///< when not `again`
  backoff_state state{};                               ///< for the next `progress`

  friend constexpr bool operator==(const decision&, const decision&) = default;
};

namespace detail {

// All that `decide` has to look at. Out of line: inlined, it would cost the plain case its registers.
[[gnu::noinline]] constexpr decision weigh(const policy& p, const progress& at, const verdict& v,
                                           double draw) noexcept {
  const auto stop = [&](stop_reason why) { return decision{.again = false, .stop = why, .state = at.state}; };
  if (v.kind != disposition::transient) return stop(reason_for(v.kind));
  if (at.attempt >= p.attempts && p.attempts != unlimited) return stop(stop_reason::attempts_exhausted);
  if (at.nested) return stop(stop_reason::nested_limit);

  duration left = at.inherited;
  if (p.deadline != forever && p.deadline - at.elapsed < left) left = p.deadline - at.elapsed;
  if (left <= duration::zero()) return stop(stop_reason::deadline_reached);

  decision d{.again = true, .state = at.state};
  if (waits(p.backoff)) {
    d.wait = jittered_delay(p.backoff, p.jitter, at.attempt, draw, d.state);
    d.by = d.wait > duration::zero() ? wait_by::backoff : wait_by::none;
  }
  if (v.server_delay_too_long) return stop(stop_reason::server_delay_too_long);
  if (v.server_delay >= duration::zero()) {
    duration wished = v.server_delay;
    if (wished > p.server_delay_max) {
      if (p.server_delay_over == over_max::stop) return stop(stop_reason::server_delay_too_long);
      wished = p.server_delay_max;
    }
    const duration least = p.backoff.random() ? duration::zero() : delay_bounds(p.backoff, p.jitter, at.attempt).least;
    const duration above = d.wait - least;  // only the random part: all callers were told the same
    const duration asked = saturating_add(wished, above);
    if (asked >= d.wait && wished > duration::zero()) {
      d.wait = asked;
      d.by = wait_by::server;
    }
  }
  if (d.wait >= left && left != forever) return stop(stop_reason::deadline_too_near);
  return d;
}

// The plain case of `decide`: another attempt, without a wait.
[[gnu::always_inline]] constexpr bool again_at_once(const policy& p, const progress& at, const verdict& v) noexcept {
  return v.kind == disposition::transient && at.attempt < p.attempts && !waits(p.backoff) &&
         v.server_delay < duration::zero() && !v.server_delay_too_long && !at.nested && p.deadline > at.elapsed &&
         at.inherited > duration::zero();
}

}  // namespace detail

/// Decides. `draw` is uniform in [0, 1); it only matters where the policy has jitter. Never throws, allocates or overflows.
///
/// Order: what the error says; how many attempts are left; what the server asked for; what still fits before the deadline.
/// A server's delay is never shortened: jitter is added above it. A wait that would not end before the deadline is not begun.
[[gnu::always_inline]] constexpr decision decide(const policy& p, const progress& at, const verdict& v,
                                                 double draw) noexcept {
  if (detail::again_at_once(p, at, v)) return decision{.again = true, .state = at.state};
  const progress stands = at;  // copies: the caller's may then stay in registers
  const verdict said = v;
  return detail::weigh(p, stands, said, draw);
}

}  // namespace AGAIN_ABI
}  // namespace again
