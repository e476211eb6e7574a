// SPDX-License-Identifier: MIT
/// \file
/// Refuses to block the thread of the default loop: every coroutine of the process that has no loop waits for it.
///
/// Thread: each asks for itself.
#pragma once

#include <again/core/expected.hpp>

#include <stdexcept>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// True on the thread of the default loop (`<again/coro/default_loop.hpp>`).
inline thread_local constinit bool runs_default_loop = false;

/// Throws `std::logic_error` where a blocking wait would stop the default loop.
inline void refuse_on_default_loop() {
  if (!runs_default_loop) return;
  throw std::logic_error{
      "again: a blocking wait on the thread of the default loop would hang every coroutine that has no loop; write "
      "co_await instead, or return to a thread of your own first: co_await again::resume_on(pool, ...)"};
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
