// SPDX-License-Identifier: MIT
/// \file
/// `guard(breaker, operation)`: sends through a circuit breaker, and fails at once while the breaker is open.
///
/// ```cpp
/// again::breaker quotes;
/// auto quote = co_await again::guard(quotes, api.get("/quote"));
/// ```
///
/// - Result: `expected<T, failure<E>>`; `stop_reason::breaker_open` with no error when it was refused: nothing was sent.
/// - To wait for the breaker instead of failing, attach it to the retry: `retry(polite, op).breaker(quotes)`.
/// - Exceptions pass and count neither as a success nor as a failure. A call that our own stop cut short does not count either.
///   In both cases the place of a probe becomes free.
/// - A peer that hangs: an attempt that the `attempt_timeout` of the retry around it cuts short counts as a failure, and so
///   does one that a bound inside ends: `guard(breaker, timeout(1s, op))`. A bound around it that is not an attempt's, such as
///   `timeout(1s, guard(breaker, op))`, is the caller's patience and does not count.
/// - Lifetime: refers to the breaker. Cost: see `breaker`; reads the clock once, twice after recent failures; no allocation
///   unless it fails.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/combinator/order_rules.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/detail/admission_run.hpp>
#include <again/protection/detail/guard_ticket.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {
struct guard_order {
  template <class Op> static consteval bool check() {
    static_assert(
        !never_fails<Op>,
        "again::guard: a fallback that cannot fail hides every failure from the breaker; put the breaker inside: "
        "fallback(guard(breaker, op), value)");
    return true;
  }
};
}  // namespace detail

template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto guard(breaker& shared, Op&& op) {
  static_assert(detail::guard_order::check<std::decay_t<Op>>());
  return detail::admission_operation<detail::stored_t<Op>, breaker, detail::guard_ticket>{shared, std::forward<Op>(op)};
}

// A mistake, told in one sentence.
template <class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto guard(breaker&, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
