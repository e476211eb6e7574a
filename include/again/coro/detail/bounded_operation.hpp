// SPDX-License-Identifier: MIT
/// \file
/// `.stop(token)` and `.within(duration)` of the combinators and of an HTTP send: a base that gives them, and the operation
/// that they return.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/detail/await_bounds.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Op> class bounded_operation;

/// Base of an operation `Self` of ours: what both members return is again an operation, and can be awaited.
template <class Self> class has_bounds {
 public:
  /// Stops it when stop is requested of `token`, beside the stop token of the awaiting context: for coroutines that have no
  /// context, and for one call alone. The source outlives the await.
  auto stop(inplace_stop_token token) && { return bounded_operation<Self>{take()}.and_stop(token); }
  /// A nearer deadline: `d` from each start on, or that of the awaiting context, whichever ends first. The result is that of
  /// the operation, which says why it ended.
  auto within(duration_with_unit d) && { return bounded_operation<Self>{take()}.and_within(d); }

 private:
  friend Self;
  has_bounds() = default;
  Self&& take() noexcept { return static_cast<Self&&>(*this); }
};

template <class Op> class [[nodiscard("nothing runs until it is awaited: write co_await before it")]] bounded_operation
    : public not_awaited<bounded_operation<Op>, typename std::invoke_result_t<Op&>::result_type> {
 public:
  using run_type = bounded_run<std::invoke_result_t<Op&>>;

  explicit bounded_operation(Op&& op) : op_(std::move(op)) {}

  bounded_operation stop(inplace_stop_token token) && { return std::move(*this).and_stop(token); }
  bounded_operation within(duration_with_unit d) && { return std::move(*this).and_within(d); }

  run_type operator()() & { return run_type{bounds_, op_}; }
  auto operator co_await() & { return holding_awaiter<run_type>{std::in_place, bounds_, op_}; }
  auto operator co_await() && { return holding_awaiter<run_type>{std::in_place, bounds_, op_}; }
  bool repeatable() const { return is_repeatable(op_); }
  // For the rules of nesting (combinator/order_rules.hpp): as the operation inside.
  static constexpr bool never_fails = requires { requires Op::never_fails; };
  static constexpr bool hedges = requires { requires Op::hedges; };

 private:
  friend has_bounds<Op>;
  bounded_operation and_stop(inplace_stop_token token) && {
    bounds_.stop = token;
    return std::move(*this);
  }
  bounded_operation and_within(duration d) && {
    bounds_.add(d);
    return std::move(*this);
  }

  Op op_;
  await_bounds bounds_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
