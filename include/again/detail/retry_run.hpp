// SPDX-License-Identifier: MIT
/// \file
/// One run of a retry: the state machine behind `again::retry`. It lives in the frame of the awaiting coroutine, starts the
/// attempts in place, and asks `decide` what to do with each failure.
///
/// Two halves. What every call needs stands in the run itself; what only a failure, a bound in time or an observer needs is
/// built in place when it is needed first, so that a first-try success pays for none of it.
#pragma once

#include <again/awaitable.hpp>
#include <again/decide.hpp>
#include <again/detail/attempt_slot.hpp>
#include <again/detail/merged_failure.hpp>
#include <again/detail/retry_core.hpp>
#include <again/detail/retry_hooks.hpp>
#include <again/failure.hpp>
#include <again/policy.hpp>

#include <exception>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace again::inline AGAIN_ABI::detail {

template <class Op, class Hooks> class retry_run : retry_core {
  using view = result_view<Op>;
  using attempt_result = typename view::result_type;

 public:
  using value = typename expected_parts<attempt_result>::value;
  using error = typename expected_parts<attempt_result>::error;
  using final_error = merged_error_t<error>;
  using result_type = expected<value, failure<final_error>>;
  using parts_type = retry_parts<Op, Hooks>;
  using settings_type = retry_settings;

  retry_run(parts_type& parts, const retry_settings& settings) noexcept
      : retry_core{parts.policy, settings}, parts_{parts} {}
  retry_run(const retry_run&) = delete;
  retry_run& operator=(const retry_run&) = delete;
  ~retry_run() {
    if (rest_made_) end();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<retry_run>{*this}; }

  [[gnu::always_inline]] bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    if (Hooks::observes || Hooks::guarded || policy_.deadline != forever || policy_.attempt_timeout != forever ||
        ctx.deadline != never || ctx.stop.stop_requested()) {
      return start_bounded();
    }
    start_ = ctx.scheduler->last_wake();
    phase_ = phases::running;
    if (!attempt_.start(parts_.op, {&retry_run::attempt_done, this}, ctx)) return false;
    return succeeded_at_once() || go_on(entry::finished_attempt);
  }

  std::exception_ptr exception() noexcept {
    if (phase_ != phases::threw) return nullptr;
    return rest_made_ && rest_.thrown ? rest_.thrown : attempt_.exception();
  }

  [[gnu::always_inline]] result_type take() {
    if (phase_ != phases::succeeded) [[unlikely]]
      return take_failure();
    if constexpr (std::is_void_v<value>) {
      return result_type();
    } else {
      return result_type(*std::move(*result_));
    }
  }

 private:
  [[gnu::noinline]] result_type take_failure() {
    if (phase_ == phases::threw) std::rethrow_exception(exception());
    return result_type(unexpect, failure<final_error>{report_of(rest_, last_, rest_.now - start_)});
  }

  void need_rest() noexcept {
    if (rest_made_) return;
    make_rest();
    ::new (static_cast<void*>(&last_)) std::optional<final_error>{};
  }
  void end() noexcept {
    rest_.listener.reset();
    attempt_.reset();  // it may listen to `rest_.stop` and look at `rest_.inner`
    end_rest();
    last_.~optional();
  }

  bool succeeded_at_once() noexcept {
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

  [[gnu::noinline]] bool start_bounded() noexcept {
    need_rest();
    const bool timed =
        Hooks::observes || Hooks::guarded || policy_.deadline != forever || policy_.attempt_timeout != forever;
    if (!may_start(timed)) {
      if constexpr (Hooks::guarded) guards_.end();
      return true;
    }
    return go_on(entry::next_attempt);
  }

  enum class entry : bool { next_attempt, finished_attempt };

  // Attempts one after another until one is pending, a wait begins, or it is over. True: over.
  [[gnu::noinline]] bool go_on(entry here) noexcept {
    for (;; here = entry::finished_attempt) {
      if (here == entry::finished_attempt && settle()) break;
      if (!begin_attempt()) break;
    }
    return over();
  }

  // True: it has finished already. Else it is pending, or was refused.
  bool begin_attempt() noexcept {
    if constexpr (Hooks::guarded) {
      if (!may_send()) return false;
    }
    attempt_.reset();
    phase_ = phases::running;
    if (attempt_.start(parts_.op, {&retry_run::attempt_done, this}, attempt_context())) return true;
    watch_attempt();
    return false;
  }

  // Asks the breaker. False: refused; it is over, or waits until it is worth asking again. A refusal counts as an attempt.
  // Above the time told, a wait has the policy's random part: all who were refused were told the same.
  bool may_send() noexcept {
    const time_point now = moment();
    if (guards_.admit(now, ctx_->repeated)) return true;
    const double u = draw_for(policy_, settings_, *ctx_->scheduler, rest_.random);
    const time_point at =
        saturating_add(guards_.ask_at(), random_part(policy_, attempt_no_ + guards_.refusals() - 1, u));
    const bool may_wait = !may_not_repeat() && guards_.refusals() <= policy_.attempts - attempt_no_;
    if (may_wait && at < rest_.deadline && at < ctx_->deadline) {
      wait_for_next(at - now);
    } else {
      finish(stop_reason::breaker_open);
    }
    return false;
  }

  static void attempt_done(void* p) noexcept {
    retry_run& self = *static_cast<retry_run*>(p);
    if (self.rest_made_) self.unwatch_attempt();
    if (self.go_on(entry::finished_attempt)) self.k_();
  }
  void wait_for_next(duration wait) {
    begin_wait(wait, [](retry_core& self, bool on) noexcept { return static_cast<retry_run&>(self).waited(on); });
  }
  bool waited(bool on) noexcept {
    if (on) return go_on(entry::next_attempt);
    if constexpr (Hooks::guarded) guards_.end();
    return true;
  }

  // Looks at the finished attempt. False: on to the next one at once. True: it is over, or a wait has begun.
  bool settle() noexcept {
    try {
      result_ = attempt_.look();
      if (result_ == nullptr) [[unlikely]] {
        if constexpr (Hooks::guarded) guards_.end();
        phase_ = phases::threw;
        return true;
      }
      if (result_->has_value()) {
        succeeded();
        phase_ = phases::succeeded;
        return true;
      }
      if (timed_) rest_.now = ctx_->scheduler->now();
      error& e = result_->error();
      const verdict v = parts_.hooks.classify(e);
      if constexpr (!Hooks::observes && !Hooks::guarded && !merged_error<error>::nested) {
        if (timed_ ? failed_plainly<true>(e, v) : failed_plainly<false>(e, v)) return false;
      }
      const verdict said = v;  // a copy: the plain case then keeps its own in registers
      return failed_attempt(e, said);
    } catch (...) {  // a predicate, an observer, or a move of the user's types
      if constexpr (Hooks::guarded) guards_.end();
      need_rest();
      rest_.thrown = std::current_exception();
      phase_ = phases::threw;
      return true;
    }
  }

  void succeeded() {
    if constexpr (Hooks::observes) rest_.now = ctx_->scheduler->now();
    if constexpr (Hooks::guarded) {
      guards_.succeeded([this] { return Hooks::observes ? rest_.now : ctx_->scheduler->now(); });
    }
    if constexpr (Hooks::observes) observe_success();
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

  // What most failures are: transient, and the next attempt follows at once. Decided as in `failed_attempt`, without all that
  // cannot matter where nobody stops, watches or shares. False: it is not that simple; nothing was done.
  template <bool Timed> bool failed_plainly(error& e, const verdict& v) {
    progress at{.attempt = attempt_no_, .nested = may_not_repeat()};
    if constexpr (Timed) at.elapsed = rest_.now - start_;
    if (ctx_->stop.stop_requested() || ctx_->deadline != never || !again_at_once(policy_, at, v)) return false;
    if (Timed && rest_.expired) return false;
    need_rest();
    ++rest_.sends;
    if (v.reach > rest_.farthest) rest_.farthest = v.reach;
    attempt_record& r =
        rest_.trace.push({.attempt = attempt_no_++, .reach = v.reach, .kind = v.kind, .code = v.code, .name = v.name});
    if constexpr (Timed) time(r);
    last_.emplace(std::move(e));
    return true;
  }

  [[gnu::noinline]] bool failed_attempt(error& e, const verdict& said) {
    verdict v = said;
    need_rest();
    const bool stopped = ctx_->stop.stop_requested();
    const bool timed_out = timed_ && std::exchange(rest_.expired, false);
    const bool cut_short = v.kind == disposition::aborted;
    if (timed_out && cut_short && !stopped) {  // our own bound ended it: as bad as a peer that hung up
      v.kind = v.repeatable ? disposition::transient : disposition::not_replayable;
    }
    rest_.sends += sends_of(e);
    if (sends_of(e) > 0 && v.reach > rest_.farthest) rest_.farthest = v.reach;
    decision d = decide_now(v);
    d.stop = reason_of(e, d.stop, policy_.attempts);
    if (cut_short || v.kind == disposition::transient) overrule(d, timed_out, stopped);
    if constexpr (Hooks::guarded) {
      if (!guards_.failed(moment(), v, timed_out, d.again) && d.again)
        d = {.stop = stop_reason::budget_exhausted, .state = d.state};
    }
    rest_.backoff = d.state;
    record(e, describe(v, d, timed_out));
    keep_error(last_, e, cut_short);
    if (!d.again) {
      finish(d.stop);
      return true;
    }
    if (attempt_no_ != unlimited) ++attempt_no_;
    if (d.wait == duration::zero()) return false;
    wait_for_next(d.wait);
    return true;
  }

  void record(const error& e, const attempt_record& r) {
    if constexpr (merged_error<error>::nested) {
      take_over(rest_.trace, e.trace(), rest_.sends - e.attempts(), r);
    } else {
      rest_.trace.push(r);
    }
    parts_.hooks.observe(r);
  }

  void finish(stop_reason why) noexcept {
    if constexpr (Hooks::guarded) guards_.end();
    end_with(why);
  }

  parts_type& parts_;
  attempt_result* result_ = nullptr;
  [[no_unique_address]] typename Hooks::guards::call guards_{parts_.hooks.shared()};
  view attempt_;
  union {
    std::optional<final_error> last_;  // the last real error; made and ended with `rest_`
  };
};

}  // namespace again::inline AGAIN_ABI::detail
