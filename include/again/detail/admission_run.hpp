// SPDX-License-Identifier: MIT
/// \file
/// One run of a combinator that asks before it sends: `guard`, `limit`, `rate`. It asks a ticket; the answer is to go, to wait
/// (until a time, or in a queue) or to be refused; then the operation is started once and the ticket is told the outcome.
///
/// A ticket:
/// - `answer ask(time_point now, scheduler&, work& granted)`; after `queued`, `granted` is posted once, from any thread.
/// - `void withdraw() noexcept`: no longer wanted, while waiting; afterwards `granted` is not posted any more.
/// - `void ended(time_point now, const verdict*, bool ok) noexcept`: a value, an error's verdict, or neither: it threw.
/// - the destructor gives back what it holds.
#pragma once

#include <again/awaitable.hpp>
#include <again/detail/attempt_slot.hpp>
#include <again/detail/single_failure.hpp>
#include <again/operation.hpp>
#include <again/repeatable.hpp>
#include <again/stop_token.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace again::inline AGAIN_ABI::detail {

struct admission {
  enum class answers : std::uint8_t { go, until, queued, refused } answer = answers::go;
  time_point at{};       ///< of `until`
  stop_reason reason{};  ///< of `refused`
};

template <class Op, class Ticket> class admission_run {
  using view = result_view<Op>;
  using attempt_result = typename view::result_type;

 public:
  using value = typename expected_parts<attempt_result>::value;
  using error = typename expected_parts<attempt_result>::error;
  using result_type = expected<value, failure<merged_error_t<error>>>;

  template <class Shared> admission_run(Op& op, Shared& shared) noexcept : op_{op}, ticket_{shared} {}
  admission_run(const admission_run&) = delete;
  admission_run& operator=(const admission_run&) = delete;
  ~admission_run() {
    if (phase_ == phases::waiting) leave_wait();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<admission_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    start_ = ctx.scheduler->now();
    if (ctx.stop.stop_requested()) return refuse(why_stopped(ctx, stop_reason::cancelled_before_start));
    wait_.run = [](work& w) noexcept { static_cast<own_wait&>(w).owner.granted(); };
    const admission a = ticket_.ask(start_, *ctx.scheduler, wait_);
    switch (a.answer) {
      case admission::answers::go: return go();
      case admission::answers::refused: return refuse(a.reason);
      case admission::answers::until:
        if (a.at <= start_) return go();
        if (a.at >= ctx.deadline) {
          ticket_.withdraw();
          return refuse(stop_reason::deadline_too_near);
        }
        phase_ = phases::waiting;
        wait_.fire = [](timer& t) noexcept { static_cast<own_wait&>(t).owner.granted(); };
        ctx.scheduler->arm(wait_, a.at);
        break;
      case admission::answers::queued: phase_ = phases::waiting; break;
    }
    if (ctx.stop.stop_possible()) listener_.emplace(ctx.stop, stopped{this});
    return false;
  }

  std::exception_ptr exception() noexcept {
    return thrown_ ? thrown_ : phase_ == phases::ended ? slot_.exception() : nullptr;
  }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    if (phase_ == phases::refused)
      return result_type(unexpect, not_sent<error>(reason_, ctx_->scheduler->now() - start_));
    if (result_ == nullptr) std::rethrow_exception(slot_.exception());
    if (!result_->has_value()) {
      return result_type(unexpect,
                         sent_once(std::move(result_->error()), verdict_, *ctx_, ctx_->scheduler->now() - start_));
    }
    if constexpr (std::is_void_v<value>) {
      return result_type();
    } else {
      return result_type(*std::move(*result_));
    }
  }

 private:
  enum class phases : std::uint8_t { fresh, waiting, running, ended, refused };

  struct own_wait : timer, work {
    explicit own_wait(admission_run& o) noexcept : owner{o} {}
    admission_run& owner;
  };
  struct own_stop : work {
    explicit own_stop(admission_run& o) noexcept : owner{o} {}
    admission_run& owner;
  };
  struct stopped {  // any thread
    admission_run* self;
    void operator()() const noexcept {
      self->stop_.run = [](work& w) noexcept { static_cast<own_stop&>(w).owner.cancelled(); };
      self->ctx_->scheduler->post(self->stop_);
    }
  };

  bool refuse(stop_reason why) noexcept {
    reason_ = why;
    phase_ = phases::refused;
    return true;
  }
  // Out of queue, timers and stop source.
  void leave_wait() noexcept {
    listener_.reset();
    ctx_->scheduler->disarm(wait_);
    ctx_->scheduler->forget(stop_);
    ticket_.withdraw();
    ctx_->scheduler->forget(wait_);
  }
  void granted() noexcept {
    listener_.reset();
    ctx_->scheduler->forget(stop_);
    if (ctx_->stop.stop_requested()) {  // at the same moment
      ticket_.withdraw();
      refuse(why_stopped(*ctx_, stop_reason::cancelled_before_start));
    } else if (!go()) {
      return;
    }
    k_();
  }
  void cancelled() noexcept {
    leave_wait();
    refuse(why_stopped(*ctx_, stop_reason::cancelled_before_start));
    k_();
  }

  bool go() noexcept {
    phase_ = phases::running;
    if (!slot_.start(op_, {&admission_run::attempt_done, this}, *ctx_)) return false;
    settle();
    return true;
  }
  static void attempt_done(void* p) noexcept {
    admission_run& self = *static_cast<admission_run*>(p);
    self.settle();
    self.k_();
  }
  void settle() noexcept {
    phase_ = phases::ended;
    try {
      result_ = slot_.look();
      if (result_ == nullptr) {
        ticket_.ended(ctx_->scheduler->now(), nullptr, false);
      } else if (result_->has_value()) {
        ticket_.ended(ctx_->scheduler->now(), nullptr, true);
      } else {
        verdict_ = verdict_of(result_->error());
        ticket_.ended(ctx_->scheduler->now(), &verdict_, false);
      }
    } catch (...) {  // a verdict, or a move of the user's types
      thrown_ = std::current_exception();
      ticket_.ended(ctx_->scheduler->now(), nullptr, false);
    }
  }

  Op& op_;
  Ticket ticket_;
  continuation k_;
  const context* ctx_ = nullptr;
  attempt_result* result_ = nullptr;
  time_point start_{};
  phases phase_ = phases::fresh;
  stop_reason reason_{};
  verdict verdict_{};
  std::exception_ptr thrown_;
  own_wait wait_{*this};
  own_stop stop_{*this};
  std::optional<inplace_stop_callback<stopped>> listener_;
  view slot_;
};

/// What `guard`, `limit` and `rate` return: awaitable, and an operation.
template <fallible_operation Op, class Shared, class Ticket> class [[nodiscard]] admission_operation {
 public:
  using run_type = admission_run<Op, Ticket>;
  admission_operation(Shared& shared, Op op) : shared_{&shared}, op_(std::move(op)) {}
  run_type operator()() & { return run_type{op_, *shared_}; }
  auto operator co_await() & { return holding_awaiter<run_type>{std::in_place, op_, *shared_}; }
  auto operator co_await() && { return holding_awaiter<run_type>{std::in_place, op_, *shared_}; }
  bool repeatable() const { return is_repeatable(op_); }

 private:
  Shared* shared_;
  Op op_;
};

}  // namespace again::inline AGAIN_ABI::detail
