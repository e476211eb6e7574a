// SPDX-License-Identifier: MIT
/// \file
/// `rate(limiter, operation)`, a rate limit: so many sends a second, with a burst. A token bucket whose callers wait their turn.
///
/// ```cpp
/// again::rate_limiter quota{{.per_second = 50, .burst = 10}};
/// auto quote = co_await again::retry(polite, again::rate(quota, api.get("/quote")));   // every attempt takes a token
/// ```
///
/// - Result: `expected<T, failure<E>>`; `overloaded` with no error if the turn would come later than `longest_wait`;
///   `deadline_too_near` if it would come after the inherited deadline. Nothing was sent.
/// - Turns are given in the order of asking, by one compare-and-swap (the generic cell rate algorithm, ITU-T I.371): over any
///   time t no more than burst + t × per_second sends. A turn that is not used (cancelled wait) goes to the next to ask if it
///   was the last one given; else it is lost.
/// - The default of `longest_wait` is the default deadline of a policy: a thousand calls at 50 a second all get their turn.
/// - `adaptive_rate` instead of `rate_limiter` learns the rate from throttling responses.
/// - Time is passed in. Threads: any. Lifetime: outlives its users. Cost: one atomic operation; no allocation.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/combinator/order_rules.hpp>
#include <again/core/clock.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>
#include <again/protection/detail/admission_run.hpp>
#include <again/protection/detail/rate_ticket.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

struct rates {
  double per_second = 100;
  int burst = 1;                                               ///< sends at once after a quiet time
  duration_with_unit longest_wait = std::chrono::seconds{30};  ///< for a turn; a later one is refused as overloaded
};

/// A sentence about the first impossible setting, or null if the settings are valid.
constexpr const char* complaint(const rates& r) noexcept {
  if (!(r.per_second >= 1e-3 && r.per_second <= 1e9))
    return "again::rates: per_second must be between 0.001 and a billion";
  if (r.burst < 1 || r.burst > 1'000'000) return "again::rates: burst must be between 1 and a million";
  if (r.longest_wait < duration::zero()) return "again::rates: longest_wait must not be negative";
  return nullptr;
}

/// A rate, shared by all callers of one peer.
class rate_limiter {
 public:
  /// Throws `std::invalid_argument` for a rate that makes no sense.
  explicit rate_limiter(const rates& r)
      : interval_{checked_interval(r)}, ahead_{interval_ * (r.burst - 1)}, longest_wait_{r.longest_wait} {}
  rate_limiter(const rate_limiter&) = delete;
  rate_limiter& operator=(const rate_limiter&) = delete;
  ~rate_limiter() = default;

  /// Takes the next turn and returns its time. Returns `never`, and takes none, if the turn would be later than `longest_wait`.
  time_point turn(time_point now) noexcept {
    const std::int64_t t = now.time_since_epoch().count();
    std::int64_t next = next_.load(std::memory_order_relaxed);
    std::int64_t at = 0;
    do {
      at = next - ahead_ > t ? next - ahead_ : t;
      if (at - t > longest_wait_.count()) {
        refused_.fetch_add(1, std::memory_order_relaxed);
        return never;
      }
    } while (!next_.compare_exchange_weak(next, (next > t ? next : t) + interval_, std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    return time_point{duration{at}};
  }
  /// When a caller that asked now would get its turn. Takes none.
  time_point next_turn(time_point now) const noexcept {
    const std::int64_t at = next_.load(std::memory_order_relaxed) - ahead_;
    return std::max(now, time_point{duration{at}});
  }
  /// Returns the turn at `at` unused. The next caller gets it if it was the last turn given. Else it is lost: only the last
  /// turn can be taken back.
  void give_back(time_point at) noexcept {
    const std::int64_t before = at.time_since_epoch().count() + ahead_;
    std::int64_t last = before + interval_;
    next_.compare_exchange_strong(last, before, std::memory_order_acq_rel, std::memory_order_relaxed);
  }
  /// The number of refused calls since construction.
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  // Rounded up to a nanosecond, so that no more is sent than was asked for.
  static std::int64_t checked_interval(const rates& r) {
    if (const char* const wrong = complaint(r)) throw std::invalid_argument{wrong};
    const double exact = 1e9 / r.per_second;
    const std::int64_t whole = static_cast<std::int64_t>(exact);
    return static_cast<double>(whole) < exact ? whole + 1 : whole;
  }
  std::int64_t interval_;  // ns between sends
  std::int64_t ahead_;     // how far before its regular time a send may go: the burst
  duration longest_wait_;
  std::atomic<std::int64_t> next_{0};  // the regular time of the next send
  std::atomic<std::uint64_t> refused_{0};
};

namespace detail {
struct rate_order {
  template <class Op> static consteval bool check() {
    static_assert(
        !repeats<Op>,
        "again::rate: around a retry it would not see the retries; put it inside: retry(policy, rate(limiter, op))");
    return true;
  }
};
}  // namespace detail

template <detail::rate_like Shared, class Op>
  requires fallible_operation<std::decay_t<Op>>
auto rate(Shared& shared, Op&& op) {
  static_assert(detail::rate_order::check<std::decay_t<Op>>());
  return detail::admission_operation<detail::stored_t<Op>, Shared, detail::rate_ticket<Shared>>{shared,
                                                                                                std::forward<Op>(op)};
}

// A mistake, told in one sentence.
template <detail::rate_like Shared, class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto rate(Shared&, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
