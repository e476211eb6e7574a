// SPDX-License-Identifier: MIT
/// \file
/// The IoAwaitable protocol of P4003 as concepts. No header of a library that has it is needed (cppalliance/capy,
/// cppalliance/corosio): all types are deduced from those that are met.
///
/// - `io_environment`: what such a coroutine hands to what it awaits, as `const Env*`: an executor, a `std::stop_token`,
///   and perhaps an allocator for frames.
/// - `io_awaitable`: what has `await_suspend(std::coroutine_handle<>, const Env*)`, and no overload of it.
#pragma once

#include <again/core/version.hpp>

#include <concepts>
#include <coroutine>
#include <stop_token>
#include <type_traits>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

// Declared only: the types are deduced from the members of the other library, `noexcept` or not.
template <class C, class R, class A> std::type_identity<A> dispatched_by(R (C::*)(A) const);
template <class C, class R, class Env>
std::type_identity<Env> suspended_with(R (C::*)(std::coroutine_handle<>, const Env*));

/// The argument of an executor's `dispatch`: `continuation&`, which the executor links into its queue, or
/// `std::coroutine_handle<>` in early versions of the protocol.
template <class Executor> using dispatch_argument =
    typename decltype(dispatched_by(&std::remove_cvref_t<Executor>::dispatch))::type;

/// The environment that an awaitable takes.
template <class A> using environment_of =
    typename decltype(suspended_with(&std::remove_cvref_t<A>::await_suspend))::type;

}  // namespace detail

template <class Env>
concept io_environment = requires(const Env& env) {
  { env.stop_token } -> std::convertible_to<std::stop_token>;
  typename detail::dispatch_argument<decltype(env.executor)>;
};

template <class A>
concept io_awaitable = requires(std::remove_cvref_t<A>& a) {
  typename detail::environment_of<A>;
  requires io_environment<detail::environment_of<A>>;
  { a.await_ready() } -> std::convertible_to<bool>;
  a.await_resume();
};

}  // namespace AGAIN_ABI
}  // namespace again
