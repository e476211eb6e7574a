// SPDX-License-Identifier: MIT
/// \file
/// `retry_machine`: the loop of a retry, as a state machine. It makes an attempt, inspects how it ended, decides, waits, and
/// makes the next attempt. It uses the typed side (`retry_run`) through an `attempt_port`, so it is compiled once for all
/// retries.
///
/// Owner: the `retry_run` of which it is a member. Everything happens on the scheduler's thread. A stop request from another
/// thread is only passed on to the running attempt, or posted.
#pragma once

#include <again/combinator/ending.hpp>
#include <again/combinator/nested_failure.hpp>
#include <again/core/detail/linked_stop_source.hpp>
#include <again/core/detail/manual_optional.hpp>
#include <again/core/random.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/policy/decide.hpp>
#include <again/policy/failure.hpp>
#include <again/retry/detail/plan.hpp>

#include <cstdint>
#include <exception>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

enum class attempt_status : std::uint8_t { running, value, error, threw, refused };

/// How an attempt failed. Fields are uninitialised unless the status that uses them is set.
struct attempt_end {
  attempt_end() noexcept {}
  union {
    again::verdict verdict;  // error
    time_point ask_at;       // refused: when to ask the circuit breaker again
  };
  int count;                   // error of an inner retry: its sends; refused: the refusals so far
  stop_reason reason;          // error of an inner retry
  const attempt_trace* inner;  // error of an inner retry
};

/// The typed side of a retry. `run` is the `retry_run`.
struct attempt_port {
  /// Asks the guards and starts one attempt. Inspects it if it has finished at once.
  attempt_status (*run_attempt)(void* run, const context&, attempt_end&) noexcept;
  /// Inspects an attempt that has finished.
  attempt_status (*inspect)(void* run, attempt_end&) noexcept;
  /// Calls the observers after a failed attempt. May throw. Null: there are none.
  void (*observe)(void* run, const attempt_record&);
  /// Reports a failed attempt to budget and circuit breaker. True: another attempt may be made. Null: there are none.
  bool (*charge_guards)(void* run, const verdict&, bool timed_out, bool again) noexcept;
  /// Gives back what was reserved and not sent. Null: there are none.
  void (*refund_guards)(void* run) noexcept;
  bool timed;   ///< observers or guards need the time of each attempt
  bool nested;  ///< the error is an inner retry's failure
};

class retry_machine {
 public:
  /// Makes a machine in `where` and starts it, like a startable's `start`. `now` is the time if it has just been read,
  /// else `never`.
  [[gnu::noinline]] static bool start(manual_optional<retry_machine>& where, retry_plan& plan, const attempt_port& port,
                                      void* run, continuation k, const context& ctx, time_point now) noexcept {
    retry_machine& self = where.emplace(plan, port, run, k, ctx, now);
    attempt_end end;
    step s = self.before_first();
    if (s == step::attempt) s = self.make_attempt(end);  // most retries end with their first attempt
    return s == step::over || self.drive(s, end);
  }
  retry_machine(retry_plan& plan, const attempt_port& port, void* run, continuation k, const context& ctx,
                time_point now) noexcept
      : plan_{plan},
        port_{port},
        run_{run},
        k_{k},
        ctx_{&ctx},
        inner_{ctx},
        timed_{port.timed || bounded(*plan.policy)} {
    if (!timed_ && ctx.deadline == never) {
      now = ctx.scheduler->last_wake();  // no clock is read where nothing needs it
    } else if (now == never) {
      now = ctx.scheduler->now();
    }
    start_ = now_ = now;
    if (plan.policy->deadline != forever) deadline_ = saturating_add(now, plan.policy->deadline);
  }
  retry_machine(const retry_machine&) = delete;
  retry_machine& operator=(const retry_machine&) = delete;
  [[gnu::noinline]] ~retry_machine() {}  // out of line: one copy of the code for all frames

  /// The continuation of a running attempt.
  static void attempt_done(void* machine) noexcept {
    retry_machine& self = *static_cast<retry_machine*>(machine);
    self.unwatch_attempt();
    attempt_end end;
    const step s = self.after_attempt(self.port_.inspect(self.run_, end));
    if (self.drive(s, end)) self.k_();
  }

  [[nodiscard]] bool succeeded() const noexcept { return result_ == attempt_status::value; }
  [[nodiscard]] std::exception_ptr exception() const noexcept { return thrown_; }
  /// Fills in the failure, except its error. Rethrows the exception that ended the retry, if there was one.
  template <class Report> void fill_report(Report& r) const {
    if (thrown_) std::rethrow_exception(thrown_);
    end_.fill(r);
    r.elapsed = now_ - start_;
  }

  // For the typed side, while an attempt is started or inspected.

