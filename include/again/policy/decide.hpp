// SPDX-License-Identifier: MIT
/// \file
/// `decide`: whether a failed attempt is followed by another one, after which wait, or why not. It is a pure function of the
/// policy, the progress of the call, the verdict of the last error and a random draw. `retry`, `explain` and `worst_case` all
/// call it; nothing else decides.
///
/// ```cpp
/// constexpr auto d = again::decide(polite, {.attempt = 1}, {.kind = again::disposition::transient}, 0.5);
/// static_assert(d.again && d.wait == 50ms);
/// ```
#pragma once

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
constexpr std::string_view name(wait_by by) noexcept {
  switch (by) {
    case wait_by::none: return "none";
    case wait_by::backoff: return "backoff";
    case wait_by::server: return "server";
  }
  return "unknown";
}

/// How far a call has got when an attempt has failed.
struct progress {
  int attempt = 1;               ///< the attempt that has just failed, from 1
  duration elapsed{};            ///< since the start of the first attempt
  duration inherited = forever;  ///< what is left until the deadline of the awaiting coroutine
  bool nested = false;           ///< inside a repeated attempt of an outer retry: no further attempt is allowed
  backoff_state state{};         ///< from the last decision
};

/// What follows a failed attempt.
struct decision {
  bool again = false;                                  ///< another attempt follows
  duration wait{};                                     ///< before the next attempt; when `again`
  wait_by by = wait_by::none;                          ///< who asked for it
  stop_reason stop = stop_reason::attempts_exhausted;  ///< when not `again`
  backoff_state state{};                               ///< for the next `progress`

  friend constexpr bool operator==(const decision&, const decision&) = default;
};

/// Decides. `draw` is uniform in [0, 1) and matters only where the policy has jitter. It never throws, allocates or overflows.
///
/// It asks in this order: what the error says, how many attempts are left, what the server asked for, what still fits before the
/// deadline. A server's delay is never shortened: jitter is added to it. A wait that would not end before the deadline is a stop.
[[gnu::noinline]] constexpr decision decide(const policy& p, const progress& at, const verdict& v,
                                            double draw) noexcept {
  const auto stop = [&](stop_reason why) { return decision{.again = false, .stop = why, .state = at.state}; };
  if (v.kind != disposition::transient) return stop(detail::stop_reason_of(v.kind));
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
    const duration above = d.wait - least;  // the random part alone: the server named the same time to all callers
    const duration asked = saturating_add(wished, above);
    if (asked >= d.wait && wished > duration::zero()) {
      d.wait = asked;
      d.by = wait_by::server;
    }
  }
  if (d.wait >= left && left != forever) return stop(stop_reason::deadline_too_near);
  return d;
}

}  // namespace AGAIN_ABI
}  // namespace again
