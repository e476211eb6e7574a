// SPDX-License-Identifier: MIT
/// \file
/// The compile error for an argument of a combinator that is not an operation: one sentence, which says how to fix it.
#pragma once

#include <again/coro/operation.hpp>

#include <coroutine>
#include <cstddef>
#include <type_traits>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Wrong, std::size_t Args> consteval void explain_misuse() {
  if constexpr (Args > 0) {
    static_assert(Args == 0, "again: the function cannot be called with copies of these arguments; pass std::ref(x) "
                             "for an object that every attempt shares, "
                             "or write a lambda: retry(policy, [&] { return f(x); })");
  } else if constexpr (!std::invocable<Wrong&> && awaitable<Wrong>) {
    static_assert(std::invocable<Wrong&>, "again: a task runs once and cannot be retried; pass the function that makes "
                                          "it: retry(policy, [&] { return load(db, id); })");
  } else if constexpr (!std::invocable<Wrong&>) {
    static_assert(std::invocable<Wrong&>, "again: this is not an operation; pass a function without parameters that "
                                          "returns a task: retry(policy, [&] { return load(db, id); })");
  } else if constexpr (!operation<Wrong>) {
    static_assert(operation<Wrong>, "again: this callable returns nothing that can be awaited; return an again::task "
                                    "(or another awaitable) from it");
  } else {
    static_assert(fallible_operation<Wrong>, "again: the operation must give an expected<T, E>, so that a failure can "
                                             "be seen; wrap one that throws: retry(policy, catching(op))");
  }
}

/// Returned in place of the result, so that the sentence above is the only error: it accepts whatever is done with it.
struct misused {
  using native = void;
  struct anything {
    template <class T> operator T&() const;
    explicit operator bool() const;
    anything error() const;
    anything operator*() const;
  };
  static bool await_ready() noexcept { return true; }
  static void await_suspend(std::coroutine_handle<>) noexcept {}
  static anything await_resume();
  template <class... T> misused when(T&&...) const { return {}; }
  template <class... T> misused observe(T&&...) const { return {}; }
  template <class... T> misused budget(T&&...) const { return {}; }
  template <class... T> misused breaker(T&&...) const { return {}; }
  template <class... T> misused on(T&&...) const { return {}; }
  template <class... T> misused nested(T&&...) const { return {}; }
  template <class... T> misused seed(T&&...) const { return {}; }
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
