// SPDX-License-Identifier: MIT
/// \file
/// An *operation* can be started any number of times; each start makes an awaitable. It is what `retry` and the other
/// combinators take: a task runs once, but the function that makes the task can be called again.
///
/// ```cpp
/// again::retry(polite, api.get("/quote"))                // an HTTP operation
/// again::retry(polite, [&] { return load(db, id); })     // a function of yours
/// again::retry(polite, load, std::ref(db), id)           // the same: all attempts get the same copies of the arguments
/// again::once_only([&] { return place_order(db, id); })  // must not be sent twice: it is never hedged
/// ```
///
/// - `is_repeatable(op)` says whether the operation may be sent a second time while the first send may still take
///   effect. `hedge` asks it. An operation tells by a member `bool repeatable() const`: an HTTP send is repeatable if
///   its method is idempotent or it has an Idempotency-Key, and its body can be sent again. The combinators, `std::ref`
///   and `catching` pass on what the operation inside says. An operation that says nothing is repeatable; what must not
///   be sent twice has to say so, for example by `once_only`.
/// - Lifetime: an operation outlives the awaitables that it has made. Arguments given beside a function are copied into
///   the operation; share an object with `std::ref`.
#pragma once

#include <again/core/expected.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/unnamed_closure.hpp>

#include <concepts>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// A function without parameters that returns an awaitable.
template <class Op>
concept operation = std::invocable<Op&> && awaitable<std::invoke_result_t<Op&>>;

/// The result of awaiting one start of an operation, as a value where the awaitable gives a reference to what it owns.
template <operation Op> using operation_result_t = detail::owned_result_t<await_result_t<std::invoke_result_t<Op&>>>;

/// An operation that can be retried: its result says whether it failed.
template <class Op>
concept fallible_operation = operation<Op> && expected_result<operation_result_t<Op>>;

namespace detail {

// T without reference and const, or U& if T is std::reference_wrapper<U>. By std::make_tuple, to save including
// <functional>.
template <class T> using unwrapped =
    std::tuple_element_t<0, decltype(std::make_tuple(std::declval<std::decay_t<T>>()))>;
template <class T> inline constexpr bool is_reference_wrapper = std::is_reference_v<unwrapped<T>>;

/// How a copied argument is passed to the function: as const, or as the object that a reference wrapper refers to.
template <class T>
using passed_argument = std::conditional_t<is_reference_wrapper<T>, unwrapped<T>, const std::decay_t<T>&>;

template <class F, class... Args>
concept binds = std::invocable<std::decay_t<F>&, passed_argument<Args>...>;

}  // namespace detail

/// True if `op` may be sent a second time while the first send may still take effect.
template <class Op> bool is_repeatable(const Op& op) {
  if constexpr (detail::is_reference_wrapper<Op>) {
    const detail::unwrapped<Op> referred = op;
    return is_repeatable(referred);
  } else if constexpr (requires {
                         { op.repeatable() } -> std::convertible_to<bool>;
                       }) {
    return op.repeatable();
  } else {
    return true;
  }
}

namespace detail {

/// Calls `f(args...)` at every start, with the same copies of the arguments.
template <class F, class... Args> class bound_operation {
 public:
  template <class G, class... A>
  explicit bound_operation(std::in_place_t, G&& f, A&&... args)
      : f_(std::forward<G>(f)), args_(std::forward<A>(args)...) {}
  decltype(auto) operator()() {
    return std::apply(
        [this](const Args&... args) -> decltype(auto) {
          return std::apply(f_, std::tuple<passed_argument<Args>...>(args...));
        },
        args_);
  }
  bool repeatable() const { return is_repeatable(f_); }

 private:
  F f_;
  std::tuple<Args...> args_;
};

}  // namespace detail

/// An operation that must not be sent twice.
template <operation Op> class [[nodiscard]] once_only {
 public:
  explicit once_only(Op op) : op_(std::move(op)) {}
  decltype(auto) operator()() { return op_(); }
  static constexpr bool repeatable() noexcept { return false; }

 private:
  Op op_;
};
template <class Op> once_only(Op&&) -> once_only<detail::stored_t<Op>>;

}  // namespace AGAIN_ABI
}  // namespace again
