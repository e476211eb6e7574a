// SPDX-License-Identifier: MIT
/// \file
/// `retry(policy, operation)`: awaits an operation again and again until it gives a value, the policy ends it, or somebody stops it.
///
/// ```cpp
/// auto quote = co_await again::retry(polite, api.get("/quote/ACME"));                 // expected<response, failure<http::error>>
/// auto row = co_await again::retry(polite, load, std::ref(db), 42);                   // a function of yours and its arguments
/// auto one = co_await again::retry(polite, op).when(is_busy).observe(log).seed(42);   // per call: what is transient, who watches
/// ```
///
/// - Result: the operation gives `expected<T, E>`; the retry gives `expected<T, failure<E>>`: the value, or the last real error,
///   why it stopped, how many attempts were made, the elapsed time and a bounded trace. It must be looked at.
/// - Exceptions: an operation, predicate or observer that throws ends the retry, which rethrows; see `catching`.
/// - Cancellation: a stop request of the awaiting context wakes a wait at once and is passed on to a running attempt. An attempt
///   that ignores it is waited for: nothing of it may outlive the await.
/// - Timeouts: `attempt_timeout` and `deadline` request stop of the attempt; a wait that would not end before the deadline
///   (this one's, or one inherited) is not begun.
/// - Nesting: inside a repeated attempt of an outer retry only one attempt is made (`.nested(allow)` lifts that), so that
///   layers add up instead of multiplying. `failure<failure<E>>` is merged to `failure<E>`, counting all sends.
/// - A retry is itself an operation: it can be started again, and given to another combinator.
/// - Lifetime: owns copies of policy, operation and hooks. Destroying the awaiting coroutine ends attempt, wait and timers.
/// - Thread: all of it runs on the scheduler's thread.
/// - Cost: no coroutine frame and no allocation of its own, whatever the number of attempts; one allocation when it has
///   finally failed. The clock is read only if the policy has a bound in time or somebody observes; randomness only if a wait
///   has jitter.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/combinator/order_rules.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/run_on.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>
#include <again/policy/decide.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/policy.hpp>
#include <again/retry/detail/run.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// For `.nested`: what to do inside a repeated attempt of an outer retry.
enum class nesting : bool {
  add,    ///< one attempt (the default)
  allow,  ///< as many as the policy says, multiplying the outer retry's
};
inline constexpr nesting allow = nesting::allow;

