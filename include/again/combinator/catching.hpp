// SPDX-License-Identifier: MIT
/// \file
/// `catching(operation)`: turns an operation that throws into one that fails, so that `retry` sees the exception as an
/// error.
///
/// ```cpp
/// auto row = co_await again::retry(polite, again::catching([&] { return may_throw(); }));
/// auto one = co_await again::catching(load, std::ref(db), 42);   // a function and its arguments, which are copied
/// ```
///
/// - Result: `expected<T, std::exception_ptr>`.
/// - Errors: an exception of the operation, also one that is thrown while its awaitable is made, is the error. A function
///   that returns nothing that can be awaited is one readable compile error.
/// - Cancellation: a stop request is passed on to the operation.
/// - Lifetime and thread: those of the operation, of which it holds a copy.
/// - Cost: that of the throw; the exception is not rethrown.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/core/expected.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

template <operation Op> class catching_run {
 public:
  using value = operation_result_t<Op>;
  using result_type = expected<value, std::exception_ptr>;

  explicit catching_run(Op& op) noexcept : op_{op} {}
  catching_run(const catching_run&) = delete;
  catching_run& operator=(const catching_run&) = delete;
  ~catching_run() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<catching_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept { return slot_.start(op_, k, ctx); }
  static std::exception_ptr exception() noexcept { return nullptr; }
  result_type take() {
    if (std::exception_ptr error = slot_.exception()) return result_type(unexpect, std::move(error));
    if constexpr (std::is_void_v<value>) {
      slot_.take();
      return result_type();
    } else {
      return result_type(slot_.take());
    }
  }

 private:
  Op& op_;
  attempt_slot<Op> slot_;
};

template <class F, class... Args>
concept catches =
    sizeof...(Args) > 0 && binds<F, Args...>&& operation<bound_operation<std::decay_t<F>, std::decay_t<Args>...>>;

}  // namespace detail

/// What `catching` returns.
template <operation Op> class [[nodiscard(
    "nothing runs until it is awaited: write co_await before it")]] catching_operation
    : public detail::not_awaited<catching_operation<Op>, typename detail::catching_run<Op>::result_type>,
      public detail::has_bounds<catching_operation<Op>> {
 public:
  explicit catching_operation(Op op) : op_(std::move(op)) {}
  auto operator()() { return detail::catching_run<Op>{op_}; }
  auto operator co_await() { return detail::holding_awaiter<detail::catching_run<Op>>{std::in_place, op_}; }
  bool repeatable() const { return is_repeatable(op_); }

 private:
  Op op_;
};

/// Makes an operation whose result is `expected<T, std::exception_ptr>`: an exception of `op` becomes its error.
template <class Op>
  requires operation<std::decay_t<Op>>
auto catching(Op&& op) {
  static_assert(
      !expected_result<operation_result_t<std::decay_t<Op>>>,
      "again::catching: this operation already gives an expected; throw or return errors, not both: await it in "
      "a coroutine of your own that does one of the two");
  return catching_operation<detail::stored_t<Op>>{std::forward<Op>(op)};
}

/// The same for a function and its arguments, which are copied. Share an object with `std::ref`.
template <class F, class... Args>
  requires detail::catches<F, Args...>
auto catching(F&& f, Args&&... args) {
  using bound = detail::bound_operation<detail::stored_t<F>, std::decay_t<Args>...>;
  return catching_operation<bound>{bound{std::in_place, std::forward<F>(f), std::forward<Args>(args)...}};
}

// Any other arguments are a mistake: one compile error says how to fix it.
template <class Wrong, class... Args>
  requires(!(sizeof...(Args) == 0 && operation<std::decay_t<Wrong>>) && !detail::catches<Wrong, Args...>)
auto catching(Wrong&&, Args&&...) {
  detail::explain_misuse<std::decay_t<Wrong>, std::decay_t<Args>...>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
