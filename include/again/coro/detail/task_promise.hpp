// SPDX-License-Identifier: MIT
/// \file
/// The promise of `task`. One thread: the scheduler's.
///
/// It keeps the stack constant without tail calls:
/// - A task is started by a plain call of `resume`. If it finishes at once, that call returns and the starter goes on
///   without having been suspended.
/// - A task that finishes later posts its continuation to its scheduler, instead of calling it from its last
///   suspension.
/// - A start nested deeper than `deepest` is posted as well.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/foreign_awaitable.hpp>
#include <again/coro/detail/misused.hpp>
#include <again/coro/detail/promise_allocation.hpp>
#include <again/coro/detail/result_slot.hpp>
#include <again/coro/detail/unnamed_closure.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
template <class T> class task;

namespace detail {

inline thread_local constinit int start_depth = 0;

/// Awaited as an rvalue only.
template <class S>
concept runs_once = startable<S> && member_co_await<S> && !member_co_await<S&>;

template <class F>
concept makes_awaitable = std::invocable<F> && awaitable<std::invoke_result_t<F>>;

class task_promise_base : public promise_allocation, work {
 public:
  static constexpr int deepest = 64;

  task_promise_base() noexcept = default;
  task_promise_base(const task_promise_base&) = delete;
  task_promise_base& operator=(const task_promise_base&) = delete;
  ~task_promise_base() {
    if (queued != work::state::idle) [[unlikely]]
      unpost();
  }

  static std::suspend_always initial_suspend() noexcept { return {}; }

  struct last_suspend {
    static constexpr bool await_ready() noexcept { return false; }
    template <class Promise> static void await_suspend(std::coroutine_handle<Promise> frame) noexcept {
      task_promise_base& promise = frame.promise();
      if (!promise.starting_) promise.post_finished();  // else `start` sees that it is done
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
  using stays_on_its_scheduler = void;

  /// Awaits a startable that is stored elsewhere. A task has a context, so the awaiter is a pointer and no more.
  template <class S> struct direct_awaiter {
    using native = void;
    S& startable;
    static constexpr bool await_ready() noexcept { return false; }
    template <class Promise> bool await_suspend(std::coroutine_handle<Promise> frame) noexcept {
      return !startable.start({&resume_coroutine, frame.address()}, *frame.promise().context());
    }
    [[nodiscard]] typename S::result_type await_resume() { return startable.take(); }
  };

  /// Native awaitables are awaited as they are. A foreign one is wrapped, so that the task is resumed on its own
  /// scheduler.
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
  /// Anything else is a mistake: one compile error says how to fix it.
  template <class Wrong>
    requires(!awaitable<Wrong>)
  misused await_transform(Wrong&&) noexcept {
    if constexpr (expected_result<std::remove_cvref_t<Wrong>>) {
      static_assert(!expected_result<std::remove_cvref_t<Wrong>>,
                    "again: this is a result already; leave co_await out");
    } else if constexpr (has_await_advice<std::remove_cvref_t<Wrong>>) {
      await_advice<std::remove_cvref_t<Wrong>>::explain();
    } else if constexpr (makes_awaitable<Wrong>) {
      static_assert(!makes_awaitable<Wrong>, "again: this function makes what can be awaited; call it: co_await f()");
    } else {
      static_assert(awaitable<Wrong>,
                    "again: this cannot be awaited; write co_await before a task, an operation or another awaitable");
    }
    return {};
  }

 private:
  template <class A> decltype(auto) awaiter_of(A&& operand) noexcept {
    if constexpr (std::is_lvalue_reference_v<A> && runs_once<std::remove_cvref_t<A>>) {
      static_assert(
          !std::is_lvalue_reference_v<A>,
          "again: a task runs once, and one that has a name is moved into the await: co_await std::move(task)");
      return misused{};
    } else if constexpr (native_awaitable<A&&> && startable<std::remove_cvref_t<A>>) {
      return direct_awaiter<std::remove_reference_t<A>>{operand};
    } else if constexpr (native_operation<A&&>) {
      return context_awaiter<std::remove_cvref_t<decltype(operand())>>{operand};
    } else if constexpr (native_awaitable<A&&>) {
      return static_cast<A&&>(operand);
    } else {
      return context_awaiter<foreign_awaitable<A&&>>{std::in_place, static_cast<A&&>(operand)};
    }
  }
  // Out of line: inlined, they would make every coroutine save more registers.
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

  bool starting_ = false;  // small members first: they fit into the padding behind `work`

 protected:
  result_state state_ = result_state::empty;

 private:
  continuation continuation_;
  const again::context* context_ = nullptr;
};

template <class T> class task_promise final : public result_promise<T, task_promise_base> {
 public:
  task<T> get_return_object() noexcept;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
