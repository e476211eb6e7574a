// SPDX-License-Identifier: MIT
/// \file
/// What the look-alikes of other coroutine libraries share: threads that resume coroutines, and an event to block on.
/// It includes nothing of again: those libraries know nothing of it.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace again_test {

/// Threads that run functions in the order in which they come. The destructor runs what is queued, then joins.
class worker_threads {
 public:
  explicit worker_threads(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) threads_.emplace_back([this] { run(); });
  }
  worker_threads(const worker_threads&) = delete;
  worker_threads& operator=(const worker_threads&) = delete;
  ~worker_threads() { join(); }

  void add(std::function<void()> f) {
    const std::lock_guard lock{mutex_};
    queue_.push_back(std::move(f));
    changed_.notify_one();  // under the lock: what was added may end this
  }
  void join() {
    {
      const std::lock_guard lock{mutex_};
      ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& t : threads_) {
      if (t.joinable()) t.join();
    }
  }
  [[nodiscard]] std::size_t count() const noexcept { return threads_.size(); }

 private:
  void run() {
    for (;;) {
      std::function<void()> next;
      {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
        if (queue_.empty()) return;
        next = std::move(queue_.front());
        queue_.pop_front();
      }
      next();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;  // guarded by mutex_
  bool ending_ = false;                      // guarded by mutex_
  std::vector<std::thread> threads_;
};

/// Set once by any thread. `set` holds the lock while it notifies, so that the waiter may destroy the event.
class blocking_event {
 public:
  void set() noexcept {
    const std::lock_guard lock{mutex_};
    is_set_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return is_set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_set_ = false;
};

struct no_value {};
template <class T> using stored_value = std::conditional_t<std::is_void_v<T>, no_value, T>;

/// The result of a coroutine: nothing yet, a value or an exception.
template <class T> class coroutine_result {
 public:
  template <class U> void set(U&& value) { result_.template emplace<1>(std::forward<U>(value)); }
  void fail() noexcept { result_.template emplace<2>(std::current_exception()); }
  stored_value<T>& get() {
    if (result_.index() == 2) std::rethrow_exception(std::get<2>(result_));
    return std::get<1>(result_);
  }

 private:
  std::variant<std::monostate, stored_value<T>, std::exception_ptr> result_;
};

/// What a coroutine that returns `T` has in its promise: `return_value`, or `return_void`.
template <class T> struct returns {
  coroutine_result<T> result;
  template <class U> void return_value(U&& value) { result.set(std::forward<U>(value)); }
  void unhandled_exception() noexcept { result.fail(); }
};
template <> struct returns<void> {
  coroutine_result<void> result;
  void return_void() { result.set(no_value{}); }
  void unhandled_exception() noexcept { result.fail(); }
};

/// Starts when its owner says so, and calls a function at its end. Its frame is destroyed with its owner.
template <class T> class watched_coroutine {
 public:
  struct promise_type : returns<T> {
    std::function<std::coroutine_handle<>()> at_end;
    watched_coroutine get_return_object() {
      return watched_coroutine{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct last {
      static bool await_ready() noexcept { return false; }
      // The function outlives the frame: what it calls may destroy that.
      static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> frame) noexcept {
        const auto end = std::move(frame.promise().at_end);
        return end();
      }
      static void await_resume() noexcept {}
    };
    static last final_suspend() noexcept { return {}; }
  };

  watched_coroutine(watched_coroutine&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  watched_coroutine(const watched_coroutine&) = delete;
  watched_coroutine& operator=(const watched_coroutine&) = delete;
  ~watched_coroutine() {
    if (frame_) frame_.destroy();
  }

  /// `at_end` returns the coroutine that goes on at the end of this one.
  void start(std::function<std::coroutine_handle<>()> at_end) {
    frame_.promise().at_end = std::move(at_end);
    frame_.resume();
  }
  stored_value<T>& get() { return frame_.promise().result.get(); }

 private:
  explicit watched_coroutine(std::coroutine_handle<promise_type> frame) : frame_{frame} {}
  std::coroutine_handle<promise_type> frame_;
};

}  // namespace again_test
