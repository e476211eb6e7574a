// SPDX-License-Identifier: MIT
/// \file
/// Base of the library's promise types: their coroutine frames come from the thread's `frame_cache`.
#pragma once

#include <again/coro/detail/frame_cache.hpp>

#include <cstddef>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

struct promise_allocation {
  static void* operator new(std::size_t size) { return frame_cache::allocate(size); }
  static void operator delete(void* p, std::size_t size) noexcept { frame_cache::deallocate(p, size); }
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
