// SPDX-License-Identifier: MIT
/// \file
/// What a call gives to its retry: policy, operation, settings, and the hooks attached to it (a predicate, observers). Each
/// hook is a type, so that an absent one costs nothing.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/random.hpp>
#include <again/coro/scheduler.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/policy.hpp>
#include <again/policy/verdict.hpp>
#include <again/retry/detail/guards.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Pred, class E>
concept classifies = requires(Pred& pred, const E& e) {
  { pred(e) } -> std::convertible_to<bool>;
} || requires(Pred& pred, const E& e) {
  { pred(e) } -> std::same_as<again::verdict>;
};

/// The error's own verdict.
struct own_verdict {
  template <class E> verdict operator()(const E& e) const { return verdict_of(e); }
};

struct nobody {
  void operator()(const attempt_record&) const noexcept {}
};

/// Two observers, called in the order of attaching.
template <class First, class Second> struct both_observers {
  First first;
  Second second;
  void operator()(const attempt_record& r) {
    first(r);
    second(r);
  }
};

/// `Once`: of a `timeout`, a retry that makes one attempt, as those around it can see from its type.
template <class When = own_verdict, class Observer = nobody, class Budget = no_budget, class Breaker = no_breaker,
          bool Once = false>
class retry_hooks {
 public:
  static constexpr bool once = Once;
  using guards = retry_guards<Budget, Breaker>;
  static constexpr bool observes = !std::is_same_v<Observer, nobody>;
  static constexpr bool guarded = !std::is_same_v<guards, retry_guards<>>;

  retry_hooks() = default;
  retry_hooks(When when, Observer observer, guards shared = {})
      : when_(std::move(when)), observer_(std::move(observer)), shared_{shared} {}

  template <class Pred> auto with_when(Pred pred) && {
    return retry_hooks<Pred, Observer, Budget, Breaker, Once>{std::move(pred), std::move(observer_), shared_};
  }
  template <class See> auto with_observer(See see) && {
    if constexpr (observes) {
      using both = both_observers<Observer, See>;
      return retry_hooks<When, both, Budget, Breaker, Once>{std::move(when_),
                                                            both{std::move(observer_), std::move(see)}, shared_};
    } else {
      return retry_hooks<When, See, Budget, Breaker, Once>{std::move(when_), std::move(see), shared_};
    }
  }
  template <class B> auto with_budget(B& shared) && {
    retry_guards<B, Breaker> both{};
    both.budget = &shared;
    if constexpr (guarded) both.breaker = shared_.breaker;
    return retry_hooks<When, Observer, B, Breaker, Once>{std::move(when_), std::move(observer_), both};
  }
  template <class B> auto with_breaker(B& shared) && {
    retry_guards<Budget, B> both{};
    both.breaker = &shared;
    if constexpr (guarded) both.budget = shared_.budget;
    return retry_hooks<When, Observer, Budget, B, Once>{std::move(when_), std::move(observer_), both};
  }

  template <class E> verdict classify(const E& e) {
    if constexpr (std::same_as<decltype(when_(e)), verdict>) {
      return when_(e);
    } else {
      verdict v = verdict_of(e);
      const bool transient = when_(e);
      if (v.kind == disposition::transient || v.kind == disposition::permanent) {  // what is unsafe stays unsafe
        v.kind = !transient     ? disposition::permanent
                 : v.repeatable ? disposition::transient
                                : disposition::not_replayable;
      }
      return v;
    }
  }
  void observe(const attempt_record& r) { observer_(r); }
  const guards& shared() const noexcept { return shared_; }

 private:
  [[no_unique_address]] When when_;
  [[no_unique_address]] Observer observer_;
  [[no_unique_address]] guards shared_;
};

using once_hooks = retry_hooks<own_verdict, nobody, no_budget, no_breaker, true>;

struct retry_settings {
  bool nested = false;         // may multiply an outer retry's attempts
  bool seeded = false;         // with `seed`; else the scheduler gives one
  scheduler* where = nullptr;  // where to run, if given
  std::uint64_t seed = 0;
};

struct retry_plan {
  // Out of line: the copy is as long as all the rest of a call's code.
  [[gnu::noinline]] explicit retry_plan(const checked_policy& p) noexcept : policy{p} {}
  [[gnu::noinline]] explicit retry_plan(duration deadline) : policy{checked_policy::one_attempt(deadline)} {}
  checked_policy policy;
  retry_settings settings{};
};

template <class Op, class Hooks> struct retry_parts : retry_plan {
  template <class P, class From>
  retry_parts(const P& p, From&& o, Hooks&& h) : retry_plan{p}, op(std::forward<From>(o)), hooks(std::move(h)) {}
  Op op;
  [[no_unique_address]] Hooks hooks;
};

/// What jitter adds to the least delay after failed attempt `n`.
inline duration random_part(const policy& p, int n, double draw) noexcept {
  backoff_state apart{};
  const duration least = delay_bounds(p.backoff, p.jitter, n).least;
  const duration d = jittered_delay(p.backoff, p.jitter, n, draw, apart);
  return d > least ? d - least : duration::zero();
}

/// The draw of the next wait's jitter; no seed is taken where it would not matter.
inline double draw_for(const policy& p, const retry_settings& s, scheduler& home,
                       manual_optional<random_stream>& random) {
  if (!waits(p.backoff) || (p.jitter.kind == jitter::kinds::none && !p.backoff.random())) return 0;
  if (!random) random.emplace(s.seeded ? mix(s.seed) : home.seed());
  return random->draw();
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
