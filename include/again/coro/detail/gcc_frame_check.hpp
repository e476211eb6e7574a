// SPDX-License-Identifier: MIT
/// \file
/// g++ before 12.3 lays out a frame wrongly (GCC bug 106188) where a coroutine without a variable at the top level of its body
/// awaits in the condition of an `if`, `while` or `switch`: it would crash at random. A debug build stops with a sentence
/// instead. The cure is to name the result first: `const bool ok = co_await …; if (ok) …`.
#pragma once

#include <again/core/expected.hpp>

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ * 100 + __GNUC_MINOR__ < 1203 && !defined(NDEBUG)
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#endif

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// `frame` comes from a promise whose coroutine has just been made.
inline void check_frame([[maybe_unused]] const void* frame) noexcept {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ * 100 + __GNUC_MINOR__ < 1203 && !defined(NDEBUG)
  if (reinterpret_cast<std::uintptr_t>(frame) % __STDCPP_DEFAULT_NEW_ALIGNMENT__ == 0)
    return;  // where the allocator put it
  std::fputs(
      "again: this g++ has laid out a coroutine's frame wrongly (GCC bug 106188): the coroutine has no variable at the "
      "top "
      "level of its body and awaits in a condition; name the result first: const bool ok = co_await ...; if (ok) ...\n",
      stderr);
  std::abort();
#endif
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
