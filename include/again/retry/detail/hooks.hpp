// SPDX-License-Identifier: MIT
/// \file
/// What is attached to a retry: a predicate, observers, a budget and a circuit breaker. Each is a template argument. So
/// an absent one costs nothing, and a retry without budget and breaker needs neither of their headers.
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

/// In place of an absent budget: it allows everything.
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
/// In place of an absent circuit breaker: it admits everything.
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

  /// The state of one call at both.
  class call {
   public:
    explicit call(const retry_guards& shared) noexcept : budget_{shared.budget}, breaker_{shared.breaker} {}

    /// True if an attempt may be made; it then counts as sent. `repeated`: the call is inside a repeated attempt of an
    /// outer retry, so its first attempt does not count as a first one.
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
    /// After a refusal: when to ask again.
    time_point ask_at() const noexcept { return breaker_.ask_at(); }
    int refusals() const noexcept { return refusals_; }
    /// An attempt has failed. `again`: the policy wants another one. True: it may be made.
    bool failed(time_point now, const verdict& v, bool timed_out, bool again) noexcept {
      breaker_.failed(now, v, timed_out);
      return budget_.failed(now, v, timed_out, again);
    }
    /// An attempt has succeeded. `now()` reads the clock; it is called only if the breaker needs the time.
    template <class Now> void succeeded(Now&& now) noexcept {
      if (!breaker_.succeeded_if_quiet()) breaker_.succeeded(now());
      budget_.succeeded();
      budget_.end();
    }
    /// The call ends without a value: gives back what was reserved and not sent.
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

/// Without both: an empty class.
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

struct no_observer {
  void operator()(const attempt_record&) const noexcept {}
};

/// Two observers, called in the order in which they were attached.
template <class First, class Second> struct both_observers {
  First first;
  Second second;
  void operator()(const attempt_record& r) {
    first(r);
    second(r);
  }
};

/// `Once`: the hooks of a `timeout`, which makes a single attempt. Combinators around it see that by its type.
template <class When = own_verdict, class Observer = no_observer, class Budget = no_budget, class Breaker = no_breaker,
          bool Once = false>
class retry_hooks {
 public:
  static constexpr bool once = Once;
  using guards = retry_guards<Budget, Breaker>;
  static constexpr bool observes = !std::is_same_v<Observer, no_observer>;
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
      if (v.kind == disposition::transient ||
          v.kind == disposition::permanent) {  // a predicate does not make an unsafe request safe
        v.kind = !transient     ? disposition::permanent
                 : v.repeatable ? disposition::transient
                                : disposition::not_replayable;
        v.judges_timeouts = true;  // the caller's word on this very error, however it came about
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

using once_hooks = retry_hooks<own_verdict, no_observer, no_budget, no_breaker, true>;

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