/// What `retry` returns: awaitable, and an operation. The builder functions take it apart and give a new one; they may come
/// in any order.
template <fallible_operation Op, class Hooks = detail::retry_hooks<>,
          bool Elsewhere = false> class [[nodiscard]] retry_operation {
 public:
  using run_type =
      std::conditional_t<Elsewhere, detail::run_on<detail::retry_run<Op, Hooks>>, detail::retry_run<Op, Hooks>>;

  /// `p`: a checked policy, or the deadline of a single attempt: see `<again/retry/timeout.hpp>`.
  template <class P, class From>
  retry_operation(const P& p, From&& op, Hooks hooks = {}) : parts_{p, std::forward<From>(op), std::move(hooks)} {
    static_assert(!(detail::never_fails<Op> && detail::repeats<retry_operation>),
                  "again::retry: a fallback that cannot fail leaves nothing to retry; put the retry inside: "
                  "fallback(retry(policy, op), value)");
  }

  /// `pred(const E&)` decides what is worth another attempt: a `bool` (transient or permanent; what must not be sent twice
  /// still is not) or a whole `verdict`.
  template <class Pred> auto when(Pred&& pred) && {
    static_assert(detail::classifies<std::decay_t<Pred>, typename detail::retry_run<Op, Hooks>::error>,
                  "again::retry(...).when(pred): pred must take const E& of the operation's expected<T, E> and return "
                  "bool or again::verdict");
    return rebuild(std::move(parts_.hooks).with_when(detail::stored_t<Pred>(std::forward<Pred>(pred))));
  }

  /// `see(const attempt_record&)` is called after every attempt, when it is decided what happens next. On the scheduler's thread.
  template <class Observer> auto observe(Observer&& see) && {
    static_assert(std::is_invocable_v<std::decay_t<Observer>&, const attempt_record&>,
                  "again::retry(...).observe(see): see must be callable with const again::attempt_record&");
    return rebuild(std::move(parts_.hooks).with_observer(detail::stored_t<Observer>(std::forward<Observer>(see))));
  }

  /// A budget shared with others (`<again/protection/budget.hpp>`): the first attempt deposits, each further one withdraws before its wait;
  /// when nothing is left the retry ends with `budget_exhausted` beside the last real error. What was reserved for an attempt
  /// that is not made is given back. `shared` outlives the retry.
  template <class Budget> auto budget(Budget& shared) && {
    return rebuild(std::move(parts_.hooks).with_budget(shared));
  }

  /// A breaker shared with others (`<again/protection/breaker.hpp>`), asked before each attempt. While it refuses, the retry waits until it
  /// is worth asking again (and the policy's jitter longer), if that fits before the deadline; else it ends with `breaker_open`. A refusal counts as an attempt
  /// that was not sent, so that nobody waits for ever. `shared` outlives the retry.
  template <class Breaker> auto breaker(Breaker& shared) && {
    return rebuild(std::move(parts_.hooks).with_breaker(shared));
  }

  /// All of it happens on `where`: attempts, waits and timers. A coroutine that has a scheduler of its own is brought back to
  /// it with the result; any other goes on over there. Cost: one allocation where that is another thread.
  auto on(scheduler& where) && {
    retry_operation<Op, Hooks, true> there{parts_.policy, std::move(parts_.op), std::move(parts_.hooks)};
    there.parts_.settings = parts_.settings;
    there.parts_.settings.where = &where;
    return there;
  }

  /// Lifts (or restores) the limit to one attempt inside a repeated attempt of an outer retry.
  retry_operation nested(nesting n) && {
    parts_.settings.nested = n == nesting::allow;
    return std::move(*this);
  }

  /// The seed of this retry's jitter; else a fresh one is drawn from the scheduler when the first wait needs it.
  retry_operation seed(std::uint64_t s) && {
    parts_.settings.seed = s;
    parts_.settings.seeded = true;
    return std::move(*this);
  }

  /// May what it repeats be sent twice? See `<again/coro/repeatable.hpp>`.
  bool repeatable() const { return is_repeatable(parts_.op); }

  /// For `attempt_slot`: to make one start of it runs nothing of the user's.
  static constexpr bool makes_at_once = !Elsewhere;
  /// One start of it.
  run_type operator()() & { return run_type{parts_}; }
  auto operator co_await() & { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }
  auto operator co_await() && { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }

 private:
  template <fallible_operation, class, bool> friend class retry_operation;
  template <class NewHooks> auto rebuild(NewHooks hooks) {
    retry_operation<Op, NewHooks, Elsewhere> changed{parts_.policy, std::move(parts_.op), std::move(hooks)};
    changed.parts_.settings = parts_.settings;
    return changed;
  }
  detail::retry_parts<Op, Hooks> parts_;
};

/// Retries `op` as `p` says.
template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto retry(const checked_policy& p, Op&& op) {
  return retry_operation<detail::stored_t<Op>>{p, std::forward<Op>(op)};
}
/// The same with a policy written in place or known at run time: throws `std::invalid_argument` if it is nonsense.
template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto retry(const policy& p, Op&& op) {
  return retry_operation<detail::stored_t<Op>>{checked_policy{p}, std::forward<Op>(op)};
}

/// Retries `f(args...)`. The arguments are copied once and passed to every attempt as const; share an object with `std::ref`.
template <class F, class... Args>
  requires(sizeof...(Args) > 0 && detail::binds<F, Args...>)
auto retry(const checked_policy& p, F&& f, Args&&... args) {
  using bound = detail::bound_operation<detail::stored_t<F>, std::decay_t<Args>...>;
  static_assert(
      fallible_operation<bound>,
      "again::retry: the function must return a task (or another awaitable) of expected<T, E>; wrap one that throws: "
      "retry(policy, catching(f, args...))");
  return retry_operation<bound>{p, bound{std::in_place, std::forward<F>(f), std::forward<Args>(args)...}};
}
template <class F, class... Args>
  requires(sizeof...(Args) > 0 && detail::binds<F, Args...>)
auto retry(const policy& p, F&& f, Args&&... args) {
  return retry(checked_policy{p}, std::forward<F>(f), std::forward<Args>(args)...);
}

// Everything else is a mistake, and is told so in one sentence.
template <class Wrong, class... Args>
  requires(!(sizeof...(Args) == 0 && fallible_operation<std::decay_t<Wrong>>) &&
           !(sizeof...(Args) > 0 && detail::binds<Wrong, Args...>))
auto retry(const policy&, Wrong&&, Args&&...) {
  detail::explain_misuse<std::decay_t<Wrong>, sizeof...(Args)>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
