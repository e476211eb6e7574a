// SPDX-License-Identifier: MIT
/// \file
/// The compile error for an argument of a combinator that is not an operation: one sentence, which says how to fix it.
#pragma once

#include <again/coro/detail/misused.hpp>
#include <again/coro/operation.hpp>

#include <concepts>
#include <type_traits>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Op> consteval void explain_result() {
  if constexpr (!operation<Op>) {
    static_assert(operation<Op>, "again: this function returns nothing that can be awaited; make a coroutine of it: "
                                 "[&]() -> again::task<R> { co_return f(); }, where R is what it returns");
  } else {
    static_assert(fallible_operation<Op>, "again: the operation must give an expected<T, E>, so that a failure can "
                                          "be seen; wrap one that throws: retry(policy, catching(op))");
  }
}

/// Why `Wrong`, called with `Args...` at every attempt, is no operation that can be retried.
template <class Wrong, class... Args> consteval void explain_misuse() {
  if constexpr (std::same_as<Wrong, misused>) {
    // told already
  } else if constexpr (sizeof...(Args) > 0 && binds<Wrong, Args...>) {
    explain_result<bound_operation<Wrong, Args...>>();
  } else if constexpr (sizeof...(Args) > 0) {
    static_assert(sizeof...(Args) == 0, "again: the function cannot be called with copies of these arguments; pass "
                                        "std::ref(x) for an object that every attempt shares, "
                                        "or write a lambda: retry(policy, [&] { return f(x); })");
  } else if constexpr (std::invocable<Wrong&>) {
    explain_result<Wrong>();
  } else if constexpr (awaitable<Wrong>) {
    static_assert(std::invocable<Wrong&>, "again: a task runs once and cannot be retried; pass the function that makes "
                                          "it: retry(policy, [&] { return load(db, id); })");
  } else {
    static_assert(std::invocable<Wrong&>, "again: this is not an operation; pass a function without parameters that "
                                          "returns a task: retry(policy, [&] { return load(db, id); })");
  }
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
