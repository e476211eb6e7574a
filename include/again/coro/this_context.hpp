// SPDX-License-Identifier: MIT
/// \file
/// `get_context`, `get_stop_token`, `get_scheduler`: what the running coroutine has inherited.
///
/// ```cpp
/// const again::inplace_stop_token stop = co_await again::get_stop_token();
/// while (!stop.stop_requested()) { … }
/// ```
///
/// They never suspend and never throw. In a coroutine whose promise has no context they give the root context of the
/// loop that this thread is running, else that of the default loop. What such a coroutine awaits may still inherit a context
/// from the task that awaits it; a task in it sees that one.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>

#include <coroutine>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {
template <class Get> struct context_reader {
  struct reader {
    using native = void;
    const context* found = nullptr;
    static constexpr bool await_ready() noexcept { return false; }
    template <class Promise> bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
      if constexpr (context_provider<Promise>) {
        found = h.promise().context();
      } else {
        found = running_context != nullptr ? running_context : &default_loop_for<Promise>().root();
      }
      return false;
    }
    decltype(auto) await_resume() const noexcept { return Get{}(*found); }
  };
  reader operator co_await() const noexcept { return {}; }
};
struct whole_context {
  const context& operator()(const context& c) const noexcept { return c; }
};
struct stop_of {
  inplace_stop_token operator()(const context& c) const noexcept { return c.stop; }
};
struct scheduler_of {
  scheduler& operator()(const context& c) const noexcept { return *c.scheduler; }
};
}  // namespace detail

/// Gives `const context&`, valid until the coroutine finishes.
inline detail::context_reader<detail::whole_context> get_context() noexcept { return {}; }
/// Gives the coroutine's `inplace_stop_token`.
inline detail::context_reader<detail::stop_of> get_stop_token() noexcept { return {}; }
/// Gives `scheduler&`, on whose thread the coroutine runs.
inline detail::context_reader<detail::scheduler_of> get_scheduler() noexcept { return {}; }

}  // namespace AGAIN_ABI
}  // namespace again
