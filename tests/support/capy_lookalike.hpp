// SPDX-License-Identifier: MIT
/// \file
/// The parts of capy (cppalliance/capy, P4003) that the tests of io_awaitable/ use, with its rules:
/// - a task awaits only what has `await_suspend(handle, const io_env*)`; it stores a decayed copy of it, and calls it where
///   nothing may be thrown;
/// - the environment has a reference to an executor, a `std::stop_token` and a frame allocator;
/// - an executor's `dispatch` gives the coroutine back if it may go on at once, else queues the continuation, which it
///   links by its second member; `post` always queues;
/// - a task that is destroyed before its end destroys the coroutine that awaits it.
#pragma once

#include "lookalike_parts.hpp"

#include <coroutine>
#include <exception>
#include <memory_resource>
#include <optional>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>

namespace boost::capy {

struct continuation {
  std::coroutine_handle<> h;
  void* reserved = nullptr;
};

class execution_context {
 public:
  execution_context() = default;
  execution_context(const execution_context&) = delete;
  execution_context& operator=(const execution_context&) = delete;
  virtual ~execution_context() = default;
};

namespace detail {
struct executor_vtable {
  execution_context& (*context)(const void*) noexcept;
  void (*on_work_started)(const void*) noexcept;
  void (*on_work_finished)(const void*) noexcept;
  void (*post)(const void*, continuation&);
  std::coroutine_handle<> (*dispatch)(const void*, continuation&);
};
template <class Ex>
inline constexpr executor_vtable vtable_for = {
    [](const void* p) noexcept -> execution_context& { return static_cast<const Ex*>(p)->context(); },
    [](const void* p) noexcept { static_cast<const Ex*>(p)->on_work_started(); },
    [](const void* p) noexcept { static_cast<const Ex*>(p)->on_work_finished(); },
    [](const void* p, continuation& c) { static_cast<const Ex*>(p)->post(c); },
    [](const void* p, continuation& c) { return static_cast<const Ex*>(p)->dispatch(c); },
};
}  // namespace detail

class executor_ref {
 public:
  executor_ref() = default;
  template <class Ex>
    requires(!std::is_same_v<Ex, executor_ref>)
  executor_ref(const Ex& ex) noexcept : ex_{&ex}, vt_{&detail::vtable_for<Ex>} {}  // NOLINT: converts, as capy's does
  explicit operator bool() const noexcept { return ex_ != nullptr; }
  execution_context& context() const noexcept { return vt_->context(ex_); }
  void on_work_started() const noexcept { vt_->on_work_started(ex_); }
  void on_work_finished() const noexcept { vt_->on_work_finished(ex_); }
  std::coroutine_handle<> dispatch(continuation& c) const { return vt_->dispatch(ex_, c); }
  void post(continuation& c) const { vt_->post(ex_, c); }

