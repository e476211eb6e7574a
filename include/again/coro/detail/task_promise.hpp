// SPDX-License-Identifier: MIT
/// \file
/// The promise of `task`. How it keeps the stack constant without tail calls: a task is started by a plain call of
/// `resume`, so one that finishes at once returns to its starter, which goes on without having been suspended; one that
/// finishes later does not call its continuation from inside its last suspension, but posts it to its scheduler; and starts
/// nested deeper than `deepest` are posted as well.
#pragma once

#include <again/core/detail/addressof.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/foreign_awaitable.hpp>
#include <again/coro/detail/frame_cache.hpp>
#include <again/coro/detail/result_slot.hpp>
#include <again/coro/detail/unnamed_closure.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
template <class T> class task;

namespace detail {

inline thread_local constinit int start_depth = 0;

class task_promise_base : work {
 public:
  static constexpr int deepest = 64;

  task_promise_base() noexcept = default;
  task_promise_base(const task_promise_base&) = delete;
  task_promise_base& operator=(const task_promise_base&) = delete;
  ~task_promise_base() {
    if (queued != work::state::idle) [[unlikely]]
      unpost();
  }

  static void* operator new(std::size_t size) { return frame_cache::allocate(size); }
  static void operator delete(void* p, std::size_t size) noexcept { frame_cache::deallocate(p, size); }

  static std::suspend_always initial_suspend() noexcept { return {}; }

  struct last_suspend {
    static constexpr bool await_ready() noexcept { return false; }
    template <class Promise> static void await_suspend(std::coroutine_handle<Promise> frame) noexcept {
      task_promise_base& promise = frame.promise();
      if (!promise.starting_) promise.post_finished();  // else its starter is looking
    }
    static constexpr void await_resume() noexcept {}
  };
  static last_suspend final_suspend() noexcept { return {}; }

  template <class Promise> bool start(std::coroutine_handle<Promise> frame, continuation k,
                                      const context& ctx) noexcept {
    continuation_ = k;
    context_ = &ctx;
    if (start_depth >= deepest) [[unlikely]] {
      post_start<Promise>();
      return false;
    }
    ++start_depth;
    starting_ = true;
    frame.resume();
    starting_ = false;
    --start_depth;
    return frame.done();
  }

  const again::context* context() const noexcept { return context_; }

  /// Awaits a startable that stands elsewhere, in a coroutine that has a context: nothing but a pointer.
  template <class S> struct direct_awaiter {
    using native = void;
    S& startable;
    static constexpr bool await_ready() noexcept { return false; }
    template <class Promise> bool await_suspend(std::coroutine_handle<Promise> frame) noexcept {
      return !startable.start({&resume_coroutine, frame.address()}, *frame.promise().context());
    }
    [[nodiscard]] typename S::result_type await_resume() { return startable.take(); }
  };

  /// Ours pass as they are; anything foreign comes back to this task's scheduler.
  template <awaitable A> decltype(auto) await_transform(A&& operand) noexcept {
    return awaiter_of(static_cast<A&&>(operand));
  }
  template <awaitable A>
    requires holds_unnamed_closure<A>
  [[deprecated("again: g++ 12 destroys twice what a lambda owns that is written inside a co_await expression: name the "
               "lambda first, auto op = [x] { ... };, and pass op (docs/gcc12.md)")]] decltype(auto)
  await_transform(A&& operand) noexcept {
    return awaiter_of(static_cast<A&&>(operand));
  }

 private:
  template <class A> decltype(auto) awaiter_of(A&& operand) noexcept {
    if constexpr (native_awaitable<A&&> && startable<std::remove_cvref_t<A>>) {
      return direct_awaiter<std::remove_reference_t<A>>{operand};
    } else if constexpr (native_operation<A&&>) {
      return context_awaiter<std::remove_cvref_t<decltype(operand())>>{operand};
    } else if constexpr (native_awaitable<A&&>) {
      return static_cast<A&&>(operand);
    } else {
      return holding_awaiter<foreign_awaitable<A&&>>{std::in_place, static_cast<A&&>(operand)};
    }
  }
  // Out of line: inlined, they would cost every coroutine its registers.
  [[gnu::noinline, gnu::cold]] void unpost() noexcept { context_->scheduler->forget(*this); }
  [[gnu::noinline]] void post_finished() noexcept {
    this->run = [](work& self) noexcept { static_cast<task_promise_base&>(self).continuation_(); };
    context_->scheduler->post(*this);
  }
  template <class Promise> [[gnu::noinline, gnu::cold]] void post_start() noexcept {
    this->run = [](work& self) noexcept {
      Promise& promise = static_cast<Promise&>(static_cast<task_promise_base&>(self));
      std::coroutine_handle<Promise>::from_promise(promise).resume();
    };
    context_->scheduler->post(*this);
  }

  bool starting_ = false;  // small things first: they fit behind `work`

 protected:
  result_states state_ = result_states::empty;

 private:
  continuation continuation_;
  const again::context* context_ = nullptr;
};

template <class T> class task_promise final : public result_slot<T, task_promise_base> {
 public:
  task<T> get_return_object() noexcept;
  void unhandled_exception() noexcept { this->set_exception(std::current_exception()); }
  template <class U = T>
    requires std::is_convertible_v<U&&, T>
  void return_value(U&& value) {
    if constexpr (std::is_reference_v<T>) {
      this->set(address_of(value));
    } else {
      this->set(std::forward<U>(value));
    }
  }
};

template <> class task_promise<void> final : public result_slot<void, task_promise_base> {
 public:
  task<void> get_return_object() noexcept;
  void unhandled_exception() noexcept { set_exception(std::current_exception()); }
  void return_void() noexcept { set(); }
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
