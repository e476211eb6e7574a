// SPDX-License-Identifier: MIT
/// \file
/// One run of a retry: the state machine behind `again::retry`. It lives in the frame of the awaiting coroutine and starts the
/// attempts in place.
///
/// A first-try success without bounds in time goes straight through, here. All else is the loop's (`retry_loop`), which comes
/// back for what depends on the types: to start an attempt, and to look at it.
#pragma once

#include <again/combinator/nested_failure.hpp>
#include <again/core/detail/addressof.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/attempt.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/policy/failure.hpp>
#include <again/retry/detail/hooks.hpp>
#include <again/retry/detail/machine.hpp>

#include <exception>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Op, class Hooks> class retry_run : retry_loop {
  using view = result_view<Op>;
  using attempt_result = typename view::result_type;

 public:
  using value = typename expected_parts<attempt_result>::value;
  using error = typename expected_parts<attempt_result>::error;
  using final_error = merged_error_t<error>;
  using result_type = expected<value, failure<final_error>>;
  using parts_type = retry_parts<Op, Hooks>;

  explicit retry_run(parts_type& parts) noexcept : retry_loop{parts, table} {}
  retry_run(const retry_run&) = delete;
  retry_run& operator=(const retry_run&) = delete;
  ~retry_run() {
    if (hooked_) [[unlikely]]
      end_rest();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<retry_run>{*this}; }

  [[gnu::always_inline]] bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    ctx_ = &ctx;
    if (bounded() || ctx.deadline != never) return start_bounded();
    return start_plainly(ctx.scheduler->last_wake());
  }
  /// The same where the time has just been read, by a combinator that starts it in place and `ctx.deadline` is later.
  [[gnu::always_inline]] bool start_at(continuation k, const context& ctx, time_point now) noexcept {
    k_ = k;
    ctx_ = &ctx;
    if (bounded()) return start_bounded_at(now);
    return start_plainly(now);
  }

  using retry_loop::exception;

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
  parts_type& parts() noexcept { return static_cast<parts_type&>(plan_); }

  [[gnu::noinline]] result_type take_failure() {
    rethrow();
    failure<final_error> f{std::in_place};
    auto& r = f.details();
    close(r.reason, r.attempts, r.elapsed, r.farthest, r.trace);
    if (rest_.unkept) keep_error();
    if constexpr (std::is_trivially_copyable_v<final_error>) {
      r.error = last_;
    } else if (last_) {
      r.error.emplace(*std::move(last_));
    }
    return result_type(unexpect, std::move(f));
  }

  [[gnu::always_inline]] bool bounded() const noexcept {
    const policy& p = the_policy();
    return Hooks::observes || Hooks::guarded || p.deadline != forever || p.attempt_timeout != forever ||
           ctx_->stop.stop_requested();
  }
  [[gnu::always_inline]] bool start_plainly(time_point now) noexcept {
    start_ = now;
    phase_ = phases::running;
    if (!attempt_.start(parts().op, {&retry_loop::attempt_done, static_cast<retry_loop*>(this)}, *ctx_)) return false;
    if constexpr (view::shows) {
      attempt_result* const r = attempt_.peek();
      if (r == nullptr || !r->has_value()) [[unlikely]]
        return finished_attempt();
      result_ = r;
      phase_ = phases::succeeded;
      return true;
    } else {
      news n;
      const outcomes o = look(*this, n);
      return o == outcomes::value || go_on(o, n);
    }
  }

  static outcomes begin(retry_loop& loop, const context& ctx, news& n) noexcept {
    retry_run& self = static_cast<retry_run&>(loop);
    for (const context* c = &ctx; c != nullptr;) {
      if constexpr (Hooks::guarded) {
        if (!self.guards_.admit(self.moment(), self.ctx_->repeated)) {
          n.ask_at = self.guards_.ask_at();
          n.count = self.guards_.refusals();
          return outcomes::refused;
        }
      }
      if (!self.make_room()) return outcomes::threw;
      if (!self.start_attempt(*c)) return outcomes::pending;
      const outcomes o = look(loop, n);
      if (!an_error(o)) return o;
      c = self.failed(o, n);
    }
    return outcomes::ended;
  }

  [[gnu::noinline]] static outcomes look(retry_loop& loop, news& n) noexcept {
    retry_run& self = static_cast<retry_run&>(loop);
    try {
      attempt_result* const r = self.result_ = self.attempt_.look();
      if (r == nullptr) [[unlikely]]
        return self.attempt_threw();
      if (r->has_value()) {
        if constexpr (Hooks::observes || Hooks::guarded) self.succeeded();
        self.phase_ = phases::succeeded;
        return outcomes::value;
      }
      const verdict& v =
          *::new (static_cast<void*>(address_of(n.verdict))) verdict(self.parts().hooks.classify(r->error()));
      if constexpr (merged_error<error>::nested) {
        n.count = r->error().attempts();
        n.reason = r->error().reason();
        n.inner = &r->error().trace();
      }
      return v.kind == disposition::transient && v.server_delay < duration::zero() && !v.server_delay_too_long
                 ? outcomes::again
                 : outcomes::error;
    } catch (...) {  // a predicate, an observer, or a move of the user's types
      return self.caught();
    }
  }

  [[gnu::noinline, gnu::cold]] outcomes attempt_threw() noexcept {
    ::new (static_cast<void*>(address_of(place_of_exception()))) std::exception_ptr(attempt_.exception());
    return outcomes::threw;
  }

  bool start_attempt(const context& ctx) noexcept {
    const continuation k{&retry_loop::attempt_done, static_cast<retry_loop*>(this)};
    if constexpr (view::starts_at) {
      // Before a further one an observer may have been called and an attempt destroyed, since the time was read.
      if (timed_ && attempt_no_ == 1) return attempt_.start_at(parts().op, k, ctx, rest_.now);
    }
    return attempt_.start(parts().op, k, ctx);
  }

  // What the attempt before leaves behind. False: the move of its error threw.
  bool make_room() noexcept {
    if (rest_.unkept) {
      try {
        keep_error();
      } catch (...) {
        caught();
        return false;
      }
    }
    attempt_.reset();
    return true;
  }
  // The attempt's error becomes the last real one, when the next attempt or the end takes its place.
  void keep_error() {
    rest_.unkept = false;
    detail::keep_error(last_, result_->error(), rest_.cut_short);
  }

  void succeeded() {
    if constexpr (Hooks::observes) rest_.now = ctx_->scheduler->now();
    if constexpr (Hooks::guarded) {
      guards_.succeeded([this] { return Hooks::observes ? rest_.now : ctx_->scheduler->now(); });
    }
    if constexpr (Hooks::observes) {
      attempt_record r;
      r.attempt = attempt_no_;
      r.ok = r.last = true;
      r.reach = reach::answered;
      if constexpr (!std::is_void_v<value>) r.code = code_of(**result_);
      time(r);
      parts().hooks.observe(r);
    }
  }

  static constexpr type_table make_table() noexcept {
    type_table t{.begin = &begin,
                 .look = &look,
                 .observe = nullptr,
                 .share = nullptr,
                 .end_sharing = nullptr,
                 .merges = merged_error<error>::nested};
    if constexpr (Hooks::observes) {
      t.observe = [](retry_loop& loop, const attempt_record& r) {
        static_cast<retry_run&>(loop).parts().hooks.observe(r);
      };
    }
    if constexpr (Hooks::guarded) {
      t.share = [](retry_loop& loop, const verdict& v, bool timed_out, bool again) noexcept {
        retry_run& self = static_cast<retry_run&>(loop);
        return self.guards_.failed(self.moment(), v, timed_out, again);
      };
      t.end_sharing = [](retry_loop& loop) noexcept { static_cast<retry_run&>(loop).guards_.end(); };
    }
    return t;
  }
  static const type_table table;

  attempt_result* result_ = nullptr;
  [[no_unique_address]] typename Hooks::guards::call guards_{parts().hooks.shared()};
  std::optional<final_error> last_;  // the last real error but that of the finished attempt
  view attempt_;
};

template <class Op, class Hooks>
constexpr retry_loop::type_table retry_run<Op, Hooks>::table = retry_run<Op, Hooks>::make_table();

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
