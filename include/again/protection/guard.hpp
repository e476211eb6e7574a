// SPDX-License-Identifier: MIT
/// \file
/// `guard(breaker, operation)`: sends through a circuit breaker, and fails at once while it is open.
///
/// ```cpp
/// again::breaker quotes;
/// auto quote = co_await again::guard(quotes, api.get("/quote"));
/// ```
///
/// - Result: `expected<T, failure<E>>`; `stop_reason::breaker_open` with no error when it was refused: nothing was sent.
/// - To wait for the breaker instead of failing, attach it to the retry: `retry(polite, op).breaker(quotes)`.
/// - Exceptions pass and say nothing of the peer. Cancellation: what our own stop cut short says nothing of the peer either;
///   a probe's place is free again.
/// - A peer that hangs: an attempt that the `attempt_timeout` of the retry around it cuts short counts as a failure, and so
///   does any bound inside: `guard(breaker, timeout(1s, op))`. A bound around it that is no attempt's, such as
///   `timeout(1s, guard(breaker, op))`, is the caller's patience and says nothing of the peer.
/// - Lifetime: refers to the breaker. Cost: see `breaker`; the clock once, twice after recent failures; no allocation unless it
///   fails.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/combinator/order_rules.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/detail/admission_run.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

class guard_ticket {
 public:
  static constexpr bool timed = true;
  explicit guard_ticket(breaker& shared) noexcept : call_{shared} {}
  template <class Waiter> admission ask(time_point now, scheduler&, Waiter&&) noexcept {
    if (call_.admit(now)) return {};
    return {.said = admission::state::refused, .reason = stop_reason::breaker_open};
  }
  void withdraw() noexcept { call_.abandon(); }
  void ended(lazy_time& now, const admission_outcome& how) noexcept {
    if (how.ok) {
      if (!call_.succeeded_if_quiet()) call_.succeeded(now());
    } else if (how.failed != nullptr) {
      call_.failed(now(), *how.failed, how.timed_out);
    } else {
      call_.abandon();
    }
  }

 private:
  breaker::call call_;
};

}  // namespace detail

template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto guard(breaker& shared, Op&& op) {
  static_assert(
      !detail::never_fails<std::decay_t<Op>>,
      "again::guard: a fallback that cannot fail hides every failure from the breaker; put the breaker inside: "
      "fallback(guard(breaker, op), value)");
  return detail::admission_operation<std::decay_t<Op>, breaker, detail::guard_ticket>{shared, std::forward<Op>(op)};
}

// A mistake, told in one sentence.
template <class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto guard(breaker&, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>, 0>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
