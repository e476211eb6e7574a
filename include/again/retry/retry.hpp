// SPDX-License-Identifier: MIT
/// \file
/// `retry(policy, operation)`: awaits an operation again and again, until it gives a value, the policy ends it, or stop
/// is requested.
///
/// ```cpp
/// auto quote = co_await again::retry(polite, api.get("/quote/ACME"));  // expected<response, failure<http::error>>
/// auto row = co_await again::retry(polite, load, std::ref(db), 42);    // a function of yours and its arguments
/// auto one = co_await again::retry(polite, op).when(is_busy).observe(log).seed(42);
/// ```
///
/// - Result: the operation gives `expected<T, E>`; the retry gives `expected<T, failure<E>>`. A failure holds the last
///   real error, the reason for stopping, the number of attempts, the elapsed time and a bounded trace. The result must
///   not be discarded.
/// - Errors: if the operation, a predicate or an observer throws, the retry ends and rethrows. `catching(op)` makes
///   errors of exceptions. A wrong argument is one readable compile error; a policy with impossible values throws
///   `std::invalid_argument`.
/// - Cancellation: a stop request of the awaiting context ends a wait at once, and is passed on to a running attempt.
///   An attempt that ignores it is awaited, because nothing of a retry may outlive the await.
/// - Timeouts: `attempt_timeout` and `deadline` request stop of the attempt. A wait that would end after the deadline
///   (this one, or an inherited one) is not begun.
/// - Nesting: inside a repeated attempt of an outer retry, only one attempt is made, so that attempts add up and do not
///   multiply. `.nested(allow)` lifts this limit. `failure<failure<E>>` is merged into `failure<E>`, which counts all
///   sends.
/// - A retry is itself an operation: it can be started again, and given to another combinator.
/// - Lifetime: it owns copies of policy, operation and hooks. Destroying the awaiting coroutine ends attempt, wait and
///   timers.
/// - Thread: everything runs on the scheduler's thread.
/// - Cost: no coroutine frame and no allocation, however many attempts are made; one allocation for the final failure.
///   The clock is read only if the policy bounds time or there is an observer or a guard. Random numbers are drawn only
///   for waits with jitter.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/combinator/order_rules.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/placing.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>
#include <again/policy/decide.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/policy.hpp>
#include <again/retry/detail/run.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// For `.nested`: how many attempts a retry makes inside a repeated attempt of an outer one.
enum class nesting : bool {
  add,    ///< one attempt (the default)
  allow,  ///< as many as the policy says, for each attempt of the outer retry
};
inline constexpr nesting allow = nesting::allow;

