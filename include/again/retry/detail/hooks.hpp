// SPDX-License-Identifier: MIT
/// \file
/// What is attached to a retry: a predicate, observers, and what it shares with others (a budget, a circuit breaker). Each is a
/// type, so that an absent one costs nothing, and neither header of the shared ones is needed by a retry that has none.
#pragma once

#include <again/core/clock.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/verdict.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Stands for a budget that is not there: it grants everything.
struct no_budget {
  struct call {
    explicit call(no_budget*) noexcept {}
    void first_attempt(time_point) const noexcept {}
    void retry_sent() const noexcept {}
    static bool failed(time_point, const verdict&, bool, bool again) noexcept { return again; }
    void succeeded() const noexcept {}
    void end() const noexcept {}
  };
};
/// Stands for a breaker that is not there: it lets everything through.
struct no_breaker {
  struct call {
    explicit call(no_breaker*) noexcept {}
    static bool admit(time_point) noexcept { return true; }
    static time_point ask_at() noexcept { return never; }
    void failed(time_point, const verdict&, bool) const noexcept {}
    static bool succeeded_if_quiet() noexcept { return true; }
    void succeeded(time_point) const noexcept {}
    void abandon() const noexcept {}
  };
};

template <class Budget = no_budget, class Breaker = no_breaker> struct retry_guards {
  Budget* budget = nullptr;
  Breaker* breaker = nullptr;

  /// One call's dealings with both.
  class call {
   public:
    explicit call(const retry_guards& shared) noexcept : budget_{shared.budget}, breaker_{shared.breaker} {}

    /// An attempt is to be made: may it? If so it counts as sent. `repeated`: the call itself is one of an outer retry's further
    /// attempts, so that its first one is not a first attempt.
    bool admit(time_point now, bool repeated = false) noexcept {
      if (!breaker_.admit(now)) {
        ++refusals_;
        return false;
      }
      if (begun_) {
        budget_.retry_sent();
      } else if (!repeated) {
        budget_.first_attempt(now);
      }
      begun_ = true;
      return true;
    }
    /// Of a refusal: when to ask again.
    time_point ask_at() const noexcept { return breaker_.ask_at(); }
    int refusals() const noexcept { return refusals_; }
    /// An attempt has failed; `again`: another one is wanted. True: it may be made.
    bool failed(time_point now, const verdict& v, bool timed_out, bool again) noexcept {
      breaker_.failed(now, v, timed_out);
      return budget_.failed(now, v, timed_out, again);
    }
    /// `now()` reads the clock: a success mostly needs none.
    template <class Now> void succeeded(Now&& now) noexcept {
      if (!breaker_.succeeded_if_quiet()) breaker_.succeeded(now());
      budget_.succeeded();
      budget_.end();
    }
    /// It is over without a value: gives back what was reserved and not sent.
    void end() noexcept {
      breaker_.abandon();
      budget_.end();
    }

   private:
    typename Budget::call budget_;
    typename Breaker::call breaker_;
    int refusals_ = 0;
    bool begun_ = false;
  };
};

/// Neither: no size, and nothing is asked.
template <> struct retry_guards<no_budget, no_breaker> {
  struct call {
    explicit call(const retry_guards&) noexcept {}
  };
};

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

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
