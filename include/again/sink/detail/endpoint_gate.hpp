// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_gate`: one endpoint as the `dispatcher` sees it: its places, its health, its rate, its retry budget, and the attempts that
/// wait for it. One loop, one thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/intrusive_list.hpp>
#include <again/coro/scheduler.hpp>
#include <again/policy/verdict.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/budget.hpp>
#include <again/protection/rate.hpp>
#include <again/sink/detail/attempt_waiter.hpp>
#include <again/sink/detail/counts.hpp>
#include <again/sink/detail/endpoint_health.hpp>
#include <again/sink/endpoint_state.hpp>
#include <again/sink/options.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class dispatcher;

/// Attempts that wait, first come, first served; retries go before first attempts.
struct attempt_lines {
  using line = intrusive_list<attempt_waiter>;
  line retries, firsts;
  bool empty() const noexcept { return retries.empty() && firsts.empty(); }
};

/// Its timer wakes the dispatcher when attempts may be sent there again.
class endpoint_gate : public timer {
 public:
  endpoint_gate(dispatcher& d, const endpoint& e, endpoint_numbers& n)
      : owner{d},
        health{e.breaker},
        numbers{n},
        places_{static_cast<std::size_t>(e.in_flight)},
        longest_pause_{std::min<duration>(e.rules.max_retry_after, e.policy.server_delay_max)},
        disable_after_{e.disable_after},
        gone_disables_{e.gone_disables} {
    fire = &woken;
    if (e.rate) rate_.emplace(rates{e.rate->per_second, e.rate->burst, duration::zero()});
    if (e.budget) budget_.emplace(*e.budget);
  }

  bool closed() const noexcept { return shown != endpoint_state::available; }
  bool has_room() const noexcept { return taken < places_; }
  bool in_time(time_point now) const noexcept { return !rate_ || rate_->next_turn(now) <= now; }
  /// May an event that was sent here before be sent here again? A yes holds until it is used.
  bool may_repeat(time_point now) noexcept {
    if (budget_ && !repeat_) repeat_ = budget_->reserve(now);
    return !budget_ || static_cast<bool>(repeat_);
  }
  /// An attempt is let through.
  void begin(bool repeats, time_point now) noexcept {
    ++taken;
    numbers.in_flight.add(1);
    if (rate_) static_cast<void>(rate_->turn(now));
    if (!budget_) return;
    if (!repeats) return budget_->first_attempt(now);
    repeat_.sent();
    repeat_.give_back();
  }
  void end() noexcept {
    --taken;
    numbers.in_flight.add(-1);
  }
  /// An attempt has failed. `code`: the status of the response.
  void failed(const verdict& v, int code, std::string error, time_point now, breaker::permit& outcome) noexcept {
    health.failed(v, longest_pause_, now, outcome);
    last_error = std::move(error);
    if (health.disabled()) return;
    if (code == gone && gone_disables_) {
      health.hold(endpoint_state::disabled, endpoint_reason::gone);
    } else if (disable_after_ != forever && health.failing_for(disable_after_, least_failures, now)) {
      health.hold(endpoint_state::disabled, endpoint_reason::failing);
    }
  }
  /// When an attempt that waits may perhaps be sent. `never`: when something else happens. `others_repeat`: so may attempts that wait elsewhere.
  time_point next_chance(time_point now, bool others_repeat) noexcept {
    if (closed() && health.opens_at() > now) return health.opens_at();
    time_point first = never;
    if (rate_ && rate_->next_turn(now) > now) first = rate_->next_turn(now);
    if ((others_repeat || !lines.retries.empty()) && !may_repeat(now))
      first = std::min(first, saturating_add(now, budget_pause));
    return first;
  }

  dispatcher& owner;
  std::size_t taken = 0;
  std::size_t waiting = 0;  // in `lines`
  endpoint_health health;
  endpoint_state shown = endpoint_state::available;
  endpoint_reason reason = endpoint_reason::none;
  std::optional<time_point> since;  // of what is shown
  std::string last_error;
  endpoint_numbers& numbers;
  attempt_lines lines;

 private:
  static void woken(timer& t) noexcept;  // of the dispatcher
  static constexpr int gone = 410, least_failures = 10;
  static constexpr duration budget_pause = std::chrono::milliseconds{100};  // it fills up with time

  const std::size_t places_;
  const duration longest_pause_, disable_after_;
  const bool gone_disables_;
  std::optional<rate_limiter> rate_;
  std::optional<budget> budget_;
  budget::reservation repeat_;  // for the next one
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
