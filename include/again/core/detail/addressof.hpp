// SPDX-License-Identifier: MIT
/// \file
/// `std::addressof`, without including <memory>.
#pragma once

#include <again/core/expected.hpp>

#include <type_traits>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// The address of `x`, even if its `operator&` is overloaded.
template <class T> T* address_of(T& x) noexcept {
  if constexpr (std::is_function_v<T>) {
    return &x;
  } else {
    return reinterpret_cast<T*>(&const_cast<char&>(reinterpret_cast<const volatile char&>(x)));
  }
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
