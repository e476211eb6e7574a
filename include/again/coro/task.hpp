// SPDX-License-Identifier: MIT
/// \file
/// `task<T>`: a lazy coroutine that is awaited once. It inherits scheduler, stop token and deadline from the coroutine
/// that awaits it.
///
/// ```cpp
/// again::task<int> count() { co_return 42; }
/// again::task<> report() { fmt::print("{}\n", co_await count()); }
/// ```
///
/// - Errors: an exception that leaves the coroutine is rethrown where the task is awaited.
/// - Cancellation: a task has the stop token of the awaiting context: `co_await again::get_stop_token()`.
/// - Lifetime: a task owns its frame. Destroying the task destroys the frame, started or not, and ends what the
///   coroutine awaits. Parameters taken by reference must outlive the await, as with any lazy coroutine.
/// - Thread: the coroutine runs on its scheduler's thread only. If a foreign awaitable finishes on another thread, the
///   coroutine is still resumed on its scheduler's.
/// - Cost: one frame, from a cache of the thread: no allocation in steady state. A chain or a loop of a million awaits
///   that finish at once needs constant stack, even if the compiler makes no tail calls.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/gcc_frame_check.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/task_promise.hpp>

#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

template <class T = void> class [[nodiscard("nothing runs until it is awaited: write co_await before it")]] task
    : public detail::not_awaited<task<T>, T> {
 public:
  using promise_type = detail::task_promise<T>;
  using result_type = T;

  task(task&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      if (frame_) frame_.destroy();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  task(const task&) = delete;
  task& operator=(const task&) = delete;
  ~task() {
    if (frame_) frame_.destroy();
  }

  /// A task runs once: a named one is awaited by `co_await std::move(t)`.
  [[nodiscard]] auto operator co_await() && noexcept { return detail::startable_awaiter<task>{*this}; }

  // startable
  bool start(continuation k, const context& ctx) noexcept { return frame_.promise().start(frame_, k, ctx); }
  T take() { return frame_.promise().take(); }
  std::exception_ptr exception() noexcept { return frame_.promise().exception(); }
  /// A pointer to the result, or null if the coroutine threw. For combinators that inspect a result before they move
  /// it.
  std::remove_reference_t<T>* peek() noexcept
    requires std::is_object_v<T>
  {
    return frame_.promise().peek();
  }

 private:
  friend detail::task_promise<T>;
  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_{frame} {
    detail::check_frame(frame.address());
  }
  std::coroutine_handle<promise_type> frame_;
};

namespace detail {
template <class T> task<T> task_promise<T>::get_return_object() noexcept {
  return task<T>{std::coroutine_handle<task_promise>::from_promise(*this)};
}
}  // namespace detail

}  // namespace AGAIN_ABI
}  // namespace again
