// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_health`: may an attempt be sent to an endpoint now, and if not, when? From what the endpoint has said (Retry-After) and
/// from how the last attempts ended (the circuit breaker). Time is passed in. One thread.
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
    if (s == endpoint_state::paused || s == endpoint_state::breaker_open) return false;
    if (!breaker_) return true;
    outcome = breaker_->admit(now);
    return static_cast<bool>(outcome);
  }

  /// An attempt has failed like that. A wish to be asked later is obeyed; it says that the endpoint is alive.
  void failed(const verdict& v, duration longest_pause, time_point now, breaker::permit& outcome) noexcept {
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

  endpoint_state state(time_point now) const noexcept {
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
  /// Of a paused endpoint or an open breaker: when the next attempt may be sent.
  time_point opens_at() const noexcept {
    const bool open = breaker_ && breaker_->state() == breaker_state::open;
    return open ? std::max(paused_until_, breaker_->until()) : paused_until_;
  }

 private:
  time_point paused_until_{duration::min()};
  std::optional<breaker> breaker_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
