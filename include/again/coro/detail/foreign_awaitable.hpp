// SPDX-License-Identifier: MIT
/// \file
/// Makes a startable of a foreign awaitable: a small coroutine, whose frame is recycled, awaits it.
///
/// The awaitable may finish on any thread; the continuation runs on the scheduler's thread. Two threads touch the
/// frame: the one that starts it and the one on which the awaitable finishes. `progress_` decides which of the two came
/// second: only if that is the finishing thread, it posts the continuation.
///
/// While the foreign coroutine runs inside of `start`, it is in a `foreign_scope`: what it awaits inherits the context.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/inherited_context.hpp>
#include <again/coro/detail/promise_allocation.hpp>
#include <again/coro/detail/result_slot.hpp>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class foreign_promise_base : public promise_allocation, work {
 public:
  foreign_promise_base() noexcept = default;
  foreign_promise_base(const foreign_promise_base&) = delete;
  foreign_promise_base& operator=(const foreign_promise_base&) = delete;
  ~foreign_promise_base() {
    if (context_ == nullptr) return;
    context_->scheduler->forget(*this);
    end();
  }

  static std::suspend_always initial_suspend() noexcept { return {}; }
  struct last_suspend {
    static constexpr bool await_ready() noexcept { return false; }
    template <class Promise> static void await_suspend(std::coroutine_handle<Promise> frame) noexcept {
      foreign_promise_base& promise = frame.promise();
      // Read before the exchange: afterwards the frame may be destroyed.
      scheduler* const home = promise.context_->scheduler;
      if (promise.progress_.exchange(progress::finished, std::memory_order_acq_rel) == progress::suspended)
        home->post(promise);
    }
    static constexpr void await_resume() noexcept {}
  };
  static last_suspend final_suspend() noexcept { return {}; }

  bool start(std::coroutine_handle<> frame, continuation k, const context& ctx) noexcept {
    continuation_ = k;
    context_ = &ctx;
    this->run = [](work& self) noexcept {
      foreign_promise_base& promise = static_cast<foreign_promise_base&>(self);
      promise.end();
      promise.continuation_();
    };
    {
      const foreign_scope inside{ctx, inherited_};
      frame.resume();
    }
    if (progress_.exchange(progress::suspended, std::memory_order_acq_rel) != progress::finished) return false;
    end();
    return true;
  }
  const again::context* context() const noexcept { return context_; }

  /// The coroutine starts what it awaits on the thread of its context's scheduler.
  using stays_on_its_scheduler = void;

 private:
  // It has finished, or is being destroyed. From here on the context is not used, which the awaiting side may destroy.
  void end() noexcept {
    context_ = nullptr;
    if (inherited_ != nullptr) std::exchange(inherited_, nullptr)->end();
  }

  enum class progress : std::uint8_t { running, suspended, finished };
  std::atomic<progress> progress_{progress::running};

 protected:
  result_state state_ = result_state::empty;

 private:
  continuation continuation_;
  const again::context* context_ = nullptr;
  inherited_context* inherited_ = nullptr;  // made when the foreign coroutine awaits something of ours
};

template <class R> class foreign_promise;
template <class R> struct foreign_frame {
  using promise_type = foreign_promise<R>;
  std::coroutine_handle<promise_type> handle;
};

template <class R> class foreign_promise final : public result_promise<R, foreign_promise_base> {
 public:
  foreign_frame<R> get_return_object() noexcept {
    return {std::coroutine_handle<foreign_promise>::from_promise(*this)};
  }
};

template <class R, class A> foreign_frame<R> adapt(std::remove_reference_t<A>& awaitable) {
  if constexpr (adopted<A>) {
    co_return co_await get_awaiter(static_cast<A&&>(awaitable));
  } else {
    co_return co_await static_cast<A&&>(awaitable);
  }
}

/// A startable that awaits a foreign awaitable. `A` is an object type if it holds the awaitable, a reference if the
/// awaitable is stored elsewhere. `Result` is what it gives: where it holds the awaitable, no reference into that.
template <class A, class Result =
                       std::conditional_t<std::is_reference_v<A>, await_result_t<A>, owned_result_t<await_result_t<A>>>>
class foreign_awaitable {
 public:
  using result_type = Result;
  static constexpr bool may_be_ignored = true;  // whether its result may be discarded is for its author to say

  template <class From>
    requires std::is_invocable_v<From&>
  foreign_awaitable(std::in_place_t, From& from) : awaitable_(from()) {}
  explicit foreign_awaitable(A&& awaitable) : awaitable_(static_cast<A&&>(awaitable)) {}
  foreign_awaitable(const foreign_awaitable&) = delete;
  foreign_awaitable& operator=(const foreign_awaitable&) = delete;
  ~foreign_awaitable() {
    if (frame_) frame_.destroy();
  }

  bool start(continuation k, const context& ctx) noexcept {
    try {
      frame_ = adapt<result_type, A>(awaitable_).handle;
    } catch (...) {
      no_frame_ = std::current_exception();
      return true;
    }
    return frame_.promise().start(frame_, k, ctx);
  }
  result_type take() {
    if (no_frame_) std::rethrow_exception(no_frame_);
    return frame_.promise().take();
  }
  std::exception_ptr exception() noexcept { return frame_ ? frame_.promise().exception() : no_frame_; }

 private:
  A awaitable_;
  std::coroutine_handle<foreign_promise<result_type>> frame_;
  std::exception_ptr no_frame_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