  [[nodiscard]] const context& outer() const noexcept { return *ctx_; }
  [[nodiscard]] int attempt() const noexcept { return attempt_; }
  /// When the attempt began. Just read from the clock if `first_and_timed()`.
  [[nodiscard]] time_point now() const noexcept { return now_; }
  [[nodiscard]] bool first_and_timed() const noexcept { return timed_ && attempt_ == 1; }
  time_point read_clock() noexcept { return now_ = ctx_->scheduler->now(); }
  void add_times(attempt_record& r) const noexcept {
    r.began = attempt_start_ - start_;
    r.took = now_ - attempt_start_;
  }
  /// The attempt or a hook threw: the retry ends with that exception.
  [[gnu::noinline, gnu::cold]] attempt_status threw(std::exception_ptr e) noexcept {
    thrown_ = std::move(e);
    return attempt_status::threw;
  }

 private:
  enum class step : std::uint8_t { attempt, running, failed, refused, waiting, over };

  static bool bounded(const policy& p) noexcept { return p.deadline != forever || p.attempt_timeout != forever; }

  step before_first() noexcept {
    if (ctx_->deadline <= start_ || deadline_ <= start_) return finish(stop_reason::deadline_reached);
    return ctx_->stop.stop_requested() ? finish(stop_reason::cancelled_before_start) : step::attempt;
  }
  /// The loop. True: the retry is over. False: an attempt or a wait is running; its end calls this again with the next
  /// step.
  [[gnu::noinline]] bool drive(step s, attempt_end& end) noexcept {
    for (;;) {
      switch (s) {
        case step::attempt: s = make_attempt(end); break;
        case step::running: watch_attempt(); return false;
        case step::failed: s = after_failure(end); break;
        case step::refused: s = after_refusal(end); break;
        case step::waiting: return false;
        case step::over: return true;
      }
    }
  }
  [[gnu::always_inline]] step make_attempt(attempt_end& end) noexcept {
    return after_attempt(port_.run_attempt(run_, attempt_context(), end));
  }
  step after_attempt(attempt_status status) noexcept {
    result_ = status;
    if (status == attempt_status::value) [[likely]]
      return step::over;
    switch (status) {
      case attempt_status::running: return step::running;
      case attempt_status::error: return step::failed;
      case attempt_status::refused: return step::refused;
      case attempt_status::threw: refund_guards(); break;
      case attempt_status::value: break;
    }
    return step::over;
  }
  step after_failure(attempt_end& end) noexcept {
    if (timed_) now_ = ctx_->scheduler->now();
    const bool stopped = ctx_->stop.stop_requested();
    const bool timed_out = std::exchange(expired_, false);
    verdict& v = end.verdict;
    const bool cut_short = v.kind == disposition::aborted || (timed_out && made_by_cut(v));
    if (timed_out && !stopped) v = cut_off(v);  // our own timeout ended it
    end_.count(port_.nested ? end.count : 1, v.reach);
    decision d = decide_now(v);
    if (port_.nested) d.stop = reason_beside(end.reason, d.stop, plan_.policy->attempts);
    if (cut_short || v.kind == disposition::transient) stop_wins(d, timed_out, stopped);
    charge_guards(d, v, timed_out);
    backoff_ = d.state;
    if (!record_and_observe(end, d, timed_out)) return step::over;
    if (!d.again) return finish(d.stop);
    if (attempt_ != unlimited) ++attempt_;
    inner_.repeated = true;
    return d.wait > duration::zero() ? begin_wait(saturating_add(moment(), d.wait)) : step::attempt;
  }
  // The circuit breaker refused an attempt; that counts as one. All callers that it refuses are told the same time. So
  // the wait is longer than that by the random part of the policy's delay.
  step after_refusal(const attempt_end& end) noexcept {
    const policy& p = *plan_.policy;
    const double u = draw_for(p, plan_.settings, *ctx_->scheduler, random_);
    const time_point at = saturating_add(end.ask_at, random_part(p, attempt_ + end.count - 1, u));
    const bool may_wait = !may_not_repeat() && end.count <= p.attempts - attempt_;
    return may_wait && at < deadline_ && at < ctx_->deadline ? begin_wait(at) : finish(stop_reason::breaker_open);
  }
  step begin_wait(time_point until) noexcept {
    wait_.begin(*ctx_, until, {&retry_machine::wait_over, this});
    return step::waiting;
  }
  static void wait_over(void* machine) noexcept {
    retry_machine& self = *static_cast<retry_machine*>(machine);
    attempt_end end;
    if (self.drive(self.after_wait(), end)) self.k_();
  }
  step after_wait() noexcept {
    const bool bounded = timed_ || ctx_->deadline != never;
    if (bounded) now_ = ctx_->scheduler->now();
    if (wait_.ended() == wait_end::stopped || ctx_->stop.stop_requested()) {
      // A wait before the first attempt is one for a circuit breaker: nothing was sent.
      return finish(stopped_at(
          moment(), *ctx_, end_.sends == 0 ? stop_reason::cancelled_before_start : stop_reason::cancelled_in_delay));
    }
    if (bounded && (now_ >= deadline_ || now_ >= ctx_->deadline)) return finish(stop_reason::deadline_reached);  // late
    return step::attempt;
  }
  step finish(stop_reason why) noexcept {
    refund_guards();
    now_ = moment();
    end_.reason = why;
    result_ = attempt_status::error;
    return step::over;
  }

