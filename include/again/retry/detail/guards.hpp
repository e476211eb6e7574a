// SPDX-License-Identifier: MIT
/// \file
/// What a retry shares with others: a budget, a breaker. Each is a type, so that an absent one costs nothing, and neither
/// header is needed by a retry that has none.
#pragma once

#include <again/core/clock.hpp>
#include <again/policy/verdict.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Stands for a budget that is not there: it grants everything.
struct no_budget {
  struct call {
    explicit call(no_budget*) noexcept {}
    void first_attempt(time_point) const noexcept {}
    void retry_sent() const noexcept {}
    static bool failed(time_point, const verdict&, bool, bool again) noexcept { return again; }
    void succeeded() const noexcept {}
    void end() const noexcept {}
  };
};
/// Stands for a breaker that is not there: it lets everything through.
struct no_breaker {
  struct call {
    explicit call(no_breaker*) noexcept {}
    static bool admit(time_point) noexcept { return true; }
    static time_point ask_at() noexcept { return never; }
    void failed(time_point, const verdict&, bool) const noexcept {}
    static bool succeeded_if_quiet() noexcept { return true; }
    void succeeded(time_point) const noexcept {}
    void abandon() const noexcept {}
  };
};

template <class Budget = no_budget, class Breaker = no_breaker> struct retry_guards {
  Budget* budget = nullptr;
  Breaker* breaker = nullptr;

  /// One call's dealings with both.
  class call {
   public:
    explicit call(const retry_guards& shared) noexcept : budget_{shared.budget}, breaker_{shared.breaker} {}

    /// An attempt is to be made: may it? If so it counts as sent. `repeated`: the call itself is one of an outer retry's further
    /// attempts, so that its first one is not a first attempt.
    bool admit(time_point now, bool repeated = false) noexcept {
      if (!breaker_.admit(now)) {
        ++refusals_;
        return false;
      }
      if (begun_) {
        budget_.retry_sent();
      } else if (!repeated) {
        budget_.first_attempt(now);
      }
      begun_ = true;
      return true;
    }
    /// Of a refusal: when to ask again.
    time_point ask_at() const noexcept { return breaker_.ask_at(); }
    int refusals() const noexcept { return refusals_; }
    /// An attempt has failed; `again`: another one is wanted. True: it may be made.
    bool failed(time_point now, const verdict& v, bool timed_out, bool again) noexcept {
      breaker_.failed(now, v, timed_out);
      return budget_.failed(now, v, timed_out, again);
    }
    /// `now()` reads the clock: a success mostly needs none.
    template <class Now> void succeeded(Now&& now) noexcept {
      if (!breaker_.succeeded_if_quiet()) breaker_.succeeded(now());
      budget_.succeeded();
      budget_.end();
    }
    /// It is over without a value: gives back what was reserved and not sent.
    void end() noexcept {
      breaker_.abandon();
      budget_.end();
    }

   private:
    typename Budget::call budget_;
    typename Breaker::call breaker_;
    int refusals_ = 0;
    bool begun_ = false;
  };
};

/// Neither: no size, and nothing is asked.
template <> struct retry_guards<no_budget, no_breaker> {
  struct call {
    explicit call(const retry_guards&) noexcept {}
  };
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
