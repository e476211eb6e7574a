// SPDX-License-Identifier: MIT
/// \file
/// Detects coroutine frames that g++ before 12.3 lays out wrongly (GCC bug 106188). This happens if a coroutine has no
/// variable at the top level of its body and awaits in the condition of an `if`, `while` or `switch`. Such a program
/// crashes at random; a debug build aborts with a message instead. The fix is to name the result first: `const bool ok
/// = co_await …; if (ok) …`.
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

/// `frame` is the address of a coroutine's handle, as computed from its promise.
inline void check_frame([[maybe_unused]] const void* frame) noexcept {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ * 100 + __GNUC_MINOR__ < 1203 && !defined(NDEBUG)
  if (reinterpret_cast<std::uintptr_t>(frame) % __STDCPP_DEFAULT_NEW_ALIGNMENT__ == 0)
    return;  // as the allocator aligned it
  std::fputs(
      "again: this g++ has laid out a coroutine's frame wrongly (GCC bug 106188): the coroutine has no variable at the "
      "top level of its body and awaits in a condition; name the result first: const bool ok = co_await ...; if (ok) "
      "...\n",
      stderr);
  std::abort();
#endif
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
