// SPDX-License-Identifier: MIT
/// \file
/// `hedge(how, operation)`: a second attempt before the first has failed; the first success wins. Against a slow tail (Dean and
/// Barroso, "The Tail at Scale", 2013), not against failures: those are `retry`'s.
///
/// ```cpp
/// auto a = co_await again::hedge({.delay = 50ms}, api.get("/quote"));                      // after 50 ms, one more
/// auto b = co_await again::hedge({.after = &seen}, api.get("/quote")).budget(shared);      // after the 95th percentile, within a budget
/// auto c = co_await again::retry(polite, again::hedge({.delay = 50ms}, api.get("/quote")));
/// ```
///
/// - Result: `expected<T, failure<E>>`: the first value; if every attempt failed the last real error, counting all sends. An
///   attempt that fails early does not bring the next one forward.
/// - The losers are asked to stop and are awaited before the result is given: their sockets are closed, and no attempt is left
///   running.
/// - An operation that is not safe to send twice (see `is_repeatable`) is sent once. So is any operation inside a repeated
///   attempt of an outer retry: attempts of the layers add up and do not multiply. A hedge's further attempts count as
///   repeated.
/// - Budget: the call deposits, unless it is a repeated attempt of an outer retry; each further attempt withdraws; without a
///   token there is none. A hedge's cost is not returned. One layer holds the budget: this one or a retry around it, not both.
/// - Exceptions stop the others, which are awaited; then it is rethrown. Cancellation reaches all attempts.
/// - Throws `std::invalid_argument` for a `how` that makes no sense.
/// - Cost: room for four attempts in the awaiting frame; no allocation unless it fails. A timer for each call.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/combinator/order_rules.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>
#include <again/protection/budget.hpp>
#include <again/protection/detail/hedge_run.hpp>
#include <again/protection/latency.hpp>

#include <concepts>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

struct hedging {
  duration_with_unit delay = std::chrono::milliseconds{100};  ///< before each further attempt, unless `after` is set
  latency* after = nullptr;  ///< the delay is this one's quantile, which learns from the calls
  int attempts = 2;          ///< sends in all, the first included; at most 4
};

/// What `hedge` returns: awaitable, and an operation.
template <fallible_operation Op> class [[nodiscard(
    "nothing runs until it is awaited: write co_await before it")]] hedge_operation
    : public detail::not_awaited<hedge_operation<Op>, typename detail::hedge_run<Op>::result_type>,
      public detail::has_bounds<hedge_operation<Op>> {
 public:
  static constexpr bool hedges = true;
  using run_type = detail::hedge_run<Op>;

  hedge_operation(const hedging& how, Op op) : parts_{std::move(op), how.delay, how.after, how.attempts} {
    if (how.delay < duration::zero()) throw std::invalid_argument{"again::hedging: delay must not be negative"};
    if (how.attempts < 1 || how.attempts > detail::hedge_most)
      throw std::invalid_argument{"again::hedging: attempts must be between 1 and 4"};
  }
  /// A budget shared with others; outlives the hedge.
  hedge_operation budget(again::budget& shared) && {
    parts_.shared = &shared;
    return std::move(*this);
  }
  run_type operator()() & { return run_type{parts_}; }
  auto operator co_await() & { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }
  auto operator co_await() && { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }
  bool repeatable() const { return is_repeatable(parts_.op); }

 private:
  detail::hedge_parts<Op> parts_;
};

namespace detail {
struct hedge_order {
  template <class Op> static consteval bool check() {
    static_assert(
        !repeats<Op>,
        "again::hedge: around a retry it would repeat the repeating; hedge inside: retry(policy, hedge(how, op))");
    static_assert(!is_hedge<Op>, "again::hedge: this operation is hedged already; set .attempts instead");
    static_assert(!never_fails<Op>, "again::hedge: a fallback that cannot fail wins at once; put the hedge inside: "
                                    "fallback(hedge(how, op), value)");
    return true;
  }
};
}  // namespace detail

template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto hedge(const hedging& how, Op&& op) {
  static_assert(detail::hedge_order::check<std::decay_t<Op>>());
  return hedge_operation<detail::stored_t<Op>>{how, std::forward<Op>(op)};
}

// A mistake, told in one sentence.
template <class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto hedge(const hedging&, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>>();
  return detail::misused{};
}
template <class First, class... Rest>
  requires(!std::convertible_to<First, const hedging&>)
auto hedge(First&&, Rest&&...) {
  static_assert(std::convertible_to<First, const hedging&>,
                "again::hedge: a hedging comes first; write hedge({}, op), or hedge({.delay = 50ms}, op)");
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
