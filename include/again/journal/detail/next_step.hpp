// SPDX-License-Identifier: MIT
/// \file
/// `next_step`: what follows when a sink has given the result of an event. Pure functions of the result, the schedule and the times.
#pragma once

#include <again/core/clock.hpp>
#include <again/journal/event_record.hpp>
#include <again/policy/decide.hpp>
#include <again/sink/delivery.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {
namespace detail {

enum class next_action : std::uint8_t {
  done,       ///< every endpoint has taken it
  dead,       ///< it is given up
  again,      ///< another delivery follows, after a wait
  give_back,  ///< we were stopped: it is nobody's fault, and another worker may go on at once
};

struct next_step {
  next_action action{};
  duration wait{};            ///< of `again`
  std::string_view reason{};  ///< of `dead`; static storage
  int status = 0;             ///< of the last response

  friend bool operator==(const next_step&, const next_step&) = default;
};

/// What the end of one delivery means for the event.
enum class ending_kind : std::uint8_t { transient, final, cancelled };
constexpr ending_kind kind_of(stop_reason why) noexcept {
  switch (why) {
    case stop_reason::permanent:
    case stop_reason::not_replayable:
    case stop_reason::server_forbade: return ending_kind::final;
    case stop_reason::cancelled_before_start:
    case stop_reason::cancelled_in_attempt:
    case stop_reason::cancelled_in_delay: return ending_kind::cancelled;
    case stop_reason::attempts_exhausted:
    case stop_reason::deadline_reached:
    case stop_reason::deadline_too_near:
    case stop_reason::server_delay_too_long:
    case stop_reason::budget_exhausted:
    case stop_reason::breaker_open:
    case stop_reason::overloaded:
    case stop_reason::nested_limit:
    case stop_reason::endpoint_paused:
    case stop_reason::endpoint_disabled: return ending_kind::transient;
  }
  return ending_kind::final;
}

/// Adds a delivery, which began at `began` and ended at `now`, to what is known of its event.
inline void add(progress& p, const delivery& d, wall_time began, wall_time now) {
  const int sends = d.attempts();
  p.attempts += sends;
  if (sends > 0) {
    ++p.deliveries;
    p.first_attempt = std::min(p.first_attempt, began);
    p.last_attempt = now;
  }
  const bool named = d.outcomes.size() > 1 || !d.event.only.empty();  // else any one endpoint does
  if (named && !d.outcomes.empty()) p.only.clear();
  for (const endpoint_outcome& o : d.outcomes) {
    if (o.result) continue;
    if (const http::error* const e = o.result.error().error()) p.last_error = e->text();
    if (!named) continue;
    auto& to = kind_of(o.result.error().reason()) == ending_kind::final ? p.refused : p.only;
    to.emplace_back(o.endpoint);
  }
}

/// What follows. `p` has the delivery in it. `draw` is uniform in [0, 1).
inline next_step after(const delivery& d, const progress& p, const policy& schedule, wall_time deadline, wall_time now,
                       double draw) {
  next_step step;
  std::optional<stop_reason> final_reason;
  bool transient = false, cancelled = false;
  verdict v{.kind = disposition::transient};
  const auto see = [&](stop_reason why) {
    const ending_kind kind = kind_of(why);
    transient = transient || kind == ending_kind::transient;
    cancelled = cancelled || kind == ending_kind::cancelled;
    if (kind == ending_kind::final) final_reason = why;
  };
  for (const endpoint_outcome& o : d.outcomes) {
    if (o.result) {
      step.status = o.result->status;
      continue;
    }
    see(o.result.error().reason());
    if (const http::error* const e = o.result.error().error()) {
      step.status = e->status();
      v.server_delay = std::max(v.server_delay, e->verdict().server_delay);
    }
  }
  if (d.outcomes.empty()) see(d.not_begun.value_or(stop_reason::cancelled_before_start));

  const auto give_up = [&step](stop_reason why) {
    step.action = next_action::dead;
    step.reason = name(why);
    return step;
  };
  if (!transient && !cancelled) {
    if (final_reason || !p.refused.empty()) return give_up(final_reason.value_or(stop_reason::permanent));
    step.action = next_action::done;
    return step;
  }
  if (deadline != no_time && now >= deadline) return give_up(stop_reason::deadline_reached);
  if (cancelled) {
    step.action = next_action::give_back;
    return step;
  }
  const again::progress at{.attempt = std::max(p.deliveries, 1),
                           .elapsed = p.first_attempt == no_time ? duration::zero()
                                                                 : std::max(now - p.first_attempt, duration::zero()),
                           .inherited = deadline == no_time ? forever : deadline - now};
  const decision decided = decide(schedule, at, v, draw);
  if (!decided.again) return give_up(decided.stop);
  step.action = next_action::again;
  step.wait = decided.wait;
  return step;
}

/// Before the nth call after a failed one.
inline duration pause(int n) noexcept {
  return std::min<duration>(std::chrono::milliseconds{50} * (1 << std::min(n, 7)), std::chrono::seconds{5});
}

}  // namespace detail
}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
