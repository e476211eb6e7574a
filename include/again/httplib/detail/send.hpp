// SPDX-License-Identifier: MIT
/// \file
/// `httplib_send`: the awaiting side of one attempt over cpp-httplib.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/http/transport.hpp>
#include <again/httplib/detail/send_job.hpp>
#include <again/httplib/detail/send_pool.hpp>

#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// A startable. Its time bound, a stop request and a worker's result may come together: the job's `cancel_switch` says which of
/// them gives the result. A stop finishes it at once; the worker, its socket shut down, ends later by itself.
///
/// Owned by the awaiting coroutine; shares the job with the pool. Threads: the scheduler's, except that a stop request comes on any
/// and the worker writes the result (send_job::deliver).
class [[nodiscard]] httplib_send {
 public:
  using result_type = send_result;

  httplib_send(std::shared_ptr<send_pool> pool, std::shared_ptr<const outgoing> what, int number,
               const char* refusal) noexcept
      : pool_{std::move(pool)}, what_{std::move(what)}, number_{number}, refusal_{refusal} {}
  httplib_send(const httplib_send&) = delete;
  httplib_send& operator=(const httplib_send&) = delete;
  ~httplib_send() {
    on_stop_.reset();  // waits for a stop that is just being carried out on another thread
    if (job_ == nullptr) return;
    if (running_) {
      job_->withdraw_receiver();
      static_cast<void>(job_->stop.raise(cancel_switch::by::awaiter));
      pool_->withdraw(*job_);
      leave_scheduler();
    }
    job_->release();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return again::detail::startable_awaiter<httplib_send>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    context_ = &ctx;
    then_ = k;
    if (refusal_ != nullptr) return fail(error_kind::unsupported, reach::not_sent, refusal_);
    if (ctx.stop.stop_requested()) return fail(kind_of_stop(), reach::not_sent, "stopped before it began");
    job_ = new (std::nothrow) send_job{what_, number_};
    if (job_ == nullptr) return fail(error_kind::shortage, reach::not_sent, "out of memory");
    done_.run = [](work& w) noexcept { static_cast<own_work&>(w).self->finish(); };
    done_.self = this;
    receiver_.done = &done_;
    receiver_.scheduler = ctx.scheduler;
    job_->deliver_to(receiver_);
    ctx.scheduler->work_started();
    running_ = true;
    bound_.fire = [](timer& t) noexcept {
      static_cast<own_timer&>(t).self->stop(error_kind::timeout, "no complete response in time");
    };
    bound_.self = this;
    if (what_->limits.total < forever)
      ctx.scheduler->arm(bound_, saturating_add(ctx.scheduler->now(), what_->limits.total));
    auto admitted = send_pool::admission::overloaded;
    try {
      admitted = pool_->submit(*job_);
    } catch (const std::bad_alloc&) {
      leave_scheduler();
      return fail(error_kind::overloaded, reach::not_sent, "out of memory");
    }
    if (admitted != send_pool::admission::accepted) {
      leave_scheduler();
      switch (admitted) {
        case send_pool::admission::closed:
          return fail(error_kind::cancelled, reach::not_sent, "the client was destroyed");
        case send_pool::admission::no_thread:
          return fail(error_kind::shortage, reach::not_sent, "no thread could be started");
        default: return fail(error_kind::overloaded, reach::not_sent, "no worker is free, and the queue is full");
      }
    }
    if (ctx.stop.stop_possible()) on_stop_.emplace(ctx.stop, stopper{this});
    return false;
  }
  result_type take() { return std::move(*receiver_.result); }
  static std::exception_ptr exception() noexcept { return nullptr; }

 private:
  struct stopper {
    httplib_send* self;
    void operator()() const noexcept { self->stop(self->kind_of_stop(), "stopped"); }
  };
  struct own_timer : timer {
    httplib_send* self = nullptr;
  };
  struct own_work : work {
    httplib_send* self = nullptr;
  };

  error_kind kind_of_stop() const noexcept {
    if (context_->kind == deadline_kind::none || context_->scheduler->now() < context_->deadline)
      return error_kind::cancelled;
    return context_->kind == deadline_kind::attempt ? error_kind::timeout : error_kind::deadline;
  }

  bool fail(error_kind kind, reach r, const char* text) noexcept {
    std::string detail;
    try {
      detail = text;
    } catch (const std::bad_alloc&) {}  // the kind has to do
    receiver_.result.emplace(unexpected<send_failure>{send_failure{kind, r, std::move(detail)}});
    return true;
  }
  /// From the timer (the scheduler's thread) or a stop request (any).
  void stop(error_kind kind, const char* text) noexcept {
    const auto source = kind == error_kind::cancelled ? cancel_switch::by::awaiter : cancel_switch::by::bound;
    const auto [first, far] = job_->stop.raise(source);
    if (!first) return;  // there is a result, or will be in a moment
    pool_->withdraw(*job_);
    fail(kind, far, text);
    receiver_.scheduler->post(done_);
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

  std::shared_ptr<send_pool> pool_;
  std::shared_ptr<const outgoing> what_;
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
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
