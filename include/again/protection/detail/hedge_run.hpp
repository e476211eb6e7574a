// SPDX-License-Identifier: MIT
/// \file
/// One run of a hedge: up to four attempts side by side, started one after another, all awaited. One thread: the scheduler's;
/// the stop listener may run on another and only passes the request on.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/combinator/nested_failure.hpp>
#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/operation.hpp>
#include <again/coro/repeatable.hpp>
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
    follow_.reset();
    for (lane& l : lanes_) l.attempt.reset();
    if (ctx_ == nullptr) return;
    ctx_->scheduler->disarm(timer_);
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
    const bool may = parts_.attempts > 1 && !ctx.repeated && is_repeatable(parts_.op);
    if (launch(first_context_)) return true;
    if (ctx.stop.stop_possible()) follow_.emplace(ctx.stop, forward_stop{&stop_});
    if (may) arm();
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
  struct lane {
    hedge_run* owner = nullptr;
    bool first = false;
    budget::reservation token{};
    view attempt{};
  };
  struct own_timer : timer {
    explicit own_timer(hedge_run& o) noexcept : owner{o} {}
    hedge_run& owner;
  };
  struct forward_stop {
    inplace_stop_source* to;
    void operator()() const noexcept { to->request_stop(); }
  };

  bool over() const noexcept { return won_ != nullptr || thrown_ || stop_.stop_requested(); }

  void arm() noexcept {
    const duration delay = parts_.after != nullptr ? parts_.after->value() : parts_.delay;
    const time_point at = saturating_add(ctx_->scheduler->now(), delay);
    if (at >= ctx_->deadline) return;
    timer_.fire = [](timer& t) noexcept { static_cast<own_timer&>(t).owner.one_more(); };
    ctx_->scheduler->arm(timer_, at);
  }
  void one_more() noexcept {
    const time_point now = ctx_->scheduler->now();
    if (over() || ctx_->deadline <= now) return;  // the loop may be late
    lane& next = lanes_[static_cast<std::size_t>(launched_)];
    if (parts_.shared != nullptr) {
      next.token = parts_.shared->reserve(now);
      if (!next.token) return;
      next.token.sent();
    }
    if (launch(again_context_)) {
      k_();
    } else if (launched_ < parts_.attempts && !over()) {
      arm();
    }
  }

  // True: nothing is running any more.
  bool launch(const context& ctx) noexcept {
    lane& l = lanes_[static_cast<std::size_t>(launched_)];
    l.owner = this;
    l.first = launched_ == 0;
    ++launched_;
    ++running_;
    return l.attempt.start(parts_.op, {&hedge_run::lane_done, &l}, ctx) && settle(l);
  }
  static void lane_done(void* p) noexcept {
    lane& l = *static_cast<lane*>(p);
    if (l.owner->settle(l)) l.owner->k_();
  }

  bool settle(lane& l) noexcept {
    l.token.give_back();  // frees an in-flight slot; what is sent is not given back
    now_ = ctx_->scheduler->now();
    const bool lost = over();
    attempt_result* result = nullptr;
    try {
      result = l.attempt.look();
      if (result == nullptr) {
        if (!thrown_ && won_ == nullptr) thrown_ = l.attempt.exception();
      } else if (result->has_value()) {
        if (won_ == nullptr && !thrown_) won_ = result;
      } else {
        failed(result->error());
      }
    } catch (...) {  // a verdict, or a move of the user's types
      if (!thrown_ && won_ == nullptr) thrown_ = std::current_exception();
    }
    if (l.first && parts_.after != nullptr && (lost || (result != nullptr && result == won_)))
      parts_.after->record(now_ - start_);
    if (won_ != nullptr || thrown_) {
      ctx_->scheduler->disarm(timer_);
      stop_.request_stop();
    }
    if (--running_ != 0) return false;
    ctx_->scheduler->disarm(timer_);
    follow_.reset();
    if (parts_.shared != nullptr && won_ != nullptr) parts_.shared->succeeded(counted_ ? 0 : -1);
    if (std::exchange(counted_, false)) parts_.shared->ended();
    return true;
  }

  void failed(error& e) {
    const verdict v = verdict_of(e);
    if (v.kind == disposition::transient && parts_.shared != nullptr) parts_.shared->failed();
    decision d;
    d.stop = end_.reason = reason_of(e, ended_by(v, now_, *ctx_), 1);
    attempt_record r;
    end_.count(sends_of(e), v.reach);
    describe(r, end_.sends, v, d);
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
  int launched_ = 0;
  int running_ = 0;
  bool counted_ = false;  // as a first attempt in the budget, and not ended there
  attempt_result* won_ = nullptr;
  std::exception_ptr thrown_;
  std::optional<final_error> last_;
  time_point now_{};
  ending end_;
  context first_context_;
  context again_context_;
  own_timer timer_{*this};
  inplace_stop_source stop_;
  manual_optional<inplace_stop_callback<forward_stop>> follow_;
  std::array<lane, hedge_most> lanes_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
