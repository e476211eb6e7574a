// SPDX-License-Identifier: MIT
/// \file
/// The parts of libcoro that the tests of interop/ use, with its rules: a task starts when it is awaited, and both ways
/// are symmetric transfer; its promise transforms no await; a coroutine goes on wherever what it awaited has resumed it;
/// awaiting a temporary task gives `T&&`, a named one `const T&`. There are no cancellation tokens.
#pragma once

#include "lookalike_parts.hpp"

#include <atomic>
#include <concepts>
#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace coro {

namespace concepts {
template <class T>
concept awaiter = requires(T t, std::coroutine_handle<> h) {
  { t.await_ready() } -> std::same_as<bool>;
  t.await_suspend(h);
  t.await_resume();
};
template <class T>
concept awaitable = awaiter<T> || requires(T t) {
  { t.operator co_await() } -> awaiter;
};
}  // namespace concepts

template <class T = void> class [[nodiscard]] task {
 public:
  struct promise_type : again_test::returns<T> {
    std::coroutine_handle<> continuation;
    task get_return_object() noexcept { return task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct last {
      static bool await_ready() noexcept { return false; }
      static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> frame) noexcept {
        const std::coroutine_handle<> next = frame.promise().continuation;
        return next ? next : std::noop_coroutine();
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
          return std::as_const(this->frame.promise().result.get());
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
  bool resume() {
    if (!frame_.done()) frame_.resume();
    return !frame_.done();
  }

 private:
  explicit task(handle frame) noexcept : frame_{frame} {}
  handle frame_;
};

class thread_pool {
 public:
  struct options {
    std::uint32_t thread_count = 1;
  };
  static std::unique_ptr<thread_pool> make_unique(options o) { return std::make_unique<thread_pool>(o); }
  explicit thread_pool(options o) : threads_{o.thread_count} {}
  auto schedule() {
    struct operation {
      thread_pool& pool;
      static bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<> h) noexcept { pool.resume(h); }
      static void await_resume() noexcept {}
    };
    return operation{*this};
  }
  bool resume(std::coroutine_handle<> h) noexcept {
    threads_.add([h] { h.resume(); });
    return true;
  }
  /// Starts the task on a thread of the pool; its frame ends with it.
  bool spawn_detached(task<void>&& what) noexcept {
    [](thread_pool& pool, task<void> inner) -> detached {
      co_await pool.schedule();
      co_await std::move(inner);
    }(*this, std::move(what));
    return true;
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
  again_test::worker_threads threads_;
};

namespace detail {

template <class A> decltype(auto) get_awaiter(A&& a) {
  if constexpr (requires { static_cast<A&&>(a).operator co_await(); }) {
    return static_cast<A&&>(a).operator co_await();
  } else {
    return static_cast<A&&>(a);
  }
}
template <class A> using await_result = decltype(get_awaiter(std::declval<A>()).await_resume());

/// The task of one child of `when_all`; `return_value` gives its result.
template <class T> class when_all_task {
 public:
  explicit when_all_task(again_test::watched_coroutine<T> run) : run_{std::move(run)} {}
  template <class F> void start(F at_end) { run_.start(std::move(at_end)); }
  decltype(auto) return_value() { return (run_.get()); }

 private:
  again_test::watched_coroutine<T> run_;
};

template <class... A> class when_all_awaitable {
 public:
  explicit when_all_awaitable(A... awaitables) : children_{when_all_task{run(std::move(awaitables))}...} {}
  static bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    std::apply([&](auto&... child) { (child.start([this, awaiting] { return one_less(awaiting); }), ...); }, children_);
    return left_.fetch_sub(1, std::memory_order_acq_rel) > 1;
  }
  auto await_resume() { return std::move(children_); }

 private:
  template <class One> static again_test::watched_coroutine<std::remove_cvref_t<await_result<One>>> run(One awaitable) {
    co_return co_await std::move(awaitable);
  }
  std::coroutine_handle<> one_less(std::coroutine_handle<> awaiting) {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) return awaiting;
    return std::noop_coroutine();
  }
  std::atomic<std::size_t> left_{sizeof...(A) + 1};
  std::tuple<when_all_task<std::remove_cvref_t<await_result<A>>>...> children_;
};

}  // namespace detail

/// Starts all, on this thread; goes on where the last one ends.
template <concepts::awaitable... A> [[nodiscard]] auto when_all(A... awaitables) {
  return detail::when_all_awaitable<A...>{std::move(awaitables)...};
}

template <concepts::awaitable A> auto sync_wait(A&& awaitable) {
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

}  // namespace coro