/// What `retry` returns: an awaitable and an operation. Its builder functions may be called in any order; each returns
/// a new retry, to which it moves the old one's parts.
template <fallible_operation Op, class Hooks = detail::retry_hooks<>, detail::placing Placing = detail::placing::here>
class [[nodiscard("nothing runs until it is awaited: write co_await before it")]] retry_operation
    : public detail::not_awaited<retry_operation<Op, Hooks, Placing>,
                                 typename detail::retry_run<Op, Hooks>::result_type> {
 public:
  using run_type = typename detail::placed<detail::retry_run<Op, Hooks>, Placing>::type;

  /// `p` is a checked policy, or the deadline of a single attempt (`<again/retry/timeout.hpp>`).
  template <class P, class From>
  retry_operation(const P& p, From&& op, Hooks hooks = {}) : parts_{p, std::forward<From>(op), std::move(hooks)} {}

  /// `pred(const E&)` decides which errors are worth another attempt. It returns a `verdict`, or a `bool`: true for
  /// transient, false for permanent. A request that must not be sent twice is not sent twice, even if a `bool` says
  /// true.
  /// It also decides about an attempt that our own timeout cut off.
  template <class Pred> auto when(Pred&& pred) && {
    static_assert(detail::classifies<std::decay_t<Pred>, typename detail::retry_run<Op, Hooks>::error>,
                  "again::retry(...).when(pred): pred must take const E& of the operation's expected<T, E> and return "
                  "bool or again::verdict");
    return rebuild(std::move(parts_.hooks).with_when(detail::stored_t<Pred>(std::forward<Pred>(pred))));
  }

  /// `see(const attempt_record&)` is called after every attempt, on the scheduler's thread, once the next step is
  /// decided.
  template <class Observer> auto observe(Observer&& see) && {
    static_assert(std::is_invocable_v<std::decay_t<Observer>&, const attempt_record&>,
                  "again::retry(...).observe(see): see must be callable with const again::attempt_record&");
    return rebuild(std::move(parts_.hooks).with_observer(detail::stored_t<Observer>(std::forward<Observer>(see))));
  }

  /// A budget shared with others (`<again/protection/budget.hpp>`): the first attempt deposits, and each further one
  /// withdraws before its wait. If nothing is left, the retry ends with `budget_exhausted` and the last real error. A
  /// withdrawal for an attempt that is not made is given back. `shared` outlives the retry.
  template <class Budget> auto budget(Budget& shared) && {
    return rebuild(std::move(parts_.hooks).with_budget(shared));
  }

  /// A circuit breaker shared with others (`<again/protection/breaker.hpp>`). It is asked before each attempt. If it
  /// refuses, the retry waits until the time that the breaker names, plus the policy's jitter, if that is before the
  /// deadline; else it ends with `breaker_open`. A refusal counts as an attempt, without a send, so the number of
  /// refusals is bounded, too. `shared` outlives the retry.
  template <class Breaker> auto breaker(Breaker& shared) && {
    return rebuild(std::move(parts_.hooks).with_breaker(shared));
  }

  /// Runs attempts, waits and timers on `where`. A coroutine that has a context, or inherits one, is resumed on that
  /// context's scheduler; any other is resumed on `where`. Cost: one allocation if `where` is not the awaiting coroutine's scheduler.
  auto on(scheduler& where) && {
    parts_.settings.where = &where;
    return placed_as<detail::placing::elsewhere>();
  }

  /// Stops the retry when stop is requested of `token`, beside the stop token of the awaiting context: for coroutines
  /// that have no context. The source outlives the await.
  auto stop(inplace_stop_token token) && {
    auto stoppable = placed_as<detail::placing::stoppable>();
    stoppable.parts_.bounds.stop = token;
    return stoppable;
  }

  /// A nearer deadline for this retry: the policy's, or `d` from the start on, whichever ends first. If `d` is not
  /// positive, it ends before the first attempt with `deadline_reached`.
  retry_operation within(duration_with_unit d) && {
    parts_.policy = parts_.policy.within(d);
    return std::move(*this);
  }

  /// Lifts (or restores) the limit to one attempt inside a repeated attempt of an outer retry.
  retry_operation nested(nesting n) && {
    parts_.settings.nested = n == nesting::allow;
    return std::move(*this);
  }

  /// The seed of this retry's jitter. Without it, the scheduler gives a seed when the first wait needs one.
  retry_operation seed(std::uint64_t s) && {
    parts_.settings.seed = s;
    parts_.settings.seeded = true;
    return std::move(*this);
  }

  /// See `is_repeatable` in `<again/coro/operation.hpp>`.
  bool repeatable() const { return is_repeatable(parts_.op); }

  /// For `attempt_slot`: `operator()` runs no code of the user.
  static constexpr bool makes_at_once = Placing == detail::placing::here;
  /// One start.
  run_type operator()() & { return run_type{parts_}; }
  auto operator co_await() & { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }
  auto operator co_await() && { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }

 private:
  template <fallible_operation, class, detail::placing> friend class retry_operation;
  template <class NewHooks> auto rebuild(NewHooks hooks) {
    retry_operation<Op, NewHooks, Placing> changed{parts_.policy, std::move(parts_.op), std::move(hooks)};
    pass_on(changed);
    return changed;
  }
  template <detail::placing Also> auto placed_as() {
    retry_operation<Op, Hooks, Placing | Also> changed{parts_.policy, std::move(parts_.op), std::move(parts_.hooks)};
    pass_on(changed);
    return changed;
  }
  template <class Changed> void pass_on(Changed& to) const {
    to.parts_.settings = parts_.settings;
    if constexpr (requires { parts_.bounds; }) to.parts_.bounds = parts_.bounds;
  }

  typename run_type::parts_type parts_;
};

