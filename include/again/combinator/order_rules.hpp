// SPDX-License-Identifier: MIT
/// \file
/// Properties of a combinator that the one around it checks, to refuse a wrong order of nesting at compile time.
#pragma once

#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/detail/placing.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>

namespace again {
inline namespace AGAIN_ABI {

template <fallible_operation Op, class Hooks, detail::placing Placing> class retry_operation;

namespace detail {

/// An operation whose result never holds an error: a fallback to a value.
template <class Op>
concept never_fails = requires { requires Op::never_fails; };

/// A hedge.
template <class Op>
concept is_hedge = requires { requires Op::hedges; };

/// A retry that may make several attempts (a `timeout` is a retry of one).
template <class Op> inline constexpr bool repeats = false;
template <class Op, class Hooks, placing Placing>
inline constexpr bool repeats<retry_operation<Op, Hooks, Placing>> = !Hooks::once;
template <class Op> inline constexpr bool repeats<copy_of_named<Op>> = repeats<Op>;
template <class Op> inline constexpr bool repeats<bounded_operation<Op>> = repeats<Op>;

}  // namespace detail

}  // namespace AGAIN_ABI
}  // namespace again
