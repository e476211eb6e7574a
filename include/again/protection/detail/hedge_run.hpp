// SPDX-License-Identifier: MIT
/// \file
/// One run of a hedge: up to four attempts side by side, started one after another, all awaited. One thread, the scheduler's;
/// a stop request from another is only passed on.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/combinator/nested_failure.hpp>
#include <again/core/detail/linked_stop_source.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/coro/operation.hpp>
#include <again/policy/failure.hpp>
#include <again/protection/budget.hpp>
#include <again/protection/latency.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

inline constexpr int hedge_most = 4;

template <class Op> struct hedge_parts {
  Op op;
  duration delay;
  latency* after;
  int attempts;
  budget* shared = nullptr;
};

template <class Op> class hedge_run {
  using view = result_view<Op>;
  using attempt_result = typename view::result_type;

 public:
  using value = typename expected_parts<attempt_result>::value;
  using error = typename expected_parts<attempt_result>::error;
  using final_error = merged_error_t<error>;
  using result_type = expected<value, failure<final_error>>;

  explicit hedge_run(hedge_parts<Op>& parts) noexcept : parts_{parts} {}
  hedge_run(const hedge_run&) = delete;
  hedge_run& operator=(const hedge_run&) = delete;
  ~hedge_run() {
    stop_.unlink();
    for (hedge_attempt& a : attempts_) a.run.reset();
    if (counted_) parts_.shared->ended();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<hedge_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    now_ = start_ = ctx.scheduler->now();
    if (ctx.stop.stop_requested() || ctx.deadline <= start_) {
      end_.reason = stopped_at(start_, ctx, stop_reason::cancelled_before_start);
      return true;
    }
    k_ = k;
    ctx_ = &ctx;
    counted_ = parts_.shared != nullptr && !ctx.repeated;
    if (counted_) parts_.shared->first_attempt(start_);
    first_context_ = ctx;
    first_context_.stop = stop_.get_token();
    again_context_ = first_context_;
    again_context_.repeated = true;
    const bool may_hedge = parts_.attempts > 1 && !ctx.repeated && is_repeatable(parts_.op);
    if (launch(first_context_)) return true;
    stop_.follow(ctx.stop);
    if (may_hedge) begin_wait();
    return false;
  }

  std::exception_ptr exception() noexcept { return thrown_; }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    if (won_ == nullptr) return result_type(unexpect, failed_with(end_, last_, now_ - start_));
    if constexpr (std::is_void_v<value>) {
      return result_type();
    } else {
      return result_type(*std::move(*won_));
    }
  }

 private:
  struct hedge_attempt {
    hedge_run* owner = nullptr;
    bool first = false;
    budget::reservation token{};
    view run{};
  };

  bool decided() const noexcept { return won_ != nullptr || thrown_ || stop_.stop_requested(); }

  // For the next attempt. A stop request ends the attempts, and the end of the last one cancels the wait.
  void begin_wait() noexcept {
    const duration delay = parts_.after != nullptr ? parts_.after->value() : parts_.delay;
    const time_point at = saturating_add(ctx_->scheduler->now(), delay);
    if (at < ctx_->deadline) wait_.begin(*ctx_, at, {&hedge_run::wait_over, this}, false);
  }
  static void wait_over(void* p) noexcept { static_cast<hedge_run*>(p)->launch_next(); }
  void launch_next() noexcept {
    const time_point now = ctx_->scheduler->now();
    if (decided() || ctx_->deadline <= now) return;  // the loop may be late
    hedge_attempt& next = attempts_[static_cast<std::size_t>(launched_)];
    if (parts_.shared != nullptr) {
      next.token = parts_.shared->reserve(now);
      if (!next.token) return;
      next.token.sent();
    }
    if (launch(again_context_)) {
      k_();
    } else if (launched_ < parts_.attempts && !decided()) {
      begin_wait();
    }
  }

  // True: nothing is running any more.
  bool launch(const context& ctx) noexcept {
    hedge_attempt& a = attempts_[static_cast<std::size_t>(launched_)];
    a.owner = this;
    a.first = launched_ == 0;
    ++launched_;
    ++running_;
    return a.run.start(parts_.op, {&hedge_run::attempt_done, &a}, ctx) && inspect(a);
  }
  static void attempt_done(void* p) noexcept {
    hedge_attempt& a = *static_cast<hedge_attempt*>(p);
    if (a.owner->inspect(a)) a.owner->k_();
  }

  // An attempt has ended. True: it was the last.
  bool inspect(hedge_attempt& a) noexcept {
    a.token.give_back();  // frees an in-flight slot; what is sent is not given back
    now_ = ctx_->scheduler->now();
    const bool lost = decided();
    attempt_result* result = nullptr;
    try {
      result = a.run.inspect();
      if (result == nullptr) {
        if (!thrown_ && won_ == nullptr) thrown_ = a.run.exception();
      } else if (result->has_value()) {
        if (won_ == nullptr && !thrown_) won_ = result;
      } else {
        failed(result->error());
      }
    } catch (...) {  // a verdict, or a move of the user's types
      if (!thrown_ && won_ == nullptr) thrown_ = std::current_exception();
    }
    if (a.first && parts_.after != nullptr && (lost || (result != nullptr && result == won_)))
      parts_.after->record(now_ - start_);
    if (won_ != nullptr || thrown_) stop_.request_stop();
    if (--running_ != 0) return false;
    wait_.cancel();
    stop_.unlink();
    if (parts_.shared != nullptr && won_ != nullptr) parts_.shared->succeeded(counted_ ? 0 : -1);
    if (std::exchange(counted_, false)) parts_.shared->ended();
    return true;
  }

  void failed(error& e) {
    const verdict v = verdict_of(e);
    if (v.kind == disposition::transient && parts_.shared != nullptr) parts_.shared->failed();
    decision d;
    d.stop = end_.reason = reason_of(e, ended_by(v, now_, *ctx_), 1);
    end_.count(sends_of(e), v.reach);
    const attempt_record r = attempt_record::failed(end_.sends, v, d);
    if constexpr (merged_error<error>::nested) {
      take_over(end_.trace, e.trace(), end_.sends - e.attempts(), r);
    } else {
      end_.trace.push(r);
    }
    keep_error(last_, e, v.kind == disposition::aborted);
  }

  hedge_parts<Op>& parts_;
  continuation k_;
  const context* ctx_ = nullptr;
  time_point start_{};
  time_point now_{};  // of the last end of an attempt
  int launched_ = 0;
  int running_ = 0;
  bool counted_ = false;  // as a first attempt in the budget, and not ended there
  attempt_result* won_ = nullptr;
  std::exception_ptr thrown_;
  std::optional<final_error> last_;
  ending end_;
  context first_context_;
  context again_context_;
  stoppable_wait wait_;
  linked_stop_source stop_;
  std::array<hedge_attempt, hedge_most> attempts_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
