// SPDX-License-Identifier: MIT
/// \file
/// A forgotten `co_await`: a task or an operation that is used as if it were its result is one compile error, which
/// says so.
#pragma once

#include <again/core/expected.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// The types of `*r` and of `r.error()`, where r is a `Result`.
template <class Result> struct result_parts {
  using value = Result;
  using error = void;
};
template <expected_result Result> struct result_parts<Result> : expected_parts<Result> {};

template <class Self> consteval void explain_forgotten() {
  static_assert(
      std::is_void_v<Self>,
      "again: this has not been awaited yet: write co_await before it (outside of a coroutine: again::sync_wait)");
}

/// For an edge to a library whose coroutines ask what they await for a member `as_awaitable(promise)`: specialize it
/// for their promise types, with a static member `awaiter(awaited, promise)`.
template <class Promise> struct outside_promise {};
template <class Promise, class Awaited>
concept outside_awaiter =
    requires(Awaited&& a, Promise& p) { outside_promise<Promise>::awaiter(static_cast<Awaited&&>(a), p); };

/// Base of `Self`, which gives a `Result` when it is awaited: it has what an `expected` has, and nothing of it
/// compiles. The types are as declared, so that the sentence is the only error.
template <class Self, class Result> class not_awaited {
  template <class T> using reference = std::add_lvalue_reference_t<T>;
  using value_type = typename result_parts<Result>::value;
  using error_type = typename result_parts<Result>::error;

 public:
  template <class S = Self>
    requires(!std::same_as<Result, bool>)
  explicit operator bool() const {
    explain_forgotten<S>();
    return false;
  }
  template <class To>
    requires(std::same_as<To, Result> && !std::is_void_v<To>)
  operator To() const {
    explain_forgotten<Self>();
    return static_cast<To (*)()>(nullptr)();
  }
  template <class S = Self> reference<value_type> operator*() const {
    explain_forgotten<S>();
    return static_cast<reference<value_type> (*)()>(nullptr)();
  }
  template <class S = Self> std::add_pointer_t<value_type> operator->() const {
    explain_forgotten<S>();
    return nullptr;
  }
  template <class S = Self> bool has_value() const {
    explain_forgotten<S>();
    return false;
  }
  template <class S = Self> reference<value_type> value() const {
    explain_forgotten<S>();
    return static_cast<reference<value_type> (*)()>(nullptr)();
  }
  template <class S = Self> reference<error_type> error() const {
    explain_forgotten<S>();
    return static_cast<reference<error_type> (*)()>(nullptr)();
  }

  template <class Promise, class S = Self>
    requires outside_awaiter<Promise, S>
  auto as_awaitable(Promise& promise) && -> decltype(outside_promise<Promise>::awaiter(std::declval<S>(), promise)) {
    return outside_promise<Promise>::awaiter(static_cast<S&&>(*this), promise);
  }
  template <class Promise, class S = Self>
    requires outside_awaiter<Promise, S&>
  auto as_awaitable(Promise& promise) & -> decltype(outside_promise<Promise>::awaiter(std::declval<S&>(), promise)) {
    return outside_promise<Promise>::awaiter(static_cast<S&>(*this), promise);
  }

 private:
  friend Self;
  not_awaited() = default;
  not_awaited(const not_awaited&) = default;
  not_awaited& operator=(const not_awaited&) = default;
  ~not_awaited() = default;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
