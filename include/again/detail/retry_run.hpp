// SPDX-License-Identifier: MIT
/// \file
/// One run of a retry: the state machine behind `again::retry`. It lives in the frame of the awaiting coroutine, starts the
/// attempts in place, and asks `decide` what to do with each failure.
///
/// Everything happens on the scheduler's thread, but for `stopped_outside`, which a stop request runs on its own thread and
/// which only passes the request on or posts.
#pragma once

#include <again/awaitable.hpp>
#include <again/decide.hpp>
#include <again/detail/attempt_slot.hpp>
#include <again/detail/retry_hooks.hpp>
#include <again/failure.hpp>
#include <again/policy.hpp>
#include <again/random.hpp>
#include <again/stop_token.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace again::inline AGAIN_ABI::detail {

template <class Op, class Hooks> struct retry_parts {
  checked_policy policy;
  Op op;
  [[no_unique_address]] Hooks hooks;
};

struct retry_settings {
  bool nested = false;            // may multiply an outer retry's attempts
  scheduler* where = nullptr;     // where to run, if given
  std::optional<std::uint64_t> seed{};
};

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
    if (phase_ != phases::running && phase_ != phases::waiting) return;
    leave();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<retry_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    const policy& p = parts_.policy;
    const duration bound = attempt_bound(p);
    timed_ = p.deadline != forever || bound != forever || Hooks::observes;
    start_ = timed_ ? ctx.scheduler->now() : ctx.scheduler->last_wake();
    now_ = start_;
    deadline_ = p.deadline == forever ? never : saturating_add(start_, p.deadline);
    if (ctx.stop.stop_requested()) {
      finish(ctx.deadline != never && ctx.scheduler->now() >= ctx.deadline ? stop_reason::deadline_reached
                                                                            : stop_reason::cancelled_before_start);
      return true;
    }
    if (ctx.deadline != never && (timed_ ? start_ : ctx.scheduler->now()) >= ctx.deadline) {
      finish(stop_reason::deadline_reached);
      return true;
    }
    return attempts();
  }

  std::exception_ptr exception() noexcept { return thrown_ ? thrown_ : phase_ == phases::threw ? attempt_.exception() : nullptr; }

  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    if (phase_ == phases::threw) std::rethrow_exception(attempt_.exception());
    if (phase_ == phases::succeeded) {
      if constexpr (std::is_void_v<value>) {
        return result_type();
      } else {
        return result_type(*std::move(*result_));
      }
    }
    return result_type(unexpect, failure<final_error>{std::move(report())});
  }

 private:
  enum class phases : std::uint8_t { fresh, running, waiting, succeeded, failed, threw };

  // Attempts one after another until one is pending, a wait begins, or it is over. True: over.
  bool attempts() noexcept {
    for (;;) {
      ++attempt_no_;
      phase_ = phases::running;
      attempt_.reset();
      if (!attempt_.start(parts_.op, {&retry_run::attempt_done, this}, attempt_context())) {
        watch_attempt();
        return false;
      }
      if (!settle()) continue;
      return phase_ != phases::waiting;
    }
  }

  // The context of the next attempt: the awaiting one itself where nothing of it changes.
  const context& attempt_context() noexcept {
    const duration bound = attempt_bound(parts_.policy);
    attempt_start_ = now_;
    const time_point by_attempt = bound == forever ? never : saturating_add(now_, bound);
    attempt_ends_ = by_attempt < deadline_ ? by_attempt : deadline_;
    if (attempt_ends_ == never && attempt_no_ == 1) return *ctx_;
    inner_ = *ctx_;
    inner_.repeated = ctx_->repeated || attempt_no_ > 1;
    if (attempt_ends_ != never) {
      if (!stop_) stop_.emplace();
      if (stop_->stop_requested()) stop_.emplace();
      inner_.stop = stop_->get_token();
      if (attempt_ends_ < ctx_->deadline) {
        inner_.deadline = attempt_ends_;
        inner_.kind = by_attempt < deadline_ ? deadline_kind::attempt : deadline_kind::overall;
      }
    }
    return inner_;
  }

  // The attempt is under way: now it is worth having a timer and listening for a stop.
  void watch_attempt() noexcept {
    if (attempt_ends_ == never) return;
    timer_.fire = [](timer& t) noexcept {
      retry_run& self = static_cast<own_timer&>(t).owner();
      self.expired_ = true;
      self.stop_->request_stop();
    };
    ctx_->scheduler->arm(timer_, attempt_ends_);
    listen();
  }

  void listen() noexcept {
    if (ctx_->stop.stop_possible()) listener_.emplace(ctx_->stop, stopped_outside{this});
  }

  struct stopped_outside {
    retry_run* self;
    void operator()() const noexcept {
      if (self->phase_ == phases::running) {
        self->stop_->request_stop();
      } else {
        self->wake_.run = [](work& w) noexcept { static_cast<own_work&>(w).owner().cancelled_in_wait(); };
        self->ctx_->scheduler->post(self->wake_);
      }
    }
  };

  static void attempt_done(void* p) noexcept {
    retry_run& self = *static_cast<retry_run*>(p);
    self.listener_.reset();
    self.ctx_->scheduler->disarm(self.timer_);
    if (self.settle() ? self.phase_ != phases::waiting : self.attempts()) self.k_();
  }

  // Looks at the finished attempt. False: on to the next one at once. True: it is over, or a wait has begun.
  bool settle() noexcept {
    try {
      result_ = attempt_.look();
      if (result_ == nullptr) {
        phase_ = phases::threw;
        return true;
      }
      if (timed_) now_ = ctx_->scheduler->now();
      if (result_->has_value()) {
        if constexpr (Hooks::observes) observe_success();
        phase_ = phases::succeeded;
        return true;
      }
      return failed_attempt(result_->error());
    } catch (...) {  // a predicate, an observer, or a move of the user's types
      thrown_ = std::current_exception();
      phase_ = phases::threw;
      return true;
    }
  }

  bool failed_attempt(error& e) {
    verdict v = parts_.hooks.classify(e);
    const bool timed_out = std::exchange(expired_, false);
    const bool stopped = ctx_->stop.stop_requested();
    const bool overall = timed_out && attempt_ends_ == deadline_;
    const bool cut_short = v.kind == disposition::aborted;
    if (timed_out && cut_short && !stopped) {  // our own bound ended it: as bad as a peer that hung up
      v.kind = v.repeatable ? disposition::transient : disposition::not_replayable;
    }
    sends_ += sends_of(e);
    if (sends_of(e) > 0 && v.reach > farthest_) farthest_ = v.reach;

    const policy& p = parts_.policy;
    const bool needs_now = ctx_->deadline != never && !timed_;
    progress at{.attempt = attempt_no_,
                .elapsed = now_ - start_,
                .inherited = ctx_->deadline == never ? forever : ctx_->deadline - (needs_now ? ctx_->scheduler->now() : now_),
                .nested = ctx_->repeated && !settings_.nested,
                .state = backoff_};
    decision d = decide(p, at, v, draw());
    if (overall && (cut_short || d.again)) {
      d.again = false;
      d.stop = stop_reason::deadline_reached;
    } else if (stopped && (d.again || d.stop == stop_reason::cancelled_in_attempt)) {
      d.again = false;
      d.stop = ctx_->deadline != never && ctx_->scheduler->now() >= ctx_->deadline ? stop_reason::deadline_reached
                                                                                    : stop_reason::cancelled_in_attempt;
    }
    backoff_ = d.state;
    record(e, v, d, timed_out);
    keep(e, cut_short);
    if (!d.again) {
      finish(d.stop);
      return true;
    }
    if (d.wait == duration::zero()) return false;
    begin_wait(d.wait);
    return true;
  }

  void begin_wait(duration wait) {
    const time_point from = timed_ ? now_ : ctx_->scheduler->now();
    phase_ = phases::waiting;
    timer_.fire = [](timer& t) noexcept {
      retry_run& self = static_cast<own_timer&>(t).owner();
      self.listener_.reset();
      self.ctx_->scheduler->forget(self.wake_);
      if (self.timed_) self.now_ = self.ctx_->scheduler->now();
      if (self.attempts()) self.k_();
    };
    ctx_->scheduler->arm(timer_, saturating_add(from, wait));
    listen();
  }

  void cancelled_in_wait() noexcept {
    listener_.reset();
    ctx_->scheduler->disarm(timer_);
    if (timed_) now_ = ctx_->scheduler->now();
    finish(ctx_->deadline != never && ctx_->scheduler->now() >= ctx_->deadline ? stop_reason::deadline_reached
                                                                                : stop_reason::cancelled_in_delay);
    k_();
  }

  void finish(stop_reason why) noexcept {
    reason_ = why;
    phase_ = phases::failed;
  }

  // What would otherwise be left behind in scheduler and stop source.
  void leave() noexcept {
    listener_.reset();
    ctx_->scheduler->disarm(timer_);
    ctx_->scheduler->forget(wake_);
  }

  double draw() noexcept {
    const policy& p = parts_.policy;
    const bool matters = p.backoff.random() ? p.backoff.base > duration::zero()
                                            : p.jitter.kind != jitter::kinds::none && (p.backoff.kind == backoff::kinds::fixed || p.backoff.base > duration::zero());
    if (!matters) return 0;
    if (!random_) random_.emplace(settings_.seed ? mix(*settings_.seed) : ctx_->scheduler->seed());
    return random_->draw();
  }

  // Keeps the last real error: one that our own stop made does not replace it.
  void keep(error& e, bool cut_short) {
    if constexpr (merged_error<error>::nested) {
      if (e.error() != nullptr && !(cut_short && last_)) last_.emplace(std::move(*e.error()));
    } else {
      if (!(cut_short && last_)) last_.emplace(std::move(e));
    }
  }

  static int sends_of(const error& e) noexcept {
    if constexpr (merged_error<error>::nested) {
      return e.attempts();
    } else {
      return 1;
    }
  }

  void record(const error& e, const verdict& v, const decision& d, bool timed_out) {
    if constexpr (merged_error<error>::nested) {
      const int before = sends_ - e.attempts();
      for (std::size_t i = 0; i < e.trace().size(); ++i) {
        attempt_record inner = e.trace()[i];
        inner.attempt += before;
        inner.last = false;
        trace_.push(inner);
      }
      if (e.trace().size() != 0) {
        attempt_record& r = trace_.back();
        r.last = !d.again;
        r.stop = d.stop;
        r.wait = d.wait;
        r.by = d.by;
      }
    }
    attempt_record r;
    r.attempt = attempt_no_;
    r.last = !d.again;
    r.timed_out = timed_out;
    r.reach = v.reach;
    r.kind = v.kind;
    r.by = d.by;
    r.stop = d.stop;
    r.code = v.code;
    r.name = v.name;
    if (timed_) {
      r.began = attempt_start_ - start_;
      r.took = now_ - attempt_start_;
    }
    r.wait = d.wait;
    if constexpr (!merged_error<error>::nested) trace_.push(r);
    parts_.hooks.observe(r);
  }

  void observe_success() {
    attempt_record r;
    r.attempt = attempt_no_;
    r.ok = r.last = true;
    r.reach = reach::answered;
    if constexpr (!std::is_void_v<value>) r.code = code_of(**result_);
    r.began = attempt_start_ - start_;
    r.took = now_ - attempt_start_;
    parts_.hooks.observe(r);
  }

  typename failure<final_error>::report report() {
    typename failure<final_error>::report r;
    r.reason = reason_;
    r.attempts = sends_;
    r.elapsed = (timed_ ? now_ : ctx_->scheduler->now()) - start_;
    r.farthest = farthest_;
    r.error = std::move(last_);
    r.trace = trace_;
    return r;
  }

  // Nodes that know whose they are.
  struct own_timer : timer {
    explicit own_timer(retry_run& o) noexcept : owner_{o} {}
    retry_run& owner() const noexcept { return owner_; }
    retry_run& owner_;
  };
  struct own_work : work {
    explicit own_work(retry_run& o) noexcept : owner_{o} {}
    retry_run& owner() const noexcept { return owner_; }
    retry_run& owner_;
  };

  parts_type& parts_;
  const retry_settings& settings_;
  continuation k_;
  const context* ctx_ = nullptr;
  attempt_result* result_ = nullptr;
  int attempt_no_ = 0;
  int sends_ = 0;
  phases phase_ = phases::fresh;
  bool timed_ = false;
  bool expired_ = false;
  stop_reason reason_{};
  again::reach farthest_ = reach::not_sent;
  time_point start_;
  time_point now_;
  time_point deadline_;
  time_point attempt_start_;
  time_point attempt_ends_;
  std::exception_ptr thrown_;
  backoff_state backoff_;
  std::optional<random_stream> random_;
  std::optional<final_error> last_;
  own_timer timer_{*this};
  own_work wake_{*this};
  context inner_;
  std::optional<inplace_stop_source> stop_;
  std::optional<inplace_stop_callback<stopped_outside>> listener_;
  attempt_trace trace_;
  view attempt_;
};

}  // namespace again::inline AGAIN_ABI::detail
