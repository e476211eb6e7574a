// SPDX-License-Identifier: MIT
/// \file
/// One run of a retry: the state machine behind `again::retry`. It lives in the frame of the awaiting coroutine, starts the
/// attempts in place, and asks `decide` what to do with each failure.
///
/// Two halves. What every call needs stands in the run itself; what only a failure, a bound in time or an observer needs is
/// built in place when it is needed first, so that a first-try success pays for none of it.
///
/// Everything happens on the scheduler's thread, but for `stopped_outside`, which a stop request runs on its own thread and
/// which only passes the request on or posts.
#pragma once

#include <again/awaitable.hpp>
#include <again/decide.hpp>
#include <again/detail/attempt_slot.hpp>
#include <again/detail/merged_failure.hpp>
#include <again/detail/retry_hooks.hpp>
#include <again/detail/retry_state.hpp>
#include <again/failure.hpp>
#include <again/policy.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace again::inline AGAIN_ABI::detail {

template <class Op, class Hooks> class retry_run {
  using view = result_view<Op>;
  using attempt_result = typename view::result_type;

 public:
  using value = typename expected_parts<attempt_result>::value;
  using error = typename expected_parts<attempt_result>::error;
  using final_error = merged_error_t<error>;
  using result_type = expected<value, failure<final_error>>;
  using parts_type = retry_parts<Op, Hooks>;
  using settings_type = retry_settings;

  retry_run(parts_type& parts, const retry_settings& settings) noexcept : parts_{parts}, settings_{settings} {}
  retry_run(const retry_run&) = delete;
  retry_run& operator=(const retry_run&) = delete;
  ~retry_run() {
    if (rest_made_) end_rest();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<retry_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    const policy& p = parts_.policy;
    if (Hooks::observes || Hooks::guarded || p.deadline != forever || p.attempt_timeout != forever ||
        ctx.deadline != never || ctx.stop.stop_requested()) {
      return start_bounded();
    }
    start_ = ctx.scheduler->last_wake();
    phase_ = phases::running;
    if (!attempt_.start(parts_.op, {&retry_run::attempt_done, this}, ctx)) return false;
    if (first_succeeded()) return true;
    return settle() ? phase_ != phases::waiting : attempts();
  }

  std::exception_ptr exception() noexcept {
    if (phase_ != phases::threw) return nullptr;
    return rest_made_ && rest_.thrown ? rest_.thrown : attempt_.exception();
  }

  result_type take() {
    if (phase_ == phases::succeeded) [[likely]] {
      if constexpr (std::is_void_v<value>) {
        return result_type();
      } else {
        return result_type(*std::move(*result_));
      }
    }
    if (phase_ == phases::threw) std::rethrow_exception(exception());
    return result_type(unexpect, failure<final_error>{report_of(rest_, rest_.last, moment() - start_)});
  }

 private:
  enum class phases : std::uint8_t { fresh, running, waiting, succeeded, failed, threw };

  struct stopped_outside {
    retry_run* self;
    void operator()() const noexcept { self->on_stop(); }
  };

  // What a first-try success without bounds does not need.
  struct rest : timer, work, retry_state {
    explicit rest(retry_run& o) noexcept : owner{o} {}
    retry_run& owner;
    std::optional<final_error> last;
    std::optional<inplace_stop_callback<stopped_outside>> listener;  // goes before `stop`
  };

  rest& need_rest() noexcept {
    if (!rest_made_) {
      ::new (static_cast<void*>(std::addressof(rest_))) rest{*this};
      rest_made_ = true;
    }
    return rest_;
  }
  void end_rest() noexcept {
    rest_.listener.reset();
    attempt_.reset();  // it may listen to `stop` and look at `inner`
    if (rest_.armed()) ctx_->scheduler->disarm(rest_);
    if (rest_.work::place != work::places::nowhere) ctx_->scheduler->forget(rest_);
    std::destroy_at(std::addressof(rest_));
  }

  bool first_succeeded() noexcept {
    if constexpr (view::shows) {
      attempt_result* const r = attempt_.peek();
      if (r != nullptr && r->has_value()) [[likely]] {
        result_ = r;
        phase_ = phases::succeeded;
        return true;
      }
    }
    return false;
  }

  // With a bound in time, an observer, or a stop request already made.
  bool start_bounded() noexcept {
    rest& more = need_rest();
    const policy& p = parts_.policy;
    timed_ = Hooks::observes || p.deadline != forever || p.attempt_timeout != forever;
    start_ = more.now = ctx_->scheduler->now();
    if (p.deadline != forever) more.deadline = saturating_add(start_, p.deadline);
    if (ctx_->deadline <= start_) {
      finish(stop_reason::deadline_reached);
      return true;
    }
    if (ctx_->stop.stop_requested()) {
      finish(stop_reason::cancelled_before_start);
      return true;
    }
    return attempts();
  }

  // Attempts one after another until one is pending, a wait begins, or it is over. True: over.
  bool attempts() noexcept {
    for (;;) {
      if constexpr (Hooks::guarded) {
        if (!may_send()) return phase_ != phases::waiting;
      }
      attempt_.reset();
      phase_ = phases::running;
      if (!attempt_.start(parts_.op, {&retry_run::attempt_done, this}, attempt_context())) {
        watch_attempt();
        return false;
      }
      if (settle()) return phase_ != phases::waiting;
    }
  }

  // Asks the breaker. False: refused; it is over, or waits until it is worth asking again. A refusal counts as an attempt.
  // Above the time told, a wait has the policy's random part: all who were refused were told the same.
  bool may_send() noexcept {
    const time_point now = moment();
    if (guards_.admit(now)) return true;
    const policy& p = parts_.policy;
    const double u = draw_for(p, settings_, *ctx_->scheduler, rest_.random);
    const time_point at = saturating_add(guards_.ask_at(), random_part(p, attempt_no_ + guards_.refusals() - 1, u));
    const bool may_wait = !(ctx_->repeated && !settings_.nested) && guards_.refusals() <= p.attempts - attempt_no_;
    if (may_wait && at < rest_.deadline && at < ctx_->deadline) {
      begin_wait(at - now);
    } else {
      finish(stop_reason::breaker_open);
    }
    return false;
  }

  // The context of the next attempt: the awaiting one itself where nothing of it changes.
  const context& attempt_context() noexcept {
    rest& more = rest_;
    if (!timed_) {
      if (attempt_no_ == 1 || ctx_->repeated) return *ctx_;
      if (attempt_no_ == 2) {
        more.inner = *ctx_;
        more.inner.repeated = true;
      }
      return more.inner;
    }
    const duration bound = attempt_bound(parts_.policy);
    more.attempt_start = more.now;
    const time_point by_attempt = bound == forever ? never : saturating_add(more.now, bound);
    more.attempt_ends = by_attempt < more.deadline ? by_attempt : more.deadline;
    more.inner = *ctx_;
    more.inner.repeated = ctx_->repeated || attempt_no_ > 1;
    if (more.attempt_ends != never) {
      if (!more.stop || more.stop->stop_requested()) more.stop.emplace();
      more.inner.stop = more.stop->get_token();
      if (more.attempt_ends < ctx_->deadline) {
        more.inner.deadline = more.attempt_ends;
        more.inner.kind = by_attempt < more.deadline ? deadline_kind::attempt : deadline_kind::overall;
      }
    }
    return more.inner;
  }

  // The attempt is under way: now it is worth having a timer and listening for a stop.
  void watch_attempt() noexcept {
    if (!timed_ || rest_.attempt_ends == never) return;
    rest_.fire = [](timer& t) noexcept {
      rest& more = static_cast<rest&>(t);
      more.expired = true;
      more.stop->request_stop();
    };
    ctx_->scheduler->arm(rest_, rest_.attempt_ends);
    listen();
  }

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

  static void attempt_done(void* p) noexcept {
    retry_run& self = *static_cast<retry_run*>(p);
    if (self.rest_made_) {
      self.rest_.listener.reset();
      if (self.rest_.armed()) self.ctx_->scheduler->disarm(self.rest_);
    }
    if (self.settle() ? self.phase_ != phases::waiting : self.attempts()) self.k_();
  }

  // Looks at the finished attempt. False: on to the next one at once. True: it is over, or a wait has begun.
  bool settle() noexcept {
    try {
      result_ = attempt_.look();
      if (result_ == nullptr) {
        if constexpr (Hooks::guarded) guards_.end();
        phase_ = phases::threw;
        return true;
      }
      if (timed_) rest_.now = ctx_->scheduler->now();
      if (result_->has_value()) {
        if constexpr (Hooks::guarded) guards_.succeeded(moment());
        if constexpr (Hooks::observes) observe_success();
        phase_ = phases::succeeded;
        return true;
      }
      return failed_attempt(result_->error());
    } catch (...) {  // a predicate, an observer, or a move of the user's types
      if constexpr (Hooks::guarded) guards_.end();
      need_rest().thrown = std::current_exception();
      phase_ = phases::threw;
      return true;
    }
  }

  bool failed_attempt(error& e) {
    rest& more = need_rest();
    verdict v = parts_.hooks.classify(e);
    const bool timed_out = std::exchange(more.expired, false);
    const bool stopped = ctx_->stop.stop_requested();
    const bool cut_short = v.kind == disposition::aborted;
    if (timed_out && cut_short && !stopped) {  // our own bound ended it: as bad as a peer that hung up
      v.kind = v.repeatable ? disposition::transient : disposition::not_replayable;
    }
    more.sends += sends_of(e);
    if (sends_of(e) > 0 && v.reach > more.farthest) more.farthest = v.reach;

    progress at{.attempt = attempt_no_, .nested = ctx_->repeated && !settings_.nested, .state = more.backoff};
    if (timed_) at.elapsed = more.now - start_;
    if (ctx_->deadline != never) at.inherited = ctx_->deadline - moment();
    const bool may_wait = v.kind == disposition::transient && !at.nested && attempt_no_ < parts_.policy->attempts;
    decision d =
        decide(parts_.policy, at, v, may_wait ? draw_for(parts_.policy, settings_, *ctx_->scheduler, more.random) : 0);
    d.stop = reason_of(e, d.stop, parts_.policy->attempts);
    if (cut_short || v.kind == disposition::transient) {  // whatever the attempt made of being stopped
      if (timed_out && more.attempt_ends == more.deadline) {
        d.again = false;
        d.stop = stop_reason::deadline_reached;
      } else if (stopped) {
        d.again = false;
        if (!cancelled(d.stop)) d.stop = stop_reason::cancelled_in_attempt;
        d.stop = why_stopped(*ctx_, d.stop);
      }
    }
    if constexpr (Hooks::guarded) {
      if (!guards_.failed(moment(), v, timed_out, d.again) && d.again)
        d = {.stop = stop_reason::budget_exhausted, .state = d.state};
    }
    more.backoff = d.state;
    record(e, v, d, timed_out);
    keep_error(more.last, e, cut_short);
    if (!d.again) {
      finish(d.stop);
      return true;
    }
    if (attempt_no_ != unlimited) ++attempt_no_;
    if (d.wait != duration::zero()) begin_wait(d.wait);
    return d.wait != duration::zero();
  }

  void begin_wait(duration wait) {
    const time_point from = moment();
    phase_ = phases::waiting;
    rest_.fire = [](timer& t) noexcept {
      rest& more = static_cast<rest&>(t);
      retry_run& self = more.owner;
      more.listener.reset();
      self.ctx_->scheduler->forget(more);
      if (self.timed_) more.now = self.ctx_->scheduler->now();
      if (self.ctx_->stop.stop_requested()) {  // at the same moment
        self.finish(why_stopped(*self.ctx_, stop_reason::cancelled_in_delay));
      } else if (more.now >= more.deadline) {  // the loop was held up
        self.finish(stop_reason::deadline_reached);
      } else if (!self.attempts()) {
        return;
      }
      self.k_();
    };
    ctx_->scheduler->arm(rest_, saturating_add(from, wait));
    listen();
  }

  void cancelled_in_wait() noexcept {
    rest_.listener.reset();
    ctx_->scheduler->disarm(rest_);
    if (timed_) rest_.now = ctx_->scheduler->now();
    finish(why_stopped(*ctx_, stop_reason::cancelled_in_delay));
    k_();
  }

  time_point moment() const noexcept { return timed_ ? rest_.now : ctx_->scheduler->now(); }

  void finish(stop_reason why) noexcept {
    if constexpr (Hooks::guarded) guards_.end();
    rest_.reason = why;
    phase_ = phases::failed;
  }

  void record(const error& e, const verdict& v, const decision& d, bool timed_out) {
    attempt_record r;
    describe(r, attempt_no_, v, d);
    r.timed_out = timed_out;
    if (timed_) time(r);
    if constexpr (merged_error<error>::nested) {
      take_over(rest_.trace, e.trace(), rest_.sends - e.attempts(), r);
    } else {
      rest_.trace.push(r);
    }
    parts_.hooks.observe(r);
  }

  void time(attempt_record& r) const noexcept {
    r.began = rest_.attempt_start - start_;
    r.took = rest_.now - rest_.attempt_start;
  }
  void observe_success() {
    attempt_record r;
    r.attempt = attempt_no_;
    r.ok = r.last = true;
    r.reach = reach::answered;
    if constexpr (!std::is_void_v<value>) r.code = code_of(**result_);
    time(r);
    parts_.hooks.observe(r);
  }

  parts_type& parts_;
  const retry_settings& settings_;
  continuation k_;
  const context* ctx_ = nullptr;
  attempt_result* result_ = nullptr;
  time_point start_;
  int attempt_no_ = 1;
  phases phase_ = phases::fresh;
  bool timed_ = false;
  bool rest_made_ = false;
  [[no_unique_address]] typename Hooks::guards::call guards_{parts_.hooks.shared()};
  view attempt_;
  union {
    rest rest_;
  };
};

}  // namespace again::inline AGAIN_ABI::detail
