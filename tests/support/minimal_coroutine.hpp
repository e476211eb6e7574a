// SPDX-License-Identifier: MIT
/// \file
/// Coroutine types that know nothing of again: what any program may already have. They include none of its headers.
#pragma once

#include <coroutine>
#include <exception>
#include <future>
#include <optional>
#include <utility>

namespace again_test {

/// As small as a coroutine with a result can be: runs at `resume`, keeps its value, is destroyed with its owner, at any
/// suspension point.
template <class T> class bare {
 public:
  struct promise_type {
    std::optional<T> value;
    std::exception_ptr error;
    bare get_return_object() { return bare{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static std::suspend_always final_suspend() noexcept { return {}; }
    void return_value(T v) { value.emplace(std::move(v)); }
    void unhandled_exception() { error = std::current_exception(); }
  };

  bare(bare&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  bare(const bare&) = delete;
  bare& operator=(const bare&) = delete;
  ~bare() {
    if (frame_) frame_.destroy();
  }
  void resume() { frame_.resume(); }
  bool done() const { return frame_.done(); }
  T result() const {
    if (frame_.promise().error) std::rethrow_exception(frame_.promise().error);
    return *frame_.promise().value;
  }

 private:
  explicit bare(std::coroutine_handle<promise_type> frame) : frame_{frame} {}
  std::coroutine_handle<promise_type> frame_;
};

/// In the manner of std::future: starts at once, destroys itself, hands its result to the thread that waits, whichever that is.
template <class T> class promised {
 public:
  struct promise_type {
    std::promise<T> result;
    promised get_return_object() { return promised{result.get_future()}; }
    static std::suspend_never initial_suspend() noexcept { return {}; }
    static std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(T v) { result.set_value(std::move(v)); }
    void unhandled_exception() { result.set_exception(std::current_exception()); }
  };
  T get() { return future_.get(); }

 private:
  explicit promised(std::future<T> f) : future_{std::move(f)} {}
  std::future<T> future_;
};

/// In the manner of cppcoro::task and coro::task: starts when it is awaited, by symmetric transfer, and resumes the awaiting
/// coroutine wherever it finishes. `co_await` of a temporary gives a reference to the result in its frame, as an rvalue; of a
/// named one `const T&`.
template <class T> class lazy {
 public:
  struct promise_type {
    std::coroutine_handle<> awaiting;
    std::optional<T> value;
    std::exception_ptr error;
    lazy get_return_object() { return lazy{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct last {
      static bool await_ready() noexcept { return false; }
      static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> frame) noexcept {
        return frame.promise().awaiting;
      }
      static void await_resume() noexcept {}
    };
    static last final_suspend() noexcept { return {}; }
    void return_value(T v) { value.emplace(std::move(v)); }
    void unhandled_exception() { error = std::current_exception(); }
    T& result() {
      if (error) std::rethrow_exception(error);
      return *value;
    }
  };

  lazy(lazy&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  lazy(const lazy&) = delete;
  lazy& operator=(const lazy&) = delete;
  ~lazy() {
    if (frame_) frame_.destroy();
  }
  auto operator co_await() const& noexcept {
    struct awaiter : start {
      const T& await_resume() { return this->frame.promise().result(); }
    };
    return awaiter{{frame_}};
  }
  auto operator co_await() const&& noexcept {
    struct awaiter : start {
      T&& await_resume() { return std::move(this->frame.promise().result()); }
    };
    return awaiter{{frame_}};
  }

 private:
  struct start {
    std::coroutine_handle<promise_type> frame;
    static bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
      frame.promise().awaiting = awaiting;
      return frame;
    }
  };
  explicit lazy(std::coroutine_handle<promise_type> frame) : frame_{frame} {}
  std::coroutine_handle<promise_type> frame_;
};

/// Starts at once, nobody waits for it, and it destroys itself.
struct detached {
  struct promise_type {
    static detached get_return_object() noexcept { return {}; }
    static std::suspend_never initial_suspend() noexcept { return {}; }
    static std::suspend_never final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    static void unhandled_exception() noexcept { std::terminate(); }
  };
};

}  // namespace again_test
