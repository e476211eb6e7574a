// SPDX-License-Identifier: MIT
/// \file
/// The parts of Boost.Cobalt (Boost 1.84) that the tests of interop/ use, over the Boost.Asio that is there, with its
/// rules: a task runs on an executor that its awaiting coroutine or `spawn` gives it, and throws `bad_executor` in any
/// other; its promise awaits everything as it is, so that what is no asynchronous operation resumes it wherever that
/// runs, and nothing keeps the execution context at work meanwhile; `use_op` makes an awaitable of an asynchronous
/// operation, whose handler has the promise's executor and cancellation slot; an `std::exception_ptr` is rethrown.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

namespace boost::cobalt {

using executor = asio::any_io_executor;
struct bad_executor : std::runtime_error {
  bad_executor() : std::runtime_error{"bad executor"} {}
};

template <class T> class [[nodiscard]] task {
 public:
  struct promise_type {
    using executor_type = executor;
    using cancellation_slot_type = asio::cancellation_slot;
    std::optional<executor> exec;
    asio::cancellation_signal signal;
    std::coroutine_handle<> awaited_from = std::noop_coroutine();
    std::optional<T> value;
    std::exception_ptr error;

    promise_type() noexcept {}  // not the coroutine's parameters
    task get_return_object() { return task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct last {
      static bool await_ready() noexcept { return false; }
      static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        return h.promise().awaited_from;
      }
      static void await_resume() noexcept {}
    };
    static last final_suspend() noexcept { return {}; }
    void return_value(T v) { value.emplace(std::move(v)); }
    void unhandled_exception() { error = std::current_exception(); }
    const executor& get_executor() const {
      if (!exec) throw bad_executor{};
      return *exec;
    }
    cancellation_slot_type get_cancellation_slot() noexcept { return signal.slot(); }
  };

  task(task&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  task(const task&) = delete;
  task& operator=(const task&) = delete;
  ~task() {
    if (frame_) frame_.destroy();
  }

  struct awaiter {
    std::coroutine_handle<promise_type> frame;
    asio::cancellation_slot slot{};
    static bool await_ready() noexcept { return false; }
    template <class Promise> std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) {
      if constexpr (requires { h.promise().get_executor(); }) {
        frame.promise().exec = h.promise().get_executor();
      } else {
        throw bad_executor{};
      }
      if constexpr (requires { h.promise().get_cancellation_slot(); }) {
        slot = h.promise().get_cancellation_slot();
        if (slot.is_connected()) {
          slot.assign([f = frame](asio::cancellation_type type) { f.promise().signal.emit(type); });
        }
      }
      frame.promise().awaited_from = h;
      return frame;
    }
    T await_resume() {
      if (slot.is_connected()) slot.clear();
      if (frame.promise().error) std::rethrow_exception(frame.promise().error);
      return std::move(*frame.promise().value);
    }
  };
  auto operator co_await() && { return awaiter{frame_}; }
  std::coroutine_handle<promise_type> frame() const noexcept { return frame_; }

 private:
  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_{frame} {}
  std::coroutine_handle<promise_type> frame_;
};

template <class... Args> struct completion_handler {
  using executor_type = executor;
  using cancellation_slot_type = asio::cancellation_slot;
  std::coroutine_handle<> awaiting;
  executor exec;
  asio::cancellation_slot slot;
  std::optional<std::tuple<Args...>>* result;
  executor_type get_executor() const noexcept { return exec; }
  cancellation_slot_type get_cancellation_slot() const noexcept { return slot; }
  void operator()(Args... args) {
    result->emplace(std::move(args)...);
    awaiting.resume();
  }
};

struct use_op_t {};
inline constexpr use_op_t use_op{};

template <class Initiation, class Inits, class... Args> class op {
 public:
  op(Initiation initiation, Inits args) : initiation_(std::move(initiation)), args_(std::move(args)) {}
  struct awaiter {
    op& self;
    std::optional<std::tuple<Args...>> result;
    static bool await_ready() noexcept { return false; }
    template <class Promise> void await_suspend(std::coroutine_handle<Promise> h) {
      completion_handler<Args...> handler{h, h.promise().get_executor(), h.promise().get_cancellation_slot(), &result};
      std::apply([&](auto&&... args) { std::move(self.initiation_)(std::move(handler), std::move(args)...); },
                 std::move(self.args_));
    }
    auto await_resume() {
      if (std::get<0>(*result)) std::rethrow_exception(std::get<0>(*result));
      if constexpr (sizeof...(Args) == 2) return std::move(std::get<1>(*result));
    }
  };
  auto operator co_await() && { return awaiter{*this, {}}; }

 private:
  Initiation initiation_;
  Inits args_;
};

/// Starts the task on the executor, and hands its result to a handler there.
template <class T, class Token> auto spawn(executor ex, task<T>&& what, Token&& token) {
  struct detached {
    struct promise_type {
      executor exec;
      asio::cancellation_signal signal;
      promise_type() noexcept {}
      static std::suspend_always initial_suspend() noexcept { return {}; }
      static std::suspend_never final_suspend() noexcept { return {}; }
      detached get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
      static void return_void() noexcept {}
      [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
      const executor& get_executor() const noexcept { return exec; }
      asio::cancellation_slot get_cancellation_slot() noexcept { return signal.slot(); }
    };
    std::coroutine_handle<promise_type> frame;
  };
  return asio::async_initiate<Token, void(std::exception_ptr, T)>(
      [](auto handler, executor where, task<T> inner) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        auto guarded = std::make_shared<decltype(handler)>(std::move(handler));
        detached run = [](std::shared_ptr<decltype(handler)> to, executor on, task<T> awaited) -> detached {
          // Holds the context at work while the task runs, but not what the task awaits in other ways.
          std::exception_ptr error;
          T value{};
          try {
            value = co_await std::move(awaited);
          } catch (...) { error = std::current_exception(); }
          asio::dispatch(on, [to, error, v = std::move(value)]() mutable { std::move (*to)(error, std::move(v)); });
        }(guarded, where, std::move(inner));
        run.frame.promise().exec = where;
        if (slot.is_connected()) {
          slot.assign([frame = run.frame](asio::cancellation_type type) { frame.promise().signal.emit(type); });
        }
        asio::dispatch(where, [frame = run.frame] { frame.resume(); });
      },
      token, std::move(ex), std::move(what));
}

}  // namespace boost::cobalt

template <class... Args> class boost::asio::async_result<boost::cobalt::use_op_t, void(Args...)> {
 public:
  template <class Initiation, class... InitArgs>
  static auto initiate(Initiation&& initiation, boost::cobalt::use_op_t /*token*/, InitArgs&&... args) {
    using inits = std::tuple<std::decay_t<InitArgs>...>;
    return boost::cobalt::op<std::decay_t<Initiation>, inits, Args...>{std::forward<Initiation>(initiation),
                                                                       inits{std::forward<InitArgs>(args)...}};
  }
};
