// SPDX-License-Identifier: MIT
/// \file
/// Results in tuples, variants and vectors: an empty value stands in for void.
#pragma once

#include <again/core/expected.hpp>

#include <type_traits>
#include <variant>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// `T`, or an empty value in place of void.
template <class T> using regular_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class Child> regular_t<typename Child::result_type> take_regular(Child& c) {
  if constexpr (std::is_void_v<typename Child::result_type>) {
    c.take();
    return {};
  } else {
    return c.take();
  }
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
