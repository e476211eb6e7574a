// SPDX-License-Identifier: MIT
/// \file
/// The default loop: it runs what is awaited by a coroutine that has no context, on a thread that is running no loop.
///
/// It has a background thread, which is started on first use and joined when the process exits. A coroutine that it has run
/// something for goes on on that thread, unless it says where it belongs (`<again/coro/resume_on.hpp>`). All coroutines of
/// the process without a loop share it, so a blocking wait of this library on it is refused with `std::logic_error`.
#pragma once

#include <again/core/detail/threads.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/blocking_wait.hpp>
#include <again/coro/run_loop.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

inline scheduler& default_loop() {
  struct background {
    run_loop loop;
    thread runner{[](void* self) noexcept {
                    runs_default_loop = true;
                    static_cast<run_loop*>(self)->run();
                  },
                  &loop};
    background() = default;
    background(const background&) = delete;
    background& operator=(const background&) = delete;
    ~background() {
      loop.finish();
      runner.join();
    }
  };
  static background instance;
  return instance.loop;
}

/// Found by argument-dependent lookup. So a program that never awaits from a coroutine without a context needs no
/// default loop.
template <class Promise> scheduler& default_loop_of(loop_for<Promise>) { return default_loop(); }

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
