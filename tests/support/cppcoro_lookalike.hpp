// SPDX-License-Identifier: MIT
/// \file
/// The parts of cppcoro that the tests of interop/ use, with its rules: a task starts when it is awaited, and both ways
/// are symmetric transfer; its promise transforms no await and knows no scheduler; a coroutine goes on wherever what it
/// awaited has resumed it; awaiting a temporary task gives `T&&`.
#pragma once

#include "lookalike_parts.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cppcoro {

template <class T = void> class [[nodiscard]] task {
 public:
  struct promise_type : again_test::returns<T> {
    std::coroutine_handle<> continuation;
    task get_return_object() noexcept { return task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct last {
      static bool await_ready() noexcept { return false; }
      static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> frame) noexcept {
        return frame.promise().continuation;
      }
      static void await_resume() noexcept {}
    };
    static last final_suspend() noexcept { return {}; }
  };
  using handle = std::coroutine_handle<promise_type>;

  task(task&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  task(const task&) = delete;
  task& operator=(const task&) = delete;
  ~task() {
    if (frame_) frame_.destroy();
  }

  struct awaiter_base {
    handle frame;
    [[nodiscard]] bool await_ready() const noexcept { return !frame || frame.done(); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
      frame.promise().continuation = awaiting;
      return frame;
    }
  };
  auto operator co_await() const& noexcept {
    struct awaiter : awaiter_base {
      decltype(auto) await_resume() {
        if constexpr (std::is_void_v<T>) {
          this->frame.promise().result.get();
        } else {
          return (this->frame.promise().result.get());
        }
      }
    };
    return awaiter{{frame_}};
  }
  auto operator co_await() const&& noexcept {
    struct awaiter : awaiter_base {
      decltype(auto) await_resume() {
        if constexpr (std::is_void_v<T>) {
          this->frame.promise().result.get();
        } else {
          return std::move(this->frame.promise().result.get());
        }
      }
    };
    return awaiter{{frame_}};
  }

 private:
  explicit task(handle frame) noexcept : frame_{frame} {}
  handle frame_;
};

namespace detail {

template <class A> decltype(auto) get_awaiter(A&& a) {
  if constexpr (requires { static_cast<A&&>(a).operator co_await(); }) {
    return static_cast<A&&>(a).operator co_await();
  } else if constexpr (requires { operator co_await(static_cast<A&&>(a)); }) {
    return operator co_await(static_cast<A&&>(a));
  } else {
    return static_cast<A&&>(a);
  }
}
template <class A> using await_result = decltype(detail::get_awaiter(std::declval<A>()).await_resume());
template <class T> using no_rvalue = std::conditional_t<std::is_rvalue_reference_v<T>, std::remove_reference_t<T>, T>;

}  // namespace detail

class static_thread_pool {
 public:
  explicit static_thread_pool(std::uint32_t count) : threads_{count} {}
  auto schedule() noexcept {
    struct operation {
      again_test::worker_threads& threads;
      static bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<> h) noexcept {
        threads.add([h] { h.resume(); });
      }
      static void await_resume() noexcept {}
    };
    return operation{threads_};
  }

 private:
  again_test::worker_threads threads_;
};

/// The awaitable runs where it would; the coroutine goes on on the scheduler.
template <class Scheduler, class A, class R = detail::no_rvalue<detail::await_result<A>>>
task<R> resume_on(Scheduler& scheduler, A awaitable) {
  bool rescheduled = false;
  std::exception_ptr error;
  try {
    if constexpr (std::is_void_v<R>) {
      co_await static_cast<A&&>(awaitable);
      rescheduled = true;
      co_await scheduler.schedule();
      co_return;
    } else {
      auto&& awaiter = detail::get_awaiter(static_cast<A&&>(awaitable));
      auto&& result = co_await static_cast<decltype(awaiter)>(awaiter);
      rescheduled = true;
      co_await scheduler.schedule();
      co_return static_cast<decltype(result)>(result);
    }
  } catch (...) { error = std::current_exception(); }
  if (!rescheduled) co_await scheduler.schedule();
  std::rethrow_exception(error);
}

/// The awaitable starts on the scheduler.
template <class Scheduler, class A, class R = detail::no_rvalue<detail::await_result<A>>>
task<R> schedule_on(Scheduler& scheduler, A awaitable) {
  co_await scheduler.schedule();
  co_return co_await std::move(awaitable);
}

/// The real one gives `T&&` for a task; here it is the value.
template <class A> auto sync_wait(A&& awaitable) {
  using result = detail::await_result<A&&>;
  auto run = [](A&& inner) -> again_test::watched_coroutine<std::remove_cvref_t<result>> {
    co_return co_await std::forward<A>(inner);
  }(std::forward<A>(awaitable));
  again_test::blocking_event done;
  run.start([&done]() -> std::coroutine_handle<> {
    done.set();
    return std::noop_coroutine();
  });
  done.wait();
  if constexpr (std::is_void_v<result>) {
    run.get();
  } else {
    return std::remove_cvref_t<result>{std::move(run.get())};
  }
}

