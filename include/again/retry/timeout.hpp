// SPDX-License-Identifier: MIT
/// \file
/// `timeout(d, operation)`: one attempt with a deadline. The same as a retry with `.attempts = 1`: defined by it.
///
/// ```cpp
/// auto page = co_await again::timeout(2s, api.get("/slow"));                      // bound on one send
/// auto all = co_await again::timeout(10s, again::retry(polite, api.get("/x")));   // bound on all of a retry
/// ```
///
/// - Result: `expected<T, failure<E>>`; `stop_reason::deadline_reached` when the time was up, with the last real error beside
///   it if there is one; else the operation's own failure.
/// - When the time is up, stop is requested of what runs, and it is waited for: it can neither outlive the await nor be lost.
/// - Throws `std::invalid_argument` if `d` is not positive.
/// - Cost: reads the clock once before, which a retry or timeout right inside takes over, and once after a failure; a timer
///   only if the operation does not finish at once.
#pragma once

#include <again/coro/detail/unnamed_closure.hpp>
#include <again/retry/retry.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto timeout(duration d, Op&& op) {
  return retry_operation<detail::stored_t<Op>, detail::once_hooks>{d, std::forward<Op>(op)};
}

// A mistake, told in one sentence.
template <class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto timeout(duration, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>, 0>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
