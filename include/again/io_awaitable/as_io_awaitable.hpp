// SPDX-License-Identifier: MIT
/// \file
/// `as_io_awaitable(awaitable)`: awaits an awaitable or an operation of this library from a coroutine of the IoAwaitable
/// protocol (P4003), such as `boost::capy::task`.
///
/// ```cpp
/// boost::capy::task<int> show_quote(again::http::client& api) {
///   auto quote = co_await again::as_io_awaitable(again::retry(polite, api.get("/quote/ACME")));
///   co_return quote ? 0 : 1;
/// }
/// ```
///
/// Such a coroutine awaits only what has `await_suspend(handle, const io_env*)` itself, and stores a copy of it for the
/// time of the await. An operation has no room for a run of it, so the run stands in what this function returns.
///
/// - What travels in: the environment's stop token. The protocol has no deadlines: `.within(duration)` sets one.
/// - Where it runs: as in every coroutine that has no context of ours, on the scheduler given with `.on`, else on the
///   loop that this thread is running, else on the default loop of the process.
/// - Where the coroutine goes on: on the environment's executor, by `dispatch`; at once, if it ends at once.
/// - Errors: exceptions of the awaited thing are rethrown by the `co_await`, and `std::bad_alloc`.
/// - Cancellation: a request of the stop token is a stop request: the result comes soon and says so.
/// - Lifetime: owns a temporary awaitable, refers to a named one. It can be moved until it is awaited. The environment
///   outlives the await, as the protocol says.
/// - Cost: one recycled frame, and an await without context.
#pragma once

#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/call_body.hpp>
#include <again/coro/detail/promise_allocation.hpp>
#include <again/coro/detail/run_followed.hpp>
#include <again/io_awaitable/protocol.hpp>

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

/// A `Link` of `run_followed`.
class std_stop_link {
 public:
  explicit std_stop_link(std::stop_token token) noexcept : token_{std::move(token)} {}
  void follow(inplace_stop_source& to) noexcept {
    if (token_.stop_possible()) callback_.emplace(token_, forward{&to});
  }
  void unlink() noexcept { callback_.reset(); }

 private:
  struct forward {
    inplace_stop_source* to;
    void operator()() const noexcept { to->request_stop(); }
  };
  std::stop_token token_;
  std::optional<std::stop_callback<forward>> callback_;
};

/// The coroutine that awaits the run in the place of the other library's, and then resumes that on its executor. Two
/// threads touch it: the one that starts it, and the one on which the run ends. `progress_` decides which of the two
/// came second: it resumes the other library's coroutine.
struct io_return {
  class promise_type : public promise_allocation {
   public:
    io_return get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct last_suspend {
      static constexpr bool await_ready() noexcept { return false; }
      static void await_suspend(std::coroutine_handle<promise_type> frame) noexcept {
        promise_type& mine = frame.promise();
        if (mine.progress_.exchange(progress::finished, std::memory_order_acq_rel) != progress::suspended) return;
        mine.dispatch_(mine);  // the frame may be destroyed
      }
      static constexpr void await_resume() noexcept {}
    };
    static last_suspend final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    void unhandled_exception() noexcept { failed = std::current_exception(); }

    /// The coroutine to go on with now.
    template <class Env>
    std::coroutine_handle<> start(std::coroutine_handle<promise_type> self, std::coroutine_handle<> awaiting,
                                  const Env* env) noexcept {
      awaiting_ = awaiting;
      env_ = env;
      dispatch_ = &dispatch<Env>;
      self.resume();
      if (progress_.exchange(progress::suspended, std::memory_order_acq_rel) == progress::finished) return awaiting;
      return std::noop_coroutine();
    }

    std::exception_ptr failed;

   private:
    enum class progress : std::uint8_t { running, suspended, finished };

    template <class Env> static void dispatch(promise_type& mine) noexcept {
      const Env& env = *static_cast<const Env*>(mine.env_);
      using argument = dispatch_argument<decltype(env.executor)>;
      if constexpr (std::is_reference_v<argument>) {
        using node = std::remove_reference_t<argument>;
        static_assert(sizeof(node) <= sizeof(mine.node_) && std::is_trivially_destructible_v<node>);
        node* const n = ::new (static_cast<void*>(mine.node_)) node{};
        n->h = mine.awaiting_;
        env.executor.dispatch(*n).resume();
      } else {
        env.executor.dispatch(mine.awaiting_).resume();
      }
    }

    std::coroutine_handle<> awaiting_;
    const void* env_ = nullptr;
    void (*dispatch_)(promise_type&) noexcept = nullptr;
    alignas(void*) std::byte node_[4 * sizeof(void*)];  // the executor's queue links it
    std::atomic<progress> progress_{progress::running};
  };
  std::coroutine_handle<promise_type> frame;
};

/// Awaits a run and leaves its result there.
template <class S> struct end_awaiter : startable_awaiter<S> {
  using startable_awaiter<S>::startable_awaiter;
  static void await_resume() noexcept {}
};
template <class S> io_return await_end(S& run) { co_await end_awaiter<S>{run}; }

/// What `as_io_awaitable` returns. `A` is a reference if the awaitable is stored elsewhere.
template <class A> class [[nodiscard("nothing runs until it is awaited: write co_await before it")]] io_call {
  using run = run_followed<call_body<A>, std_stop_link>;

 public:
  explicit io_call(A&& awaitable) : awaitable_(static_cast<A&&>(awaitable)) {}
  io_call(io_call&& other) noexcept(std::is_nothrow_constructible_v<A, A&&>)
      : awaitable_(static_cast<A&&>(other.awaitable_)) {}  // not awaited yet
  io_call& operator=(io_call&&) = delete;
  ~io_call() {
    if (frame_) frame_.destroy();
  }

  static constexpr bool await_ready() noexcept { return false; }
  /// Throws nothing: coroutines of the protocol call it where nothing may be thrown.
  template <io_environment Env>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h, const Env* env) noexcept {
    try {
      run_.emplace(std::stop_token{env->stop_token}, static_cast<A&&>(awaitable_));
      frame_ = await_end(*run_).frame;
    } catch (...) {
      not_started_ = std::current_exception();
      return h;
    }
    return frame_.promise().start(frame_, h, env);
  }
  [[nodiscard]] typename run::result_type await_resume() {
    if (not_started_) std::rethrow_exception(not_started_);
    if (frame_.promise().failed) std::rethrow_exception(frame_.promise().failed);
    return run_->take();
  }

 private:
  A awaitable_;
  std::optional<run> run_;
  std::coroutine_handle<io_return::promise_type> frame_;
  std::exception_ptr not_started_;
};

}  // namespace detail

template <class A>
  requires(detail::native_operation<A &&> ||
           (detail::native_awaitable<A &&> && startable<std::remove_cvref_t<A>> && std::is_move_constructible_v<A>))
auto as_io_awaitable(A&& awaitable) {
  return detail::io_call<A>{static_cast<A&&>(awaitable)};
}

}  // namespace AGAIN_ABI
}  // namespace again
