// SPDX-License-Identifier: MIT
/// \file
/// `beast_send`: the awaiting side of one attempt over the Beast transport.
#pragma once

#include <again/beast/detail/pool.hpp>
#include <again/beast/detail/send_job.hpp>
#include <again/core/clock.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/context.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/scheduler.hpp>
#include <again/http/transport.hpp>

#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// A startable. Its time bound, a stop request and the response may come together: a turn of the pool decides which of them it is, and
/// gives the result.
///
/// Owned by the awaiting coroutine; shares the job with the pool. Threads: the scheduler's, except that a stop request comes on any
/// and the pool writes the result (send_job::deliver).
class [[nodiscard]] beast_send {
 public:
  using result_type = http::send_result;

  beast_send(std::shared_ptr<pool> through, std::shared_ptr<const http::outgoing> what, int number,
             const char* refusal) noexcept
      : pool_{std::move(through)}, what_{std::move(what)}, number_{number}, refusal_{refusal} {}
  beast_send(const beast_send&) = delete;
  beast_send& operator=(const beast_send&) = delete;
  ~beast_send() {
    on_stop_.reset();  // waits for a stop that is just being carried out on another thread
    if (job_ == nullptr) return;
    if (running_) {
      job_->withdraw_receiver();
      pool_->stop(*job_, {});
      leave_scheduler();
    }
    job_->release();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return again::detail::startable_awaiter<beast_send>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    context_ = &ctx;
    then_ = k;
    if (refusal_ != nullptr) return fail(http::error_kind::unsupported, refusal_);
    if (ctx.stop.stop_requested()) return fail(kind_of_stop(), "stopped before it began");
    job_ = new (std::nothrow) send_job{what_, number_};
    if (job_ == nullptr) return fail(http::error_kind::shortage, "out of memory");
    done_.run = [](work& w) noexcept { static_cast<own_work&>(w).self->finish(); };
    done_.self = this;
    receiver_.done = &done_;
    receiver_.scheduler = ctx.scheduler;
    job_->deliver_to(receiver_);
    ctx.scheduler->work_started();
    running_ = true;
    bound_.fire = [](timer& t) noexcept {
      beast_send& self = *static_cast<own_timer&>(t).self;
      self.pool_->stop(*self.job_, {http::error_kind::timeout, "no complete response in time"});
    };
    bound_.self = this;
    if (what_->limits.total < forever)
      ctx.scheduler->arm(bound_, saturating_add(ctx.scheduler->now(), what_->limits.total));
    pool_->submit(*job_);
    if (ctx.stop.stop_possible()) on_stop_.emplace(ctx.stop, stopper{this});
    return false;
  }
  result_type take() { return std::move(*receiver_.result); }
  static std::exception_ptr exception() noexcept { return nullptr; }

 private:
  struct stopper {
    beast_send* self;
    void operator()() const noexcept { self->pool_->stop(*self->job_, {self->kind_of_stop(), "stopped"}); }
  };
  struct own_timer : timer {
    beast_send* self = nullptr;
  };
  struct own_work : work {
    beast_send* self = nullptr;
  };

  http::error_kind kind_of_stop() const noexcept {
    if (context_->kind == deadline_kind::none || context_->scheduler->now() < context_->deadline)
      return http::error_kind::cancelled;
    return context_->kind == deadline_kind::attempt ? http::error_kind::timeout : http::error_kind::deadline;
  }
  bool fail(http::error_kind kind, const char* text) noexcept {
    http::send_failure f{kind, reach::not_sent, {}};
    try {
      f.detail = text;
    } catch (const std::exception&) {}  // the kind has to do
    receiver_.result.emplace(unexpected<http::send_failure>{std::move(f)});
    return true;
  }
  /// On the scheduler's thread.
  void finish() noexcept {
    on_stop_.reset();
    leave_scheduler(false);  // it is being run
    then_();
  }
  void leave_scheduler(bool may_be_posted = true) noexcept {
    running_ = false;
    context_->scheduler->disarm(bound_);
    if (may_be_posted) context_->scheduler->forget(done_);
    context_->scheduler->work_finished();
  }

  std::shared_ptr<pool> pool_;
  std::shared_ptr<const http::outgoing> what_;
  const int number_;
  const char* const refusal_;
  bool running_ = false;
  const context* context_ = nullptr;
  continuation then_;
  send_job* job_ = nullptr;
  own_work done_;
  send_receiver receiver_;
  own_timer bound_;
  std::optional<inplace_stop_callback<stopper>> on_stop_;
};

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
