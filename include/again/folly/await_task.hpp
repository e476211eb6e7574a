// SPDX-License-Identifier: MIT
/// \file
/// Coroutines of folly in an `again::task`: they run on an executor, which has to be named.
///
/// ```cpp
/// again::task<int> ours(folly::Executor::KeepAlive<> ex) {
///   int n = co_await folly::coro::co_withExecutor(ex, theirs());          // std::move(task).scheduleOn(ex) in older ones
///   auto r = co_await again::retry(polite, [&] { return co_withExecutor(ex, theirs_too()); });
///   …
/// }
/// ```
///
/// - Result: that of the Task; its exception is rethrown.
/// - Cancellation: a stop request of the awaiting context cancels the Task's token, unless it has one already
///   (`co_withCancellation`). The Task is then awaited; it decides when it ends. So `timeout`, `attempt_timeout` and a
///   deadline reach it as well.
/// - Where it goes on: on the scheduler of the awaiting coroutine.
/// - Lifetime: folly's Tasks cannot be abandoned while they run. Do not destroy an awaiting coroutine; stop it.
/// - A `folly::coro::Task` without an executor is one compile error, which says what to write.
/// - Cost: the state of folly's token, and one recycled frame.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/context.hpp>
#include <again/folly/library.hpp>

#include <coroutine>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class T> struct await_advice<::folly::coro::Task<T>> {
  static void explain() {
    static_assert(sizeof(T*) == 0,
                  "again: a folly::coro::Task runs on an executor, which must be named: write co_await "
                  "folly::coro::co_withExecutor(executor, task()), or std::move(task).scheduleOn(executor)");
  }
};

/// Awaits a Task that has its executor, and passes a stop request of the awaiting context on to it.
template <class T> class folly_task_awaiter {
  using awaiter = decltype(std::declval<::folly::coro::TaskWithExecutor<T>>().operator co_await());

 public:
  explicit folly_task_awaiter(::folly::coro::TaskWithExecutor<T>&& task) noexcept : task_{std::move(task)} {}
  folly_task_awaiter(const folly_task_awaiter&) = delete;
  folly_task_awaiter& operator=(const folly_task_awaiter&) = delete;
  ~folly_task_awaiter() = default;

  static constexpr bool await_ready() noexcept { return false; }
  template <class Promise> void await_suspend(std::coroutine_handle<Promise> awaiting) {
    inplace_stop_token stop;
    if constexpr (context_provider<Promise>) stop = awaiting.promise().context()->stop;
    if (stop.stop_possible()) {
      cancel_.emplace();
      task_ = co_withCancellation(cancel_->getToken(), std::move(task_));
      on_stop_.emplace(stop, request{&*cancel_});
    }
    awaiter_.emplace(start{&task_}).a.await_suspend(awaiting);  // may be resumed from here on
  }
  T await_resume() {
    on_stop_.reset();
    return awaiter_->a.await_resume();
  }

 private:
  struct request {
    ::folly::CancellationSource* source;
    void operator()() const noexcept {
      const ::folly::CancellationSource kept = *source;  // what it calls may end the await
      kept.requestCancellation();
    }
  };
  struct start {
    ::folly::coro::TaskWithExecutor<T>* task;
  };
  struct holder {
    explicit holder(start s) noexcept : a{std::move(*s.task).operator co_await()} {}
    awaiter a;
  };

  ::folly::coro::TaskWithExecutor<T> task_;
  std::optional<::folly::CancellationSource> cancel_;
  std::optional<holder> awaiter_;
  std::optional<inplace_stop_callback<request>> on_stop_;
};

template <class T> struct adopted_awaitable<::folly::coro::TaskWithExecutor<T>> {
  static folly_task_awaiter<T> awaiter(::folly::coro::TaskWithExecutor<T>&& task) noexcept {
    return folly_task_awaiter<T>{std::move(task)};
  }
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
