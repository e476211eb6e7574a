// SPDX-License-Identifier: MIT
/// \file
/// `fallback(operation, instead)`: what to give when an operation has failed.
///
/// ```cpp
/// auto quote = co_await again::fallback(again::retry(polite, api.get("/quote")), cached);                // a value
/// auto q = co_await again::fallback(first, [](const auto& why) { return stale(why.reason()); });         // a function of the error
/// auto s = co_await again::fallback(first, stale).when([](const auto& why) { return why.attempts() > 0; });   // only of these failures
/// auto r = co_await again::fallback(again::retry(polite, near.get("/x")), again::retry(polite, far.get("/x")));   // another operation
/// ```
///
/// - `instead` is an operation with the same value, or a function of the error (`const E&`, no coroutine) or none, or a value.
/// - Result: `expected<T, E2>`, where `E2` is the error of the other operation; with a function or a value it is the first's `E`,
///   and it holds an error only after a stop request.
/// - `.when(pred)`: `pred(const E&)` says which failures get the substitute. Any other failure is the result, so that both must
///   fail with the same `E` (or the other's `E2` can be made of it).
/// - After a stop request there is no substitute: the first error is the result. With another operation, whose error may be of
///   another type, that operation is started and sees the stop request itself.
/// - Exceptions of either, and of `pred`, pass.
/// - A fallback that cannot fail inside of `retry`, `hedge` or `guard` does not compile.
/// - Cost: none when the first one succeeds; no allocation.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>
#include <again/protection/detail/fallback_run.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// What `fallback` returns: awaitable, and an operation.
template <fallible_operation Op, class Instead, class When = detail::any_failure>
class [[nodiscard("nothing runs until it is awaited: write co_await before it")]] fallback_operation
    : public detail::not_awaited<fallback_operation<Op, Instead, When>,
                                 typename detail::fallback_run<Op, Instead, When>::result_type>,
      public detail::has_bounds<fallback_operation<Op, Instead, When>> {
 public:
  static constexpr bool never_fails = !fallible_operation<Instead> && std::same_as<When, detail::any_failure>;
  using run_type = detail::fallback_run<Op, Instead, When>;

  fallback_operation(Op op, Instead instead, When pred = {})
      : parts_{std::move(op), std::move(instead), std::move(pred)} {}

  /// Which failures get the substitute: `pred(const E&)`.
  template <class Pred> auto when(Pred&& pred) && {
    using stored = detail::stored_t<Pred>;
    static_assert(
        std::predicate<stored&, const detail::op_error<Op>&>,
        "again::fallback(...).when(pred): pred must take const E& of the operation's expected<T, E> and return "
        "bool");
    if constexpr (fallible_operation<Instead>) {
      static_assert(std::constructible_from<detail::op_error<Instead>, detail::op_error<Op>>,
                    "again::fallback(...).when(pred): a failure without a substitute is the result, so that the "
                    "substitute must fail with the same error type");
    }
    return fallback_operation<Op, Instead, stored>{std::move(parts_.op), std::move(parts_.instead),
                                                   stored(std::forward<Pred>(pred))};
  }

  run_type operator()() & { return run_type{parts_}; }
  auto operator co_await() & { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }
  auto operator co_await() && { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }
  bool repeatable() const {
    if constexpr (fallible_operation<Instead>) return is_repeatable(parts_.op) && is_repeatable(parts_.instead);
    return is_repeatable(parts_.op);
  }

 private:
  detail::fallback_parts<Op, Instead, When> parts_;
};

namespace detail {
struct fallback_order {
  template <class Op> static consteval bool check() {
    static_assert(!never_fails<Op>, "again::fallback: this operation cannot fail, it has a fallback already");
    return true;
  }
};
}  // namespace detail

template <class Op, class Instead>
  requires fallible_operation<std::decay_t<Op>>
auto fallback(Op&& op, Instead&& instead) {
  static_assert(detail::substitutes<std::decay_t<Instead>, std::decay_t<Op>>,
                "again::fallback: the substitute must be an operation that gives an expected of the same value, a "
                "function of the "
                "error (or of nothing) that returns such a value, or such a value");
  static_assert(detail::fallback_order::check<std::decay_t<Op>>());
  return fallback_operation<detail::stored_t<Op>, detail::stored_t<Instead>>{std::forward<Op>(op),
                                                                             std::forward<Instead>(instead)};
}

// A mistake, told in one sentence.
template <class Wrong, class Instead>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto fallback(Wrong&&, Instead&&) {
  detail::explain_misuse<std::decay_t<Wrong>>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