namespace detail {

template <class... A> class when_all_awaitable {
 public:
  explicit when_all_awaitable(A... awaitables) : children_{run(std::move(awaitables))...} {}
  static bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    std::apply([&](auto&... child) { (child.start([this, awaiting] { return one_less(awaiting); }), ...); }, children_);
    return left_.fetch_sub(1, std::memory_order_acq_rel) > 1;
  }
  auto await_resume() {
    return std::apply([](auto&... child) { return std::tuple{std::move(child.get())...}; }, children_);
  }

 private:
  template <class One> static again_test::watched_coroutine<std::remove_cvref_t<await_result<One>>> run(One awaitable) {
    co_return co_await std::move(awaitable);
  }
  std::coroutine_handle<> one_less(std::coroutine_handle<> awaiting) {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) return awaiting;
    return std::noop_coroutine();
  }
  std::atomic<std::size_t> left_{sizeof...(A) + 1};
  std::tuple<again_test::watched_coroutine<std::remove_cvref_t<await_result<A>>>...> children_;
};

}  // namespace detail

/// Starts all, on this thread; goes on where the last one ends.
template <class... A> [[nodiscard]] auto when_all(A&&... awaitables) {
  return detail::when_all_awaitable<std::decay_t<A>...>{std::forward<A>(awaitables)...};
}

/// Runs awaitables that nobody awaits. `join` must be awaited before the scope ends.
class async_scope {
 public:
  template <class A> void spawn(A&& awaitable) {
    [](async_scope* scope, std::decay_t<A> inner) -> detached {
      scope->left_.fetch_add(1, std::memory_order_relaxed);
      co_await std::move(inner);
      if (scope->left_.fetch_sub(1, std::memory_order_acq_rel) == 1) scope->continuation_.resume();
    }(this, std::forward<A>(awaitable));
  }
  auto join() noexcept {
    struct joining {
      async_scope& scope;
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      bool await_suspend(std::coroutine_handle<> h) noexcept {
        scope.continuation_ = h;
        return scope.left_.fetch_sub(1, std::memory_order_acq_rel) > 1;
      }
      static void await_resume() noexcept {}
    };
    return joining{*this};
  }

 private:
  struct detached {
    struct promise_type {
      static detached get_return_object() noexcept { return {}; }
      static std::suspend_never initial_suspend() noexcept { return {}; }
      static std::suspend_never final_suspend() noexcept { return {}; }
      static void return_void() noexcept {}
      static void unhandled_exception() noexcept { std::terminate(); }
    };
  };
  std::atomic<std::size_t> left_{1};
  std::coroutine_handle<> continuation_;
};

class cancellation_registration;

namespace detail {
/// Shared by the sources and tokens of one cancellation.
struct cancellation_state {
  std::mutex mutex;
  std::condition_variable changed;
  bool requested = false;                               // guarded by mutex
  std::list<cancellation_registration*> registrations;  // guarded by mutex
  cancellation_registration* running = nullptr;         // guarded by mutex
  std::thread::id notifier;                             // guarded by mutex
};
}  // namespace detail

class cancellation_token {
 public:
  cancellation_token() noexcept = default;
  [[nodiscard]] bool can_be_cancelled() const noexcept { return state_ != nullptr; }
  [[nodiscard]] bool is_cancellation_requested() const noexcept {
    if (state_ == nullptr) return false;
    const std::lock_guard lock{state_->mutex};
    return state_->requested;
  }

 private:
  friend class cancellation_source;
  friend class cancellation_registration;
  std::shared_ptr<detail::cancellation_state> state_;
};

/// Calls the function when cancellation is requested, on the thread that requests it; at once, if it was requested
/// already. The destructor waits for a call on another thread.
class cancellation_registration {
 public:
  template <class F>
  cancellation_registration(cancellation_token token, F&& callback)
      : callback_(std::forward<F>(callback)), state_{std::move(token.state_)} {
    if (state_ == nullptr) return;
    {
      const std::lock_guard lock{state_->mutex};
      if (!state_->requested) {
        state_->registrations.push_back(this);
        return;
      }
    }
    state_ = nullptr;
    callback_();
  }
  cancellation_registration(const cancellation_registration&) = delete;
  cancellation_registration& operator=(const cancellation_registration&) = delete;
  ~cancellation_registration() {
    if (state_ == nullptr) return;
    std::unique_lock lock{state_->mutex};
    state_->registrations.remove(this);
    if (state_->notifier == std::this_thread::get_id()) return;
    state_->changed.wait(lock, [this] { return state_->running != this; });
  }

 private:
  friend class cancellation_source;
  std::function<void()> callback_;
  std::shared_ptr<detail::cancellation_state> state_;
};

class cancellation_source {
 public:
  cancellation_source() : state_{std::make_shared<detail::cancellation_state>()} {}
  [[nodiscard]] cancellation_token token() const noexcept {
    cancellation_token made;
    made.state_ = state_;
    return made;
  }
  void request_cancellation() {
    std::unique_lock lock{state_->mutex};
    if (state_->requested) return;
    state_->requested = true;
    state_->notifier = std::this_thread::get_id();
    while (!state_->registrations.empty()) {
      state_->running = state_->registrations.front();
      state_->registrations.pop_front();
      lock.unlock();
      state_->running->callback_();
      lock.lock();
      state_->running = nullptr;
      state_->changed.notify_all();
    }
  }

 private:
  std::shared_ptr<detail::cancellation_state> state_;
};

}  // namespace cppcoro
