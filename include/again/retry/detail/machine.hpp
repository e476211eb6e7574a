// SPDX-License-Identifier: MIT
/// \file
/// The loop of a retry: attempts one after another, what becomes of each, and the way it ends. It knows the types of its
/// operation and its hooks only by a table of functions, and so is compiled once, however many there are.
#pragma once

#include <again/combinator/nested_failure.hpp>
#include <again/policy/decide.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/policy.hpp>
#include <again/retry/detail/core.hpp>

#include <cstdint>
#include <exception>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class retry_loop : protected retry_core {
 public:
  std::exception_ptr exception() const noexcept { return phase_ == phases::threw ? rest_.thrown : nullptr; }

 protected:
  /// What became of an attempt. `again`: an error that is worth another attempt and asks for no wait.
  /// `ended`: it failed, and nothing follows at once.
  enum class outcomes : std::uint8_t { pending, value, error, again, ended, threw, refused };
  static constexpr bool an_error(outcomes o) noexcept { return o == outcomes::error || o == outcomes::again; }

  /// What there is to know of an attempt that gave no value. Written before it is read, and only what is read.
  struct news {
    news() noexcept {}
    union {
      again::verdict verdict;  // of an error
      time_point ask_at;       // of a refusal
    };
    int count;           // the sends of an inner retry's failure; the refusals so far
    stop_reason reason;  // of an inner retry's failure, and so is the next
    const attempt_trace* inner;
  };

  /// What depends on the types.
  struct type_table {
    /// Starts attempts one after another, each if a breaker allows it, while one fails at once and `failed` has the next follow.
    outcomes (*begin)(retry_loop&, const context&, news&) noexcept;
    /// Looks at an attempt that has finished.
    outcomes (*look)(retry_loop&, news&) noexcept;
    /// Tells the observers of a failed attempt. Null: there are none.
    void (*observe)(retry_loop&, const attempt_record&);
    /// Tells budget and breaker of a failed attempt; may there be another one? Null: there are none.
    bool (*share)(retry_loop&, const again::verdict&, bool timed_out, bool again) noexcept;
    /// Gives back to them what was reserved and not sent. Null as well.
    void (*end_sharing)(retry_loop&) noexcept;
    /// Is an error an inner retry's failure?
    bool merges;
  };

  retry_loop(retry_plan& plan, const type_table& types) noexcept : retry_core{plan}, types_{&types} {}
  ~retry_loop() = default;

  // With a bound in time, an observer or a guard, or a stop request already made. `now`: read just now.
  [[gnu::noinline]] bool start_bounded() noexcept { return start_bounded_at(ctx_->scheduler->now()); }
  [[gnu::noinline]] bool start_bounded_at(time_point now) noexcept {
    make_rest(unshared());
    const policy& p = the_policy();
    const bool timed =
        types_->observe != nullptr || types_->share != nullptr || p.deadline != forever || p.attempt_timeout != forever;
    if (!may_start(timed, now)) {
      end_sharing();
      return true;
    }
    phase_ = phases::running;
    news n;
    return end_of_series(types_->begin(*this, timed ? bounded_context() : *ctx_, n), n);
  }

  [[gnu::noinline]] bool finished_attempt() noexcept {
    news n;
    return go_on(types_->look(*this, n), n);
  }
  // On from a finished attempt. True: it is over.
  [[gnu::noinline]] bool go_on(outcomes o, news& n) noexcept {
    if (an_error(o)) {
      const context* const next = failed(o, n);
      o = next != nullptr ? types_->begin(*this, *next, n) : outcomes::ended;
    }
    return end_of_series(o, n);
  }
  static void attempt_done(void* p) noexcept {
    retry_loop& self = *static_cast<retry_loop*>(p);
    if (self.rest_made_) self.unwatch_attempt();
    if (self.finished_attempt()) self.k_();
  }

  // The context of the next attempt, which follows at once. Null: it is over, or a wait has begun.
  [[gnu::noinline]] const context* failed(outcomes o, news& n) noexcept {
    need_rest();
    if (timed_) rest_.now = ctx_->scheduler->now();
    const bool at_once = (o == outcomes::again && failed_plainly(n.verdict)) || failed_otherwise(n);
    return at_once ? &next_context() : nullptr;
  }

  // Where the exception goes that ends it; null so far.
  [[gnu::noinline, gnu::cold]] std::exception_ptr& place_of_exception() noexcept {
    need_rest();
    hooked_ = true;
    return rest_.thrown;
  }
  [[gnu::noinline, gnu::cold]] outcomes caught() noexcept {
    place_of_exception() = std::current_exception();
    return outcomes::threw;
  }

  // All of the failure but its error.
  [[gnu::noinline]] void close(stop_reason& reason, int& attempts, duration& elapsed, reach& farthest,
                               attempt_trace& trace) {
    reason = rest_.reason;
    attempts = rest_.sends;
    elapsed = rest_.now - start_;
    farthest = rest_.farthest;
    trace = rest_.trace;
  }
  // What the attempt threw, if it threw.
  [[gnu::noinline]] void rethrow() const {
    if (phase_ == phases::threw) std::rethrow_exception(rest_.thrown);
  }

 private:
  bool next_attempt() noexcept {
    news n;
    phase_ = phases::running;
    return end_of_series(types_->begin(*this, next_context(), n), n);
  }
  // True: it is over.
  bool end_of_series(outcomes o, const news& n) noexcept {
    if (o == outcomes::value) [[likely]]
      return true;
    return end_without_value(o, n);
  }
  [[gnu::noinline]] bool end_without_value(outcomes o, const news& n) noexcept {
    if (o == outcomes::pending) {
      watch_attempt();
    } else if (o == outcomes::threw) {
      end_sharing();
      phase_ = phases::threw;
    } else if (o == outcomes::refused) {
      refused(n);
    }
    return over();
  }
  void end_sharing() noexcept {
    if (types_->end_sharing != nullptr) types_->end_sharing(*this);
  }
  void finish(stop_reason why) noexcept {
    end_sharing();
    end_with(why);
  }
  void wait_for_next(duration wait) {
    begin_wait(wait, [](retry_core& core, bool on) noexcept {
      retry_loop& self = static_cast<retry_loop&>(core);
      if (on) return self.next_attempt();
      self.end_sharing();
      return true;
    });
  }

  bool unshared() const noexcept { return types_->observe == nullptr && types_->share == nullptr && !types_->merges; }
  [[gnu::noinline]] void make_rest_here() noexcept { make_rest(unshared()); }
  void need_rest() noexcept {
    if (!rest_made_) [[unlikely]]
      make_rest_here();
  }

  // What most failures are: transient, and the next attempt follows at once. Decided as in `failed_otherwise`, without all that
  // cannot matter where nobody stops, watches or shares. False: it is not that simple; nothing was done.
  bool failed_plainly(const again::verdict& v) noexcept {
    if (!rest_.plain || attempt_no_ >= the_policy().attempts || ctx_->stop.stop_requested()) return false;
    if (timed_ && (rest_.expired || rest_.now - start_ >= the_policy().deadline)) return false;
    ++rest_.sends;
    if (v.reach > rest_.farthest) rest_.farthest = v.reach;
    attempt_record& r =
        rest_.trace.push({.attempt = attempt_no_++, .reach = v.reach, .kind = v.kind, .code = v.code, .name = v.name});
    if (timed_) time(r);
    rest_.unkept = true;
    rest_.cut_short = false;
    return true;
  }
  // True: on to the next one at once.
  [[gnu::noinline]] bool failed_otherwise(news& n) noexcept {
    again::verdict& v = n.verdict;
    const bool stopped = ctx_->stop.stop_requested();
    const bool timed_out = timed_ && std::exchange(rest_.expired, false);
    const bool cut_short = v.kind == disposition::aborted;
    if (timed_out && cut_short && !stopped) {  // our own bound ended it: as bad as a peer that hung up
      v.kind = v.repeatable ? disposition::transient : disposition::not_replayable;
    }
    const int sends = types_->merges ? n.count : 1;
    rest_.sends += sends;
    if (sends > 0 && v.reach > rest_.farthest) rest_.farthest = v.reach;
    decision d = decide_now(v);
    if (types_->merges) d.stop = reason_beside(n.reason, d.stop, the_policy().attempts);
    if (cut_short || v.kind == disposition::transient) overrule(d, timed_out, stopped);
    if (types_->share != nullptr && !types_->share(*this, v, timed_out, d.again) && d.again)
      d = {.stop = stop_reason::budget_exhausted, .state = d.state};
    rest_.backoff = d.state;
    rest_.unkept = true;
    rest_.cut_short = cut_short;
    if (!record(n, describe(v, d, timed_out))) return false;
    if (!d.again) {
      finish(d.stop);
      return false;
    }
    if (attempt_no_ != unlimited) ++attempt_no_;
    if (d.wait == duration::zero()) return true;
    wait_for_next(d.wait);
    return false;
  }

  // False: an observer threw.
  bool record(const news& n, const attempt_record& r) noexcept {
    if (types_->merges) {
      take_over(rest_.trace, *n.inner, rest_.sends - n.count, r);
    } else {
      rest_.trace.push(r);
    }
    if (types_->observe == nullptr) return true;
    try {
      types_->observe(*this, r);
      return true;
    } catch (...) {
      end_sharing();
      caught();
      phase_ = phases::threw;
      return false;
    }
  }

  // The breaker refused: it is over, or waits until it is worth asking again. A refusal counts as an attempt. Above the time
  // told, a wait has the policy's random part: all who were refused were told the same.
  void refused(const news& n) noexcept {
    const policy& p = the_policy();
    const time_point now = moment();
    const double u = draw_for(p, plan_.settings, *ctx_->scheduler, rest_.random);
    const time_point at = saturating_add(n.ask_at, random_part(p, attempt_no_ + n.count - 1, u));
    const bool may_wait = !may_not_repeat() && n.count <= p.attempts - attempt_no_;
    if (may_wait && at < rest_.deadline && at < ctx_->deadline) {
      wait_for_next(at - now);
    } else {
      finish(stop_reason::breaker_open);
    }
  }

  const type_table* types_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
