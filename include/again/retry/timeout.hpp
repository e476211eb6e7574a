// SPDX-License-Identifier: MIT
/// \file
/// `timeout(d, operation)`: one attempt with a deadline. It is a retry with `.attempts = 1` and `.deadline = d`.
///
/// ```cpp
/// auto page = co_await again::timeout(2s, api.get("/slow"));                      // a bound on one send
/// auto all = co_await again::timeout(10s, again::retry(polite, api.get("/x")));   // a bound on a whole retry
/// ```
///
/// - Result: `expected<T, failure<E>>`. Past the deadline the reason is `stop_reason::deadline_reached`, with the last
///   real error if there is one. Else the failure is the operation's own.
/// - Errors: throws `std::invalid_argument` if `d` is not positive. Rethrows an exception of the operation.
/// - Cancellation: at the deadline, the running attempt is asked to stop and then awaited. So it cannot outlive the
///   await.
/// - Lifetime and thread: those of a retry.
/// - Cost: one clock read at the start, which a retry or timeout directly inside reuses, and one after a failure. A
///   timer is armed only if the operation does not finish at once.
#pragma once

#include <again/coro/detail/unnamed_closure.hpp>
#include <again/retry/retry.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto timeout(duration_with_unit d, Op&& op) {
  return retry_operation<detail::stored_t<Op>, detail::once_hooks>{d, std::forward<Op>(op)};
}

// Any other argument is a mistake: one compile error says how to fix it.
template <class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto timeout(duration_with_unit, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>>();
  return detail::misused{};
}
template <class Op>
  requires(!std::convertible_to<Op, duration_with_unit>)
auto timeout(Op&&, duration_with_unit) {
  static_assert(std::convertible_to<Op, duration_with_unit>,
                "again::timeout: the duration comes first; write timeout(5s, op)");
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
