// SPDX-License-Identifier: MIT
/// \file
/// A foreign awaitable as a startable: one small recycled coroutine frame awaits it. It may finish on any thread; the
/// continuation then runs on the scheduler's. The frame is touched by the thread that starts it and the one that finishes it;
/// `state_` decides which of the two came second.
#pragma once

#include <again/core/detail/addressof.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/frame_cache.hpp>
#include <again/coro/detail/result_slot.hpp>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class R> class foreign_promise;

class foreign_promise_base : work {
 public:
  foreign_promise_base() noexcept = default;
  foreign_promise_base(const foreign_promise_base&) = delete;
  foreign_promise_base& operator=(const foreign_promise_base&) = delete;
  ~foreign_promise_base() {
    if (context_ != nullptr) context_->scheduler->forget(*this);
  }
  static void* operator new(std::size_t size) { return frame_cache::allocate(size); }
  static void operator delete(void* p, std::size_t size) noexcept { frame_cache::deallocate(p, size); }

  static std::suspend_always initial_suspend() noexcept { return {}; }
  struct last_suspend {
    static constexpr bool await_ready() noexcept { return false; }
    template <class Promise> static void await_suspend(std::coroutine_handle<Promise> frame) noexcept {
      foreign_promise_base& promise = frame.promise();
      scheduler* const home = promise.context_->scheduler;
      if (promise.state_.exchange(states::finished, std::memory_order_acq_rel) == states::suspended)
        home->post(promise);
    }
    static constexpr void await_resume() noexcept {}
  };
  static last_suspend final_suspend() noexcept { return {}; }

  bool start(std::coroutine_handle<> frame, continuation k, const context& ctx) noexcept {
    continuation_ = k;
    context_ = &ctx;
    this->run = [](work& self) noexcept { static_cast<foreign_promise_base&>(self).continuation_(); };
    frame.resume();
    return state_.exchange(states::suspended, std::memory_order_acq_rel) == states::finished;
  }
  const again::context* context() const noexcept { return context_; }

 private:
  enum class states : std::uint8_t { running, suspended, finished };
  continuation continuation_;
  const again::context* context_ = nullptr;
  std::atomic<states> state_{states::running};
};

template <class R> struct foreign_frame {
  using promise_type = foreign_promise<R>;
  std::coroutine_handle<promise_type> handle;
};

template <class R> class foreign_promise final : public foreign_promise_base {
 public:
  result_slot<R> slot;
  foreign_frame<R> get_return_object() noexcept {
    return {std::coroutine_handle<foreign_promise>::from_promise(*this)};
  }
  void unhandled_exception() noexcept { slot.set_exception(std::current_exception()); }
  template <class U> void return_value(U&& value) {
    if constexpr (std::is_reference_v<R>) {
      slot.set(address_of(value));
    } else {
      slot.set(std::forward<U>(value));
    }
  }
};
template <> class foreign_promise<void> final : public foreign_promise_base {
 public:
  result_slot<void> slot;
  foreign_frame<void> get_return_object() noexcept {
    return {std::coroutine_handle<foreign_promise>::from_promise(*this)};
  }
  void unhandled_exception() noexcept { slot.set_exception(std::current_exception()); }
  void return_void() noexcept { slot.set(); }
};

template <class R, class A> foreign_frame<R> adapt(std::remove_reference_t<A>& awaitable) {
  co_return co_await static_cast<A&&>(awaitable);
}

/// Startable over a foreign awaitable: `A` by value when it is an operation's result, a reference when it stands elsewhere.
template <class A> class foreign_awaitable {
 public:
  using result_type = await_result_t<A>;
  static constexpr bool may_be_ignored = true;  // its author says what must be looked at, not we

  template <class From>
    requires std::is_invocable_v<From&>
  foreign_awaitable(std::in_place_t, From& from) : awaitable_(from()) {}
  explicit foreign_awaitable(A&& awaitable) : awaitable_(static_cast<A&&>(awaitable)) {}
  foreign_awaitable(const foreign_awaitable&) = delete;
  foreign_awaitable& operator=(const foreign_awaitable&) = delete;
  ~foreign_awaitable() {
    if (frame_) frame_.destroy();
  }

  bool start(continuation k, const context& ctx) noexcept {
    try {
      frame_ = adapt<result_type, A>(awaitable_).handle;
    } catch (...) {
      no_frame_ = std::current_exception();
      return true;
    }
    return frame_.promise().start(frame_, k, ctx);
  }
  result_type take() {
    if (no_frame_) std::rethrow_exception(no_frame_);
    return frame_.promise().slot.take();
  }
  std::exception_ptr exception() noexcept { return frame_ ? frame_.promise().slot.exception() : no_frame_; }

 private:
  A awaitable_;
  std::coroutine_handle<foreign_promise<result_type>> frame_;
  std::exception_ptr no_frame_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