namespace detail {

template <class F, class... Args>
concept binds_operation =
    sizeof...(Args) > 0 &&
    binds<F, Args...>&& fallible_operation<bound_operation<std::decay_t<F>, std::decay_t<Args>...>>;

template <class P>
concept is_policy = std::convertible_to<P, const policy&> || std::convertible_to<P, const checked_policy&>;

/// Why `First` is no policy, which the first argument of a retry is.
template <class First, class... Rest> consteval void explain_no_policy() {
  if constexpr (std::is_arithmetic_v<First>) {
    static_assert(!std::is_arithmetic_v<First>,
                  "again::retry: the first argument is a policy and not a number; write retry({.attempts = 3}, op)");
  } else if constexpr (std::convertible_to<First, duration>) {
    static_assert(!std::convertible_to<First, duration>,
                  "again::retry: the first argument is a policy and not a duration; write retry({.deadline = 5s}, op), "
                  "or timeout(5s, op) for a single attempt");
  } else if constexpr ((is_policy<Rest> || ...)) {
    static_assert(!(is_policy<Rest> || ...), "again::retry: the policy comes first; write retry(policy, op)");
  } else {
    static_assert(is_policy<First>, "again::retry: the policy is missing; write retry({}, op) for the default one, or "
                                    "retry({.attempts = 3}, op)");
  }
}

}  // namespace detail

namespace detail {
struct retry_order {
  template <class Op> static consteval bool check() {
    static_assert(!never_fails<Op>,
                  "again::retry: a fallback that cannot fail leaves nothing to retry; put the retry inside: "
                  "fallback(retry(policy, op), value)");
    return true;
  }
};
}  // namespace detail

/// Retries `op` as `p` says. `p` was checked at compile time, or when it was made.
template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto retry(const checked_policy& p, Op&& op) {
  static_assert(detail::retry_order::check<std::decay_t<Op>>());
  return retry_operation<detail::stored_t<Op>>{p, std::forward<Op>(op)};
}
/// The same with a policy that is checked now: throws `std::invalid_argument` if its values are impossible.
template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto retry(const policy& p, Op&& op) {
  static_assert(detail::retry_order::check<std::decay_t<Op>>());
  return retry_operation<detail::stored_t<Op>>{checked_policy{p}, std::forward<Op>(op)};
}

/// Retries `f(args...)`. The arguments are copied once and passed to every attempt as const. Share an object with
/// `std::ref`.
template <class F, class... Args>
  requires detail::binds_operation<F, Args...>
auto retry(const checked_policy& p, F&& f, Args&&... args) {
  using bound = detail::bound_operation<detail::stored_t<F>, std::decay_t<Args>...>;
  return retry_operation<bound>{p, bound{std::in_place, std::forward<F>(f), std::forward<Args>(args)...}};
}
template <class F, class... Args>
  requires detail::binds_operation<F, Args...>
auto retry(const policy& p, F&& f, Args&&... args) {
  return retry(checked_policy{p}, std::forward<F>(f), std::forward<Args>(args)...);
}

// Any other arguments are a mistake: one compile error says how to fix it.
template <class Wrong, class... Args>
  requires(!(sizeof...(Args) == 0 && fallible_operation<std::decay_t<Wrong>>) &&
           !detail::binds_operation<Wrong, Args...>)
auto retry(const policy&, Wrong&&, Args&&...) {
  detail::explain_misuse<std::decay_t<Wrong>, std::decay_t<Args>...>();
  return detail::misused{};
}
template <class First, class... Rest>
  requires(!detail::is_policy<First>)
auto retry(First&&, Rest&&...) {
  detail::explain_no_policy<std::remove_cvref_t<First>, Rest...>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
