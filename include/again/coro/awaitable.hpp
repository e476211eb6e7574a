// SPDX-License-Identifier: MIT
/// \file
/// The concepts `awaitable` (what a coroutine can `co_await`) and `startable` (how the library starts its own
/// awaitables).
///
/// `task`, `sleep`, `when_all`, one run of a retry, one HTTP send: each of these is a *startable*, a state machine that
/// is stored in the frame of the awaiting coroutine or inside another startable. The protocol has three steps:
///
/// ```cpp
/// if (s.start(k, ctx)) use(s.take());   // finished at once: `k` is not called
/// // else: later, on ctx.scheduler's thread, the startable calls k(), and its owner then calls s.take()
/// ```
///
/// - A combinator starts its startables directly. So it needs no coroutine frame, and no allocation.
/// - A coroutine of any type awaits a startable by `operator co_await`, which returns one of the awaiters in
///   `<again/coro/detail/awaiters.hpp>`. They require nothing of the coroutine's promise.
/// - A foreign awaitable is awaited by a small coroutine of ours, which is a startable (`foreign_awaitable`).
///
/// A complete startable, which waits for a second (`stoppable_wait` also listens for a stop request):
///
/// ```cpp
/// class one_second : again::timer {
///  public:
///   using result_type = int;
///   one_second() = default;
///   one_second(const one_second&) = delete;
///   ~one_second() {
///     if (home_ != nullptr) home_->disarm(*this);
///   }
///   bool start(again::continuation k, const again::context& ctx) noexcept {
///     k_ = k;
///     home_ = ctx.scheduler;
///     fire = [](again::timer& self) noexcept { static_cast<one_second&>(self).k_(); };
///     home_->arm(*this, home_->now() + std::chrono::seconds{1});
///     return false;
///   }
///   int take() { return 42; }
///   std::exception_ptr exception() noexcept { return nullptr; }
///   auto operator co_await() && noexcept { return again::detail::startable_awaiter<one_second>{*this}; }
///
///  private:
///   again::continuation k_;
///   again::scheduler* home_ = nullptr;
/// };
/// ```
#pragma once

#include <again/core/expected.hpp>
#include <again/coro/context.hpp>
#include <again/coro/scheduler.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// What a startable calls when it has finished: a function and the pointer that it is called with. Copied freely; owns
/// nothing.
struct continuation {
  void (*resume)(void*) noexcept = nullptr;
  void* self = nullptr;
  void operator()() const noexcept { resume(self); }
};

/// A type of the library's start protocol. Everything happens on the thread of `ctx.scheduler`, except where a member
/// says so.
///
/// - `start(k, ctx)`: begins. Called at most once. Returns true if it has finished already: then `k` is never called.
///   Returns false if it finishes later: then `k` is called exactly once, and not from inside `start`. `ctx` must
///   outlive the startable, or what it does: one that has finished does not use `ctx` any more. It must not throw: an
///   error is kept for `take`.
/// - `k()` is the last thing that the startable does: its owner may destroy it there.
/// - `take()`: after it has finished. Returns the result, or rethrows the exception that ended it. Called at most once.
/// - `exception()`: after it has finished, before `take`. Returns the exception that `take` would rethrow, else null.
/// - Cancellation: if `ctx.stop` is requested, it should finish soon, with a result that says so. It still calls `k`.
/// - The destructor may run at any time: before the start, while it runs, afterwards. It ends what is still running,
///   without blocking; `k` is not called after it.
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

/// For an edge: specialize it for a type of the foreign library that a task can await by another awaiter than its own,
/// with a static member `awaiter`, which takes the type as `co_await` gets it.
template <class T> struct adopted_awaitable {};
template <class T>
concept adopted = requires(T&& t) { adopted_awaitable<std::remove_cvref_t<T>>::awaiter(static_cast<T&&>(t)); };

/// An object and not a function: other libraries have functions of that name, which they call without their namespace.
struct get_awaiter_function {
  template <class T> decltype(auto) operator()(T&& t) const {
    if constexpr (adopted<T>) {
      return adopted_awaitable<std::remove_cvref_t<T>>::awaiter(static_cast<T&&>(t));
    } else if constexpr (member_co_await<T>) {
      return static_cast<T&&>(t).operator co_await();
    } else if constexpr (free_co_await<T>) {
      return operator co_await(static_cast<T&&>(t));
    } else {
      return static_cast<T&&>(t);
    }
  }
};
inline constexpr get_awaiter_function get_awaiter{};

template <class A>
concept awaiter = requires(A& a, std::coroutine_handle<> h) {
  { a.await_ready() } -> std::convertible_to<bool>;
  a.await_suspend(h);
  a.await_resume();
};

/// For an edge: specialize it for a type of the foreign library that a task cannot await as it is, with a static member
/// `explain`, whose body is the compile error that says what to write.
template <class T> struct await_advice {};
template <class T>
concept has_await_advice = requires { await_advice<T>::explain(); };

inline void resume_coroutine(void* address) noexcept { std::coroutine_handle<>::from_address(address).resume(); }

}  // namespace detail

/// What a coroutine of any type can `co_await`: a startable, or what has `await_ready`, `await_suspend` and
/// `await_resume`, directly or by `operator co_await`.
template <class T>
concept awaitable = startable<std::remove_cvref_t<T>> || requires(T&& t) {
  { detail::get_awaiter(static_cast<T&&>(t)) } -> detail::awaiter;
};

/// The type of the expression `co_await t`.
template <class T> struct await_result {
  using type = decltype(detail::get_awaiter(std::declval<T>()).await_resume());
};
template <class T>
  requires startable<std::remove_cvref_t<T>>
struct await_result<T> {
  using type = typename std::remove_cvref_t<T>::result_type;
};
template <awaitable T> using await_result_t = typename await_result<T>::type;

namespace detail {

/// A result that outlives what was awaited: a task of another library often gives a reference to a result that it owns. An
/// rvalue becomes a value, and so does a reference to an `expected`. Any other lvalue reference refers to what its author
/// meant, and is kept.
template <class R>
using owned_result_t = std::conditional_t<std::is_rvalue_reference_v<R> || expected_result<std::remove_cvref_t<R>>,
                                          std::remove_cvref_t<R>, R>;

}  // namespace detail

}  // namespace AGAIN_ABI
}  // namespace again
