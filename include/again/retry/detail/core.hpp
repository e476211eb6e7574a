// SPDX-License-Identifier: MIT
/// \file
/// What a run of a retry does that depends on neither its operation nor its hooks: clocks, timers, stop requests, the decision
/// and its record. Compiled once, whatever is retried.
///
/// Everything happens on the scheduler's thread, but for `stopped_outside`, which a stop request runs on its own thread and
/// which only passes the request on or posts.
#pragma once

#include <again/combinator/nested_failure.hpp>
#include <again/core/detail/manual_optional.hpp>
#include <again/coro/awaitable.hpp>
#include <again/policy/decide.hpp>
#include <again/policy/policy.hpp>
#include <again/retry/detail/hooks.hpp>
#include <again/retry/detail/state.hpp>

#include <cstdint>
#include <new>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class retry_core {
 protected:
  enum class phases : std::uint8_t { fresh, running, waiting, succeeded, failed, threw };

  /// What the end of a wait calls. `on`: go on with the next attempt; else the retry has just ended. True: over.
  using after_wait = bool (*)(retry_core&, bool on) noexcept;

  struct stopped_outside {
    retry_core* self;
    void operator()() const noexcept { self->on_stop(); }
  };

  // What a first-try success without bounds does not need; built in place when it is needed first.
  struct rest : timer, work, retry_state {
    explicit rest(retry_core& o) noexcept : owner{o}, inner{*o.ctx_} { inner.repeated = true; }
    retry_core& owner;
    context inner;  // of the attempts
    after_wait then = nullptr;
    manual_optional<inplace_stop_callback<stopped_outside>> listener;
    bool plain = false;      // `failed_plainly` may be true
    bool unkept = false;     // the finished attempt holds an error that is not yet kept as the last real one
    bool cut_short = false;  // a stop made that error
  };

  explicit retry_core(retry_plan& plan) noexcept : plan_{plan} {}
  retry_core(const retry_core&) = delete;
  retry_core& operator=(const retry_core&) = delete;
  // After `end_rest` nothing in `rest_` needs a destructor; the attempt, which goes first, may still listen to its `stop`.
  ~retry_core() {}

  [[nodiscard]] const policy& the_policy() const noexcept { return *plan_.policy; }
  [[nodiscard]] bool over() const noexcept { return phase_ != phases::running && phase_ != phases::waiting; }
  [[nodiscard]] bool may_not_repeat() const noexcept { return ctx_->repeated && !plan_.settings.nested; }

  // `unshared`: nobody else has a say in whether there is another attempt, and nobody watches.
  [[gnu::always_inline]] void make_rest(bool unshared) noexcept {
    ::new (static_cast<void*>(&rest_)) rest{*this};
    rest_made_ = true;
    rest_.plain = unshared && !may_not_repeat() && ctx_->deadline == never && !waits(the_policy().backoff);
  }
  // Nobody comes back to it any more. Only where `hooked_`.
  [[gnu::noinline]] void end_rest() noexcept {
    rest_.listener.reset();
    if (rest_.armed()) ctx_->scheduler->disarm(rest_);
    if (rest_.work::queued != work::state::idle) ctx_->scheduler->forget(rest_);
    rest_.thrown = nullptr;
  }

  // The first half of a start with a bound in time, an observer, or a stop request already made. False: over.
  bool may_start(bool timed, time_point now) noexcept {
    timed_ = timed;
    start_ = rest_.now = now;
    if (the_policy().deadline != forever) rest_.deadline = saturating_add(start_, the_policy().deadline);
    if (ctx_->deadline <= start_) {
      end_with(stop_reason::deadline_reached);
      return false;
    }
    if (ctx_->stop.stop_requested()) {
      end_with(stop_reason::cancelled_before_start);
      return false;
    }
    return true;
  }

  // The context of an attempt after the first.
  const context& next_context() noexcept { return timed_ ? next_bounded_context() : rest_.inner; }
  [[gnu::noinline]] const context& next_bounded_context() noexcept { return bounded_context(); }
  // The context of any attempt with bounds in time.
  [[gnu::always_inline]] const context& bounded_context() noexcept {
    rest& more = rest_;
    const duration bound = attempt_bound(the_policy());
    more.attempt_start = more.now;
    const time_point by_attempt = bound == forever ? never : saturating_add(more.now, bound);
    more.attempt_ends = by_attempt < more.deadline ? by_attempt : more.deadline;
    more.inner.repeated = ctx_->repeated || attempt_no_ > 1;
    if (more.attempt_ends != never) {
      if (!more.stop || more.stop->stop_requested()) more.stop.emplace();
      more.inner.stop = more.stop->get_token();
      const bool nearer = more.attempt_ends < ctx_->deadline;
      more.inner.deadline = nearer ? more.attempt_ends : ctx_->deadline;
      more.inner.kind = !nearer                      ? ctx_->kind
                        : by_attempt < more.deadline ? deadline_kind::attempt
                                                     : deadline_kind::overall;
    }
    return more.inner;
  }

  // The attempt is under way: now it is worth having a timer and listening for a stop.
  [[gnu::noinline]] void watch_attempt() noexcept {
    if (!timed_ || rest_.attempt_ends == never) return;
    rest_.fire = [](timer& t) noexcept {
      rest& more = static_cast<rest&>(t);
      more.expired = true;
      more.stop->request_stop();
    };
    hooked_ = true;
    ctx_->scheduler->arm(rest_, rest_.attempt_ends);
    listen();
  }
  void unwatch_attempt() noexcept {
    rest_.listener.reset();
    if (rest_.armed()) ctx_->scheduler->disarm(rest_);
  }

  // For `decide`, when an attempt has failed.
  [[nodiscard]] progress where() const noexcept {
    progress at{.attempt = attempt_no_, .nested = may_not_repeat(), .state = rest_.backoff};
    if (timed_) at.elapsed = rest_.now - start_;
    if (ctx_->deadline != never) at.inherited = ctx_->deadline - moment();
    return at;
  }
  [[gnu::noinline]] decision decide_now(const verdict& v) noexcept {
    const progress at = where();
    const policy& p = the_policy();
    const bool may_wait = v.kind == disposition::transient && !at.nested && attempt_no_ < p.attempts;
    return decide(p, at, v, may_wait ? draw_for(p, plan_.settings, *ctx_->scheduler, rest_.random) : 0);
  }

  // An attempt that was asked to stop: whatever it made of that, the reason is who asked.
  void overrule(decision& d, bool timed_out, bool stopped) const noexcept {
    if (timed_out && rest_.attempt_ends == rest_.deadline) {
      d.again = false;
      d.stop = stop_reason::deadline_reached;
    } else if (stopped) {
      d.again = false;
      if (!cancelled(d.stop)) d.stop = stop_reason::cancelled_in_attempt;
      d.stop = why_stopped(*ctx_, d.stop);
    }
  }

  [[gnu::noinline]] [[nodiscard]] attempt_record describe(const verdict& v, const decision& d,
                                                          bool timed_out) const noexcept {
    attempt_record r{.attempt = attempt_no_,
                     .last = !d.again,
                     .timed_out = timed_out,
                     .reach = v.reach,
                     .kind = v.kind,
                     .by = d.by,
                     .stop = d.stop,
                     .code = v.code,
                     .name = v.name,
                     .wait = d.wait};
    if (timed_) time(r);
    return r;
  }
  void time(attempt_record& r) const noexcept {
    r.began = rest_.attempt_start - start_;
    r.took = rest_.now - rest_.attempt_start;
  }

  [[gnu::noinline]] void begin_wait(duration wait, after_wait then) {
    const time_point from = moment();
    phase_ = phases::waiting;
    hooked_ = true;
    rest_.then = then;
    rest_.fire = [](timer& t) noexcept {
      rest& more = static_cast<rest&>(t);
      retry_core& self = more.owner;
      more.listener.reset();
      self.ctx_->scheduler->forget(more);
      const bool bound = self.timed_ || self.ctx_->deadline != never;
      if (bound) more.now = self.ctx_->scheduler->now();
      if (self.ctx_->stop.stop_requested()) {  // at the same moment
        self.end_with(self.cancelled_while_waiting());
      } else if (bound && (more.now >= more.deadline || more.now >= self.ctx_->deadline)) {  // the loop was held up
        self.end_with(stop_reason::deadline_reached);
      }
      if (more.then(self, self.phase_ == phases::waiting)) self.k_();
    };
    ctx_->scheduler->arm(rest_, saturating_add(from, wait));
    listen();
  }

  time_point moment() const noexcept { return timed_ ? rest_.now : ctx_->scheduler->now(); }

  void end_with(stop_reason why) noexcept {
    if (!timed_) rest_.now = ctx_->scheduler->now();
    rest_.reason = why;
    phase_ = phases::failed;
  }

  retry_plan& plan_;
  continuation k_;
  const context* ctx_ = nullptr;
  time_point start_;
  int attempt_no_ = 1;
  phases phase_ = phases::fresh;
  bool timed_ = false;
  bool rest_made_ = false;
  bool hooked_ = false;  // there may be something in `rest_` to end: a timer, a listener, an exception
  union {
    rest rest_;
  };

 private:
  void listen() noexcept {
    if (ctx_->stop.stop_possible()) rest_.listener.emplace(ctx_->stop, stopped_outside{this});
  }

  // The stopping thread. `phase_` stands still while the listener is registered.
  void on_stop() noexcept {
    if (phase_ == phases::running) {
      rest_.stop->request_stop();
    } else {
      rest_.run = [](work& w) noexcept { static_cast<rest&>(w).owner.cancelled_in_wait(); };
      ctx_->scheduler->post(rest_);
    }
  }
  void cancelled_in_wait() noexcept {
    rest_.listener.reset();
    ctx_->scheduler->disarm(rest_);
    if (timed_) rest_.now = ctx_->scheduler->now();
    end_with(cancelled_while_waiting());
    rest_.then(*this, false);
    k_();
  }
  // A wait before the first attempt is a breaker's: nothing was sent yet.
  stop_reason cancelled_while_waiting() const noexcept {
    return why_stopped(*ctx_, rest_.sends == 0 ? stop_reason::cancelled_before_start : stop_reason::cancelled_in_delay);
  }
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