  // ── the parts of a step ──

  [[gnu::always_inline]] const context& attempt_context() noexcept {
    if (!timed_) return inner_;
    const duration bound = attempt_bound(*plan_.policy);
    attempt_start_ = now_;
    const time_point by_attempt = bound == forever ? never : saturating_add(now_, bound);
    attempt_ends_ = by_attempt < deadline_ ? by_attempt : deadline_;
    if (attempt_ends_ != never) {
      if (!stop_ || stop_->stop_requested()) stop_.emplace();
      inner_.stop = stop_->get_token();
      const bool nearer = attempt_ends_ < ctx_->deadline;
      inner_.deadline = nearer ? attempt_ends_ : ctx_->deadline;
      inner_.kind = !nearer ? ctx_->kind : by_attempt < deadline_ ? deadline_kind::attempt : deadline_kind::overall;
    }
    return inner_;
  }
  // The attempt did not finish at once: only now it needs a timer, and a callback for a stop request.
  void watch_attempt() noexcept {
    if (attempt_ends_ == never) return;  // the attempt has the token of the awaiting context
    wait_.begin(*ctx_, attempt_ends_, {&retry_machine::attempt_expired, this}, false);
    stop_->follow(ctx_->stop);
  }
  static void attempt_expired(void* machine) noexcept {
    retry_machine& self = *static_cast<retry_machine*>(machine);
    self.expired_ = true;
    self.stop_->request_stop();
  }
  void unwatch_attempt() noexcept {
    if (attempt_ends_ == never) return;
    wait_.cancel();
    stop_->unlink();
  }

  decision decide_now(const verdict& v) noexcept {
    const policy& p = *plan_.policy;
    progress at{.attempt = attempt_, .nested = may_not_repeat(), .state = backoff_};
    if (timed_) at.elapsed = now_ - start_;
    if (ctx_->deadline != never) at.inherited = ctx_->deadline - moment();
    const bool may_wait = v.kind == disposition::transient && !at.nested && attempt_ < p.attempts;
    return decide(p, at, v, may_wait ? draw_for(p, plan_.settings, *ctx_->scheduler, random_) : 0);
  }
  // If the attempt was asked to stop, that is the reason, however the attempt ended.
  void stop_wins(decision& d, bool timed_out, bool stopped) const noexcept {
    if (timed_out && attempt_ends_ == deadline_) {
      d.again = false;
      d.stop = stop_reason::deadline_reached;
    } else if (stopped) {
      d.again = false;
      d.stop = stopped_at(moment(), *ctx_, cancelled(d.stop) ? d.stop : stop_reason::cancelled_in_attempt);
    }
  }
  void charge_guards(decision& d, const verdict& v, bool timed_out) noexcept {
    if (port_.charge_guards == nullptr || port_.charge_guards(run_, v, timed_out, d.again) || !d.again) return;
    d = {.stop = stop_reason::budget_exhausted, .state = d.state};
  }
  void refund_guards() noexcept {
    if (port_.refund_guards != nullptr) port_.refund_guards(run_);
  }
  // False: an observer threw.
  bool record_and_observe(const attempt_end& end, const decision& d, bool timed_out) noexcept {
    attempt_record r = attempt_record::failed(attempt_, end.verdict, d);
    r.timed_out = timed_out;
    if (timed_) add_times(r);
    if (port_.nested) {
      take_over(end_.trace, *end.inner, end_.sends - end.count, r);
    } else {
      end_.trace.push(r);
    }
    if (port_.observe == nullptr) return true;
    try {
      port_.observe(run_, r);
      return true;
    } catch (...) {
      after_attempt(threw(std::current_exception()));
      return false;
    }
  }

  [[nodiscard]] bool may_not_repeat() const noexcept { return ctx_->repeated && !plan_.settings.nested; }
  [[nodiscard]] time_point moment() const noexcept { return timed_ ? now_ : ctx_->scheduler->now(); }

  retry_plan& plan_;
  const attempt_port& port_;
  void* run_;
  continuation k_;
  const context* ctx_;
  context inner_;  // of the attempts
  int attempt_ = 1;
  attempt_status result_ = attempt_status::running;
  const bool timed_;      // the clock is read around each attempt
  bool expired_ = false;  // our timer has asked the attempt to stop
  time_point start_;
  time_point now_;
  time_point deadline_ = never;
  time_point attempt_start_;
  time_point attempt_ends_ = never;
  backoff_state backoff_;
  std::exception_ptr thrown_;
  manual_optional<random_stream> random_;
  manual_optional<linked_stop_source> stop_;  // of the running attempt, if its time is bounded
  stoppable_wait wait_;                       // for the end of the attempt's time, or for the next attempt
  ending end_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
