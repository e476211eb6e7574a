// SPDX-License-Identifier: MIT
/// \file
/// `as_awaitable`: awaits a sender of P2300 in an `again::task`, or in a combinator of this library.
///
/// ```cpp
/// again::task<int> total() {
///   int n = co_await again::execution::as_awaitable(ex::schedule(pool) | ex::then([] { return count(); }));
///   auto row = co_await again::timeout(1s, [&] { return as_awaitable(their_query(n)); });
///   …
/// }
/// ```
///
/// - Result: that of the one value completion: `void`, `T`, or a `std::tuple` of several values. A sender that can
///   complete with different values is one compile error: make one of them with `into_variant`.
/// - Errors: `set_error(std::exception_ptr)` is rethrown by the `co_await`, an `error_code` is thrown as
///   `std::system_error`, any other error as it is.
/// - Stopped: `set_stopped()` is thrown as `sender_stopped`, because a task has no way to be stopped but by a result.
///   To have it as a value, write `ex::stopped_as_optional` around the sender.
/// - Cancellation: a stop request of the awaiting context reaches the sender by the stop token of its environment. Its
///   scheduler is the task's loop, as a `loop_scheduler`. An operation of ours inside (`as_sender`) has the deadline of
///   the task, too.
/// - Where it goes on: on the task's loop, whichever thread the sender completes on.
/// - Lifetime: the awaiting coroutine may be destroyed at any time: the sender is then asked to stop, and nothing waits
///   for it. What the sender refers to has to live until it has completed, as everywhere in P2300. The loop, too, if
///   the sender uses its scheduler.
/// - Pretend time: a sender that does not say that it completes on the task's loop counts as work outside of the loop:
///   the clock does not jump while it runs.
/// - Cost: one recycled block, and a post.
///
/// A bare `co_await sender` does not compile in a task, and says so: the errors of a sender become exceptions, which
/// should be seen.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/coro/awaitable.hpp>
#include <again/execution/detail/completions.hpp>
#include <again/execution/detail/sender_await.hpp>
#include <again/execution/library.hpp>

#include <exception>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {

/// A sender completed with `set_stopped`.
class sender_stopped : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "again::execution: the sender was stopped"; }
};

namespace detail {

template <class List> struct awaited_value {};
template <> struct awaited_value<types<>> {
  using type = void;
};
template <> struct awaited_value<types<types<>>> {
  using type = void;
};
template <class V> struct awaited_value<types<types<V>>> {
  using type = V;
};
template <class First, class Second, class... More> struct awaited_value<types<types<First, Second, More...>>> {
  using type = std::tuple<First, Second, More...>;
};

/// What a sender completed with, for a coroutine: a value or an exception.
template <class T> class thrown_end {
 public:
  using result_type = T;
  template <class... V> void put_value(V&&... v) { value_.emplace(std::forward<V>(v)...); }
  template <class E> void put_error(E&& e) {
    using error = std::remove_cvref_t<E>;
    if constexpr (std::is_same_v<error, std::exception_ptr>) {
      thrown_ = std::forward<E>(e);
    } else if constexpr (std::is_same_v<error, std::error_code>) {
      thrown_ = std::make_exception_ptr(std::system_error(e));
    } else {
      thrown_ = std::make_exception_ptr(error(std::forward<E>(e)));
    }
  }
  void put_stopped() { thrown_ = std::make_exception_ptr(sender_stopped{}); }
  void put_exception(std::exception_ptr e) noexcept { thrown_ = std::move(e); }

  std::exception_ptr thrown() const noexcept { return thrown_; }
  T take() {
    if constexpr (!std::is_void_v<T>) return std::move(*value_);
  }

 private:
  struct nothing {};
  again::detail::manual_optional<std::conditional_t<std::is_void_v<T>, nothing, T>> value_;
  std::exception_ptr thrown_;
};

}  // namespace detail

/// See the top of this file.
template <class Sender>
  requires lib::sender_in<std::remove_cvref_t<Sender>, detail::await_env>
[[nodiscard]] auto as_awaitable(Sender&& sender) {
  using values = detail::values_of<std::remove_cvref_t<Sender>, detail::await_env>;
  static_assert(values::size <= 1,
                "again::execution::as_awaitable: the sender can complete with different values; make one "
                "of them: as_awaitable(into_variant(sender))");
  if constexpr (values::size <= 1) {
    using value = typename detail::awaited_value<values>::type;
    return detail::sender_await<std::remove_cvref_t<Sender>, detail::thrown_end<value>>{std::forward<Sender>(sender)};
  }
}

}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution

/// A sender is awaited by `as_awaitable`.
template <class Sender>
  requires execution::lib::sender_in<Sender, execution::detail::await_env>
struct detail::await_advice<Sender> {
  static void explain() {
    static_assert(sizeof(Sender) == 0, "again: a sender is awaited by co_await again::execution::as_awaitable(sender), "
                                       "which throws what it fails with");
  }
};

}  // namespace AGAIN_ABI
}  // namespace again
