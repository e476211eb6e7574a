// SPDX-License-Identifier: MIT
/// \file
/// What can be awaited, and the protocol by which the library's own awaitables are started.
///
/// Everything of ours that can be awaited (`task`, `retry`, `timeout`, `when_all`, an HTTP send, …) is a *startable*: a state
/// machine that lives where the await is written, is told whom to notify, and finishes at once or later on its scheduler's
/// thread. Combinators start startables directly and need no coroutine frame of their own; any coroutine awaits them through
/// `operator co_await`, needing nothing of its promise. Foreign awaitables become startable by one small recycled frame.
#pragma once

#include <again/coro/context.hpp>
#include <again/coro/scheduler.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// Whom to tell that a startable has finished.
struct continuation {
  void (*resume)(void*) noexcept = nullptr;
  void* self = nullptr;
  void operator()() const noexcept { resume(self); }
};

/// The library's own awaitables.
/// - `start(k, ctx)`: true if it finished at once (`k` is not called), else `k` is called later, once, on `ctx.scheduler`'s
///   thread. `ctx` outlives it. Called at most once, on that thread.
/// - `take()`: after it has finished: the result, or rethrows. Once.
/// - `exception()`: after it has finished: what `take` would rethrow, or null.
/// - the destructor is legal at any time and ends whatever is still running, without blocking.
template <class S>
concept startable = requires(S& s, continuation k, const context& ctx) {
  typename S::result_type;
  { s.start(k, ctx) } noexcept -> std::same_as<bool>;
  { s.take() } -> std::same_as<typename S::result_type>;
  { s.exception() } noexcept -> std::same_as<std::exception_ptr>;
};

namespace detail {

template <class T>
concept member_co_await = requires(T&& t) { static_cast<T&&>(t).operator co_await(); };
template <class T>
concept free_co_await = requires(T&& t) { operator co_await(static_cast<T&&>(t)); };

template <class T> decltype(auto) get_awaiter(T&& t) {
  if constexpr (member_co_await<T>) {
    return static_cast<T&&>(t).operator co_await();
  } else if constexpr (free_co_await<T>) {
    return operator co_await(static_cast<T&&>(t));
  } else {
    return static_cast<T&&>(t);
  }
}

template <class A>
concept awaiter = requires(A& a, std::coroutine_handle<> h) {
  { a.await_ready() } -> std::convertible_to<bool>;
  a.await_suspend(h);
  a.await_resume();
};

inline void resume_coroutine(void* address) noexcept { std::coroutine_handle<>::from_address(address).resume(); }

}  // namespace detail

/// Anything that a coroutine of any type can `co_await`.
template <class T>
concept awaitable = startable<std::remove_cvref_t<T>> || requires(T&& t) {
  { detail::get_awaiter(static_cast<T&&>(t)) } -> detail::awaiter;
};

/// The type that `co_await` gives.
template <class T> struct await_result {
  using type = decltype(detail::get_awaiter(std::declval<T>()).await_resume());
};
template <class T>
  requires startable<std::remove_cvref_t<T>>
struct await_result<T> {
  using type = typename std::remove_cvref_t<T>::result_type;
};
template <awaitable T> using await_result_t = typename await_result<T>::type;

}  // namespace AGAIN_ABI
}  // namespace again
