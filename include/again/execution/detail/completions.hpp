// SPDX-License-Identifier: MIT
/// \file
/// Lists of types: with which values, and with which errors, a sender completes.
#pragma once

#include <again/execution/library.hpp>

#include <exception>
#include <type_traits>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {
namespace detail {

template <class... T> struct types {
  static constexpr int size = sizeof...(T);
};

template <class List> struct only_type {};
template <class T> struct only_type<types<T>> {
  using type = T;
};

/// The list without `std::exception_ptr`, without references and const, each type once.
template <class List, class... Kept> struct plain_errors;
template <class... Kept> struct plain_errors<types<>, Kept...> {
  using type = types<Kept...>;
};
template <class First, class... Rest, class... Kept> struct plain_errors<types<First, Rest...>, Kept...> {
  using error = std::remove_cvref_t<First>;
  static constexpr bool skipped = std::is_same_v<error, std::exception_ptr> || (std::is_same_v<error, Kept> || ...);
  template <bool Skipped, class Dummy = void> struct next : plain_errors<types<Rest...>, Kept...> {};
  template <class Dummy> struct next<false, Dummy> : plain_errors<types<Rest...>, Kept..., error> {};
  using type = typename next<skipped>::type;
};

template <class... V> using decayed_types = types<std::decay_t<V>...>;

/// `types<types<V...>, ...>`: an element for each way to complete with values.
template <class Sender, class Env> using values_of = lib::value_types_of_t<Sender, Env, decayed_types, types>;
/// The error types apart from `std::exception_ptr`.
template <class Sender, class Env>
using errors_of = typename plain_errors<lib::error_types_of_t<Sender, Env, types>>::type;

/// Whether a receiver is told by `set_error(std::exception_ptr)`.
template <class List> inline constexpr bool has_exception = false;
template <class... E>
inline constexpr bool has_exception<types<E...>> = (std::is_same_v<std::remove_cvref_t<E>, std::exception_ptr> || ...);

}  // namespace detail
}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution
}  // namespace AGAIN_ABI
}  // namespace again
