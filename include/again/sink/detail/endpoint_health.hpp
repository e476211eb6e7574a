// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_health`: may an attempt be sent to an endpoint now, and if not, when? From what was set by hand, from what the endpoint has
/// said (410, Retry-After), and from how the last attempts ended (the circuit breaker, and failures that last). Time is passed in. One
/// thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/policy/verdict.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/breaker_rules.hpp>
#include <again/sink/endpoint_state.hpp>

#include <algorithm>
#include <optional>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class endpoint_health {
 public:
  /// Without `rules` there is no circuit breaker.
  explicit endpoint_health(const std::optional<breaker_rules>& rules) {
    if (rules) breaker_.emplace(*rules);
  }

  /// True: an attempt may be sent. `outcome` is to be told how it ended.
  bool admit(time_point now, breaker::permit& outcome) noexcept {
    const endpoint_state s = state(now);
    if (s != endpoint_state::available && s != endpoint_state::probing) return false;
    if (!breaker_) return true;
    outcome = breaker_->admit(now);
    return static_cast<bool>(outcome);
  }

  void succeeded(time_point now, breaker::permit& outcome) noexcept {
    failing_since_ = never;
    failures_ = 0;
    outcome.succeeded(now);
  }
  /// An attempt has failed like that. A wish to be asked later is obeyed; it says that the endpoint is alive.
  void failed(const verdict& v, duration longest_pause, time_point now, breaker::permit& outcome) noexcept {
    if (v.kind != disposition::aborted) {
      failing_since_ = std::min(failing_since_, now);
      ++failures_;
    }
    if (v.kind == disposition::transient && v.server_delay > duration::zero()) {
      paused_until_ = std::max(paused_until_, saturating_add(now, std::min(v.server_delay, longest_pause)));
      return outcome.abandon();
    }
    switch (breaker_outcome_of(v, false)) {
      case breaker_outcome::good: return outcome.succeeded(now);
      case breaker_outcome::bad: return outcome.failed(now);
      case breaker_outcome::nothing: return outcome.abandon();
    }
  }

  /// Nothing is sent until `resume`. `as`: paused or disabled.
  void hold(endpoint_state as, endpoint_reason why) noexcept {
    held_ = as;
    why_ = why;
  }
  /// Nothing is sent before that time, as after Retry-After.
  void pause_until(time_point until) noexcept { paused_until_ = until; }
  /// Attempts are sent, as if nothing had ever failed.
  void resume(time_point now) noexcept {
    held_.reset();
    paused_until_ = time_point{duration::min()};
    failing_since_ = never;
    failures_ = 0;
    if (breaker_) breaker_->close(now);
  }
  /// What was known before a restart.
  void failing_since(time_point since) noexcept { failing_since_ = since; }

  endpoint_state state(time_point now) const noexcept {
    if (held_) return *held_;
    if (now < paused_until_) return endpoint_state::paused;
    if (!breaker_) return endpoint_state::available;
    switch (breaker_->state()) {
      case breaker_state::closed: return endpoint_state::available;
      case breaker_state::open: return now < breaker_->until() ? endpoint_state::breaker_open : endpoint_state::probing;
      case breaker_state::half_open:
      case breaker_state::isolated: return endpoint_state::probing;
    }
    return endpoint_state::available;
  }
  endpoint_reason reason(time_point now) const noexcept {
    if (held_) return why_;
    if (now < paused_until_) return endpoint_reason::retry_after;
    return state(now) == endpoint_state::available ? endpoint_reason::none : endpoint_reason::circuit_breaker;
  }
  /// Until `resume` is called.
  bool held() const noexcept { return held_.has_value(); }
  bool disabled() const noexcept { return held_ == endpoint_state::disabled; }
  /// Of a paused endpoint or an open breaker: when the next attempt may be sent. `never`: it is held.
  time_point opens_at() const noexcept {
    if (held_) return never;
    const bool open = breaker_ && breaker_->state() == breaker_state::open;
    return open ? std::max(paused_until_, breaker_->until()) : paused_until_;
  }
  /// The first failure after the last success; `never`: there is none.
  time_point failing_since() const noexcept { return failing_since_; }
  /// At least `least` failures in a row, over more than `span`.
  bool failing_for(duration span, int least, time_point now) const noexcept {
    return failures_ >= least && failing_since_ != never && now - failing_since_ > span;
  }

 private:
  std::optional<endpoint_state> held_;
  endpoint_reason why_{};
  time_point paused_until_{duration::min()};
  time_point failing_since_ = never;
  int failures_ = 0;
  std::optional<breaker> breaker_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
