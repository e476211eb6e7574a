// SPDX-License-Identifier: MIT
/// \file
/// One run of a combinator that asks before it sends: `guard`, `limit`, `rate`. It asks a ticket. What the ticket says is to go,
/// to wait (until a time, or in a queue), or that the call is refused. Then the operation is started once, and the ticket is
/// told the outcome.
///
/// A ticket:
/// - `timed`: does `ask` look at the time? If not, no clock is read for it.
/// - `admission ask(time_point now, scheduler&, continuation granted)`: `granted` is called once, on the scheduler's thread, if
///   the call is `queued`.
/// - `void withdraw() noexcept`: the call is not wanted any more; afterwards `granted` is not called.
/// - `void ended(lazy_time& now, const admission_outcome&) noexcept`: how the attempt went.
/// - the destructor gives back what it holds.
///
/// Everything happens on the scheduler's thread; a limiter's slot may be freed on another, which only posts.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/core/detail/manual_optional.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/coro/operation.hpp>
#include <again/coro/scheduler.hpp>

#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// What a ticket says.
struct admission {
  enum class state : std::uint8_t { go, wait_until, queued, refused } is = state::go;
  time_point at = never;  ///< of `wait_until`
  stop_reason reason{};   ///< of `refused`
};

/// How the admitted attempt went.
struct admission_outcome {
  bool ok = false;
  const verdict* failed = nullptr;  ///< of an error; null and not `ok`: it threw
  bool timed_out = false;           ///< the nearest retry's `attempt_timeout` cut it short
};

/// The time, read at the first call and only once.
class lazy_time {
 public:
  explicit lazy_time(const scheduler& home) noexcept : home_{home} {}
  time_point operator()() noexcept {
    if (!read_) now_ = home_.now();
    read_ = true;
    return now_;
  }

 private:
  const scheduler& home_;
  time_point now_{};
  bool read_ = false;
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
    if (state_ == state::waiting) ticket_.withdraw();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<admission_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    const bool timed = Ticket::timed || ctx.deadline != never;
    start_ = timed ? ctx.scheduler->now() : ctx.scheduler->last_wake();
    if (ctx.stop.stop_requested() || ctx.deadline <= start_)
      return refuse(stopped_at(start_, ctx, stop_reason::cancelled_before_start), start_);
    const admission reply = ticket_.ask(start_, *ctx.scheduler, {&admission_run::granted, this});
    switch (reply.is) {
      case admission::state::go: return run_attempt();
      case admission::state::refused: return refuse(reply.reason, start_);
      case admission::state::wait_until:
        if (reply.at <= start_) return run_attempt();
        if (reply.at >= ctx.deadline) {
          ticket_.withdraw();
          return refuse(stop_reason::deadline_too_near, start_);
        }
        break;
      case admission::state::queued:
        if (!timed) start_ = ctx.scheduler->now();  // a wait counts with its true length
        break;
    }
    state_ = state::waiting;
    wait_.emplace().begin(ctx, reply.at, {&admission_run::wait_over, this});
    return false;
  }

  std::exception_ptr exception() noexcept {
    return thrown_ ? thrown_ : state_ == state::ended ? attempt_.exception() : nullptr;
  }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    if (state_ == state::refused)
      return result_type(unexpect, not_sent<error>(no_value_->reason, no_value_->at - start_));
    if (result_ == nullptr) std::rethrow_exception(attempt_.exception());
    if (!result_->has_value())
      return result_type(
          unexpect, sent_once(std::move(result_->error()), no_value_->said, no_value_->reason, no_value_->at - start_));
    if constexpr (std::is_void_v<value>) {
      return result_type();
    } else {
      return result_type(*std::move(*result_));
    }
  }

 private:
  enum class state : std::uint8_t { fresh, waiting, running, ended, refused };

  // How it ended without a value.
  struct no_value {
    time_point at{};
    stop_reason reason{};
    verdict said{};  // of an error
  };

  bool refuse(stop_reason why, time_point now) noexcept {
    no_value& end = no_value_.emplace();
    end.at = now;
    end.reason = why;
    state_ = state::refused;
    return true;
  }

  // The ticket has what the run was queued for.
  static void granted(void* p) noexcept {
    admission_run& self = *static_cast<admission_run*>(p);
    self.wait_->cancel();
    self.after_wait(false);
  }
  // The time has come, or stop was requested.
  static void wait_over(void* p) noexcept {
    admission_run& self = *static_cast<admission_run*>(p);
    self.after_wait(self.wait_->ended() == wait_end::stopped);
  }
  void after_wait(bool stopped) noexcept {
    lazy_time now{*ctx_->scheduler};
    if (stopped || ctx_->stop.stop_requested() ||
        (ctx_->deadline != never && ctx_->deadline <= now())) {  // the loop is late
      ticket_.withdraw();
      refuse(stopped_at(now(), *ctx_, stop_reason::cancelled_before_start), now());
    } else if (!run_attempt()) {
      return;
    }
    k_();
  }

  bool run_attempt() noexcept {
    state_ = state::running;
    if (!attempt_.start(op_, {&admission_run::attempt_done, this}, *ctx_)) return false;
    inspect();
    return true;
  }
  static void attempt_done(void* p) noexcept {
    admission_run& self = *static_cast<admission_run*>(p);
    self.inspect();
    self.k_();
  }
  void inspect() noexcept {
    state_ = state::ended;
    lazy_time now{*ctx_->scheduler};
    try {
      result_ = attempt_.inspect();
      if (result_ == nullptr || result_->has_value()) {
        ticket_.ended(now, {.ok = result_ != nullptr});
        return;
      }
      no_value_.emplace().said = verdict_of(result_->error());
    } catch (...) {  // a verdict, or a move of the user's types
      thrown_ = std::current_exception();
      ticket_.ended(now, {});
      return;
    }
    no_value_->at = now();
    no_value_->reason = ended_by(no_value_->said, no_value_->at, *ctx_);
    const bool cut = timed_out();
    const verdict heard = cut ? cut_off(no_value_->said) : no_value_->said;  // a cut is not the peer's permanent error
    ticket_.ended(now, {.failed = &heard, .timed_out = cut});
  }
  bool timed_out() noexcept {
    return made_by_cut(no_value_->said) && ctx_->kind == deadline_kind::attempt && ctx_->deadline <= no_value_->at;
  }

  Op& op_;
  Ticket ticket_;
  continuation k_;
  const context* ctx_ = nullptr;
  attempt_result* result_ = nullptr;
  time_point start_{};
  state state_ = state::fresh;
  std::exception_ptr thrown_;
  manual_optional<stoppable_wait> wait_;
  view attempt_;
  manual_optional<no_value> no_value_;
};

/// What `guard`, `limit` and `rate` return: awaitable, and an operation.
template <fallible_operation Op, class Shared, class Ticket> class [[nodiscard(
    "nothing runs until it is awaited: write co_await before it")]] admission_operation
    : public not_awaited<admission_operation<Op, Shared, Ticket>, typename admission_run<Op, Ticket>::result_type>,
      public has_bounds<admission_operation<Op, Shared, Ticket>> {
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

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
