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

}  // namespace again_test
