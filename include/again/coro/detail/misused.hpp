// SPDX-License-Identifier: MIT
/// \file
/// `misused`: what a function returns that has told a misuse in one sentence.
#pragma once

#include <again/core/expected.hpp>

#include <coroutine>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Returned in place of the result, so that the sentence is the only error: it accepts whatever is done with it.
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
  template <class... T> misused stop(T&&...) const { return {}; }
  template <class... T> misused within(T&&...) const { return {}; }
  template <class... T> misused nested(T&&...) const { return {}; }
  template <class... T> misused seed(T&&...) const { return {}; }
  template <class Op> friend misused operator|(Op&&, const misused&) { return {}; }
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
