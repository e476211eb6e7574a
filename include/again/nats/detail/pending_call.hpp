// SPDX-License-Identifier: MIT
/// \file
/// `pending_call`: the awaiting side of one call of the store.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/journal/error.hpp>
#include <again/nats/detail/store_call.hpp>
#include <again/nats/detail/worker.hpp>

#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

/// A startable. Owned by the awaiting coroutine; shares the call with the store's thread. Threads: the scheduler's, except that a stop request
/// comes on any, and the store's thread posts `done_`.
template <class Call> class [[nodiscard]] pending_call {
 public:
  using result_type = journal::stored_result<typename Call::value_type>;

  template <class... Args>
  explicit pending_call(std::shared_ptr<worker> w, Args&&... args)
      : worker_{std::move(w)}, call_{new Call{std::forward<Args>(args)...}} {}
  pending_call(const pending_call&) = delete;
  pending_call& operator=(const pending_call&) = delete;
  ~pending_call() {
    on_stop_.reset();  // waits for a stop that is just being carried out on another thread
    if (running_) {
      const bool delivered = call_->withdraw_receiver();
      if (delivered) {
        ended_ = true;
      } else {
        static_cast<void>(worker_->withdraw(*call_));  // where it has begun, it is completed
      }
      context_->scheduler->forget(done_);
      context_->scheduler->work_finished();
    }
    if (ended_) worker_->undo(*call_);
    call_->release();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return again::detail::startable_awaiter<pending_call>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    using journal::error_kind;
    context_ = &ctx;
    k_ = k;
    if (ctx.stop.stop_requested()) {
      call_->fail(stopped());
      return ended_ = true;
    }
    done_.run = [](work& w) noexcept { static_cast<own_work&>(w).self->finish(); };
    done_.self = this;
    call_->now = ctx.scheduler->wall_now();
    call_->deliver_to(*ctx.scheduler, done_);
    ctx.scheduler->work_started();
    if (const auto refused = worker_->submit(*call_)) {
      ctx.scheduler->work_finished();
      call_->fail(*refused);
      return ended_ = true;
    }
    running_ = true;
    if (ctx.stop.stop_possible()) on_stop_.emplace(ctx.stop, stopper{this});
    return false;
  }
  result_type take() {
    ended_ = false;
    return std::move(*call_->result);
  }
  static std::exception_ptr exception() noexcept { return nullptr; }

 private:
  struct stopper {
    pending_call* self;
    // Any thread. What has begun gives its true result.
    void operator()() const noexcept {
      store_call& r = *self->call_;
      if (!self->worker_->withdraw(r)) return;
      r.fail(stopped());
      static_cast<void>(r.deliver());
    }
  };
  struct own_work : work {
    pending_call* self = nullptr;
  };

  static journal::error stopped() { return journal::error{journal::error_kind::cancelled, "stopped before it began"}; }
  void finish() noexcept {
    on_stop_.reset();
    running_ = false;
    ended_ = true;
    context_->scheduler->work_finished();
    k_();
  }

  std::shared_ptr<worker> worker_;
  Call* call_;  // held once
  const context* context_ = nullptr;
  continuation k_;
  bool running_ = false;
  bool ended_ = false;  // there is a result that nobody has taken
  own_work done_;
  std::optional<inplace_stop_callback<stopper>> on_stop_;
};

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
