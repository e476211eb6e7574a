// SPDX-License-Identifier: MIT
/// \file
/// One run of a combinator that asks before it sends: `guard`, `limit`, `rate`. It asks a ticket; the response is to go, to wait
/// (until a time, or in a queue) or to be refused; then the operation is started once and the ticket is told the outcome.
///
/// A ticket:
/// - `timed`: does `ask` look at the time? If not, no clock is read for it.
/// - `admission ask(time_point now, scheduler&, waiter)`; `waiter()` gives the `work` that is posted once, from any thread, if the
///   response is `queued`.
/// - `void withdraw() noexcept`: no longer wanted, while waiting; afterwards nothing is posted any more.
/// - `void ended(lazy_time& now, const admission_outcome&) noexcept`: how the attempt went.
/// - the destructor gives back what it holds.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/operation.hpp>
#include <again/coro/repeatable.hpp>
#include <again/coro/scheduler.hpp>

#include <cstdint>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

struct admission {
  enum class state : std::uint8_t { go, until, queued, refused } said = state::go;
  time_point at{};       ///< of `until`
  stop_reason reason{};  ///< of `refused`
};

/// The time, read when somebody asks, and once.
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

struct admission_outcome {
  bool ok = false;
  const verdict* failed = nullptr;  ///< of an error; null and not `ok`: it threw
  bool timed_out = false;           ///< the nearest retry's `attempt_timeout` cut it short
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
    if (!wait_made_) return;
    if (phase_ == phases::waiting) leave_wait();
    wait_.~own_wait();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<admission_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    const bool timed = Ticket::timed || ctx.deadline != never;
    start_ = timed ? ctx.scheduler->now() : ctx.scheduler->last_wake();
    if (ctx.stop.stop_requested() || ctx.deadline <= start_)
      return refuse(stopped_at(start_, ctx, stop_reason::cancelled_before_start), start_);
    const admission a = ticket_.ask(start_, *ctx.scheduler, [this]() noexcept -> work& { return need_wait(); });
    switch (a.said) {
      case admission::state::go: return go();
      case admission::state::refused: return refuse(a.reason, start_);
      case admission::state::until:
        if (a.at <= start_) return go();
        if (a.at >= ctx.deadline) {
          ticket_.withdraw();
          return refuse(stop_reason::deadline_too_near, start_);
        }
        phase_ = phases::waiting;
        ctx.scheduler->arm(need_wait(), a.at);
        break;
      case admission::state::queued:
        if (!timed) start_ = ctx.scheduler->now();  // a wait is worth its true length
        phase_ = phases::waiting;
        break;
    }
    if (ctx.stop.stop_possible()) wait_.listener.emplace(ctx.stop, stopped{this});
    return false;
  }

  std::exception_ptr exception() noexcept {
    return thrown_ ? thrown_ : phase_ == phases::ended ? slot_.exception() : nullptr;
  }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    if (phase_ == phases::refused) return result_type(unexpect, not_sent<error>(end_.reason, end_.at - start_));
    if (result_ == nullptr) std::rethrow_exception(slot_.exception());
    if (!result_->has_value())
      return result_type(unexpect, sent_once(std::move(result_->error()), end_.said, end_.reason, end_.at - start_));
    if constexpr (std::is_void_v<value>) {
      return result_type();
    } else {
      return result_type(*std::move(*result_));
    }
  }

 private:
  enum class phases : std::uint8_t { fresh, waiting, running, ended, refused };

  struct stopped {  // any thread
    admission_run* self;
    void operator()() const noexcept { self->ctx_->scheduler->post(self->wait_.stop); }
  };
  struct own_stop : work {
    explicit own_stop(admission_run& o) noexcept : owner{o} {
      run = [](work& w) noexcept { static_cast<own_stop&>(w).owner.cancelled(); };
    }
    admission_run& owner;
  };
  // How it ended without a value.
  struct ending {
    time_point at{};
    stop_reason reason{};
    verdict said{};
  };
  // What only a wait needs.
  struct own_wait : timer, work {
    explicit own_wait(admission_run& o) noexcept : owner{o}, stop{o} {
      run = [](work& w) noexcept { static_cast<own_wait&>(w).owner.granted(); };
      fire = [](timer& t) noexcept { static_cast<own_wait&>(t).owner.granted(); };
    }
    admission_run& owner;
    own_stop stop;
    manual_optional<inplace_stop_callback<stopped>> listener;
  };
  own_wait& need_wait() noexcept {
    if (!wait_made_) ::new (static_cast<void*>(&wait_)) own_wait{*this};
    wait_made_ = true;
    return wait_;
  }

  bool refuse(stop_reason why, time_point now) noexcept {
    ::new (static_cast<void*>(&end_)) ending{.at = now, .reason = why};
    phase_ = phases::refused;
    return true;
  }
  // Out of queue, timers and stop source.
  void leave_wait() noexcept {
    wait_.listener.reset();
    ctx_->scheduler->disarm(wait_);
    ctx_->scheduler->forget(wait_.stop);
    ticket_.withdraw();
    ctx_->scheduler->forget(wait_);
  }
  void granted() noexcept {
    wait_.listener.reset();
    ctx_->scheduler->forget(wait_.stop);
    lazy_time now{*ctx_->scheduler};
    if (ctx_->stop.stop_requested() ||
        (ctx_->deadline != never && ctx_->deadline <= now())) {  // at once, or the loop is late
      ticket_.withdraw();
      refuse(stopped_at(now(), *ctx_, stop_reason::cancelled_before_start), now());
    } else if (!go()) {
      return;
    }
    k_();
  }
  void cancelled() noexcept {
    leave_wait();
    const time_point now = ctx_->scheduler->now();
    refuse(stopped_at(now, *ctx_, stop_reason::cancelled_before_start), now);
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
    lazy_time now{*ctx_->scheduler};
    try {
      result_ = slot_.look();
      if (result_ == nullptr || result_->has_value()) {
        ticket_.ended(now, {.ok = result_ != nullptr});
        return;
      }
      ::new (static_cast<void*>(&end_)) ending{.said = verdict_of(result_->error())};
    } catch (...) {  // a verdict, or a move of the user's types
      thrown_ = std::current_exception();
      ticket_.ended(now, {});
      return;
    }
    end_.at = now();
    end_.reason = ended_by(end_.said, end_.at, *ctx_);
    const bool timed_out = made_by_cut(end_.said) && ctx_->kind == deadline_kind::attempt && ctx_->deadline <= end_.at;
    const verdict heard = timed_out ? cut_off(end_.said) : end_.said;  // a cut is not the peer's permanent error
    ticket_.ended(now, {.failed = &heard, .timed_out = timed_out});
  }

  Op& op_;
  Ticket ticket_;
  continuation k_;
  const context* ctx_ = nullptr;
  attempt_result* result_ = nullptr;
  time_point start_{};
  phases phase_ = phases::fresh;
  std::exception_ptr thrown_;
  bool wait_made_ = false;
  view slot_;
  union {
    own_wait wait_;
  };
  union {
    ending end_;
  };
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

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