 private:
  const void* ex_ = nullptr;
  const detail::executor_vtable* vt_ = nullptr;
};

struct io_env {
  executor_ref executor;
  std::stop_token stop_token;
  std::pmr::memory_resource* frame_allocator = nullptr;
};

template <class A>
concept IoAwaitable = requires(A a, std::coroutine_handle<> h, const io_env* env) { a.await_suspend(h, env); };

template <class T = void> struct [[nodiscard]] task {
  struct promise_type : again_test::returns<T> {
    promise_type() noexcept {}
    promise_type(const promise_type&) = delete;
    promise_type& operator=(const promise_type&) = delete;
    ~promise_type() {
      if (cont && cont != std::noop_coroutine()) cont.destroy();
    }
    task get_return_object() { return task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct last {
      static bool await_ready() noexcept { return false; }
      static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        return std::exchange(h.promise().cont, nullptr);
      }
      static void await_resume() noexcept {}
    };
    static last final_suspend() noexcept { return {}; }

    template <class Awaitable> struct transform_awaiter {
      std::decay_t<Awaitable> a_;
      promise_type* p_;
      bool await_ready() noexcept { return a_.await_ready(); }
      decltype(auto) await_resume() { return a_.await_resume(); }
      template <class Promise> auto await_suspend(std::coroutine_handle<Promise> h) noexcept {
        // The analyzer does not see that a promise is constructed.
        return a_.await_suspend(h, p_->env);  // NOLINT(clang-analyzer-core.CallAndMessage)
      }
    };
    template <class Awaitable> auto await_transform(Awaitable&& a) {
      static_assert(IoAwaitable<std::decay_t<Awaitable>>, "requires IoAwaitable");
      return transform_awaiter<Awaitable>{std::forward<Awaitable>(a), this};
    }

    std::coroutine_handle<> cont;
    const io_env* env = nullptr;
  };

  std::coroutine_handle<promise_type> h_;

  explicit task(std::coroutine_handle<promise_type> h) noexcept : h_{h} {}
  task(task&& other) noexcept : h_{std::exchange(other.h_, nullptr)} {}
  task& operator=(task&&) = delete;
  ~task() {
    if (h_) h_.destroy();
  }
  bool await_ready() const noexcept { return false; }
  T await_resume() {
    if constexpr (std::is_void_v<T>) {
      h_.promise().result.get();
    } else {
      return std::move(h_.promise().result.get());
    }
  }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> cont, const io_env* env) {
    h_.promise().cont = cont;
    h_.promise().env = env;
    return h_;
  }
  std::coroutine_handle<promise_type> handle() const noexcept { return h_; }
  void release() noexcept { h_ = nullptr; }
};

class thread_pool : public execution_context {
 public:
  explicit thread_pool(std::size_t threads) : threads_{static_cast<std::uint32_t>(threads)} {}
  class executor_type {
   public:
    executor_type() = default;
    explicit executor_type(thread_pool& pool) noexcept : pool_{&pool} {}
    execution_context& context() const noexcept { return *pool_; }
    void on_work_started() const noexcept {}
    void on_work_finished() const noexcept {}
    std::coroutine_handle<> dispatch(continuation& c) const {
      post(c);
      return std::noop_coroutine();
    }
    void post(continuation& c) const {
      pool_->threads_.add([&c] {
        const std::coroutine_handle<> h = c.h;  // the continuation ends with what goes on
        h.resume();
      });
    }
    bool operator==(const executor_type&) const noexcept = default;

   private:
    thread_pool* pool_ = nullptr;
  };
  executor_type get_executor() noexcept { return executor_type{*this}; }
  void join() { threads_.join(); }

 private:
  again_test::worker_threads threads_;
};

namespace detail {
/// Owns the environment of a chain of coroutines, and calls a handler at its end.
template <class Ex, class H1, class H2> struct launcher {
  Ex ex;
  std::stop_token token;
  H1 on_value;
  H2 on_error;

  struct frame_holder {
    struct promise_type {
      promise_type() noexcept {}
      frame_holder get_return_object() { return {}; }
      static std::suspend_never initial_suspend() noexcept { return {}; }
      static std::suspend_never final_suspend() noexcept { return {}; }
      static void return_void() noexcept {}
      [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
    };
  };
  template <class T> struct start_on {
    launcher& self;
    io_env& env;
    task<T>& what;
    continuation first{};
    static bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) {
      first.h = what.await_suspend(h, &env);
      self.ex.post(first);
    }
    static void await_resume() noexcept {}
  };
  template <class T> static frame_holder run(launcher self, task<T> what) {
    io_env env;
    env.executor = self.ex;
    env.stop_token = self.token;
    co_await start_on<T>{self, env, what};
    std::exception_ptr error;
    std::optional<again_test::stored_value<T>> value;
    try {
      value.emplace(std::move(what.h_.promise().result.get()));
    } catch (...) { error = std::current_exception(); }
    if (error) {
      self.on_error(error);
    } else {
      self.on_value(std::move(*value));
    }
  }
  template <class T> void operator()(task<T> what) && { run(std::move(*this), std::move(what)); }
};
}  // namespace detail

template <class Ex, class H1, class H2> auto run_async(Ex ex, std::stop_token token, H1 on_value, H2 on_error) {
  return detail::launcher<Ex, H1, H2>{std::move(ex), std::move(token), std::move(on_value), std::move(on_error)};
}

}  // namespace boost::capy
