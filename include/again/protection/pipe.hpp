// SPDX-License-Identifier: MIT
/// \file
/// Combinators from left to right: `op | timeout(1s) | retry(p) | timeout(5s)` is `timeout(5s, retry(p, timeout(1s, op)))`.
///
/// ```cpp
/// auto quote = co_await (api.get("/quote") | again::timeout(1s) | again::retry(polite).budget(shared) | again::timeout(5s));
/// auto usual = again::timeout(1s) | again::retry(polite);     // a stage, for many operations
/// ```
///
/// Each combinator without its operation is a *stage*: something that takes an operation and gives one. The last word is the
/// outermost. A stage has the members of its combinator (`.when`, `.observe`, `.budget`, …). A pipe compiles where the nested
/// calls compile, and a mistake gives the same sentence.
/// A function that throws begins a pipe as `catching(f)`; `catching` is no stage, since what it takes does not fail otherwise.
#pragma once

#include <again/coro/operation.hpp>
#include <again/protection/fallback.hpp>
#include <again/protection/guard.hpp>
#include <again/protection/hedge.hpp>
#include <again/protection/limit.hpp>
#include <again/protection/rate.hpp>
#include <again/protection/resilient.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {
/// A stage that is refused nowhere. Others name the order of their combinator: a pipe checks it before anything else, so that
/// its sentence stands near the top of what the compiler says.
struct any_order {
  template <class Op> static consteval bool check() { return true; }
};
}  // namespace detail

template <class F, class Order = detail::any_order> class stage {
 public:
  explicit stage(F f) : apply_(std::move(f)) {}

  /// The nested call.
  template <class Op> auto operator()(Op&& op) const& { return apply_(std::forward<Op>(op)); }

  // As on the combinator itself.
  template <class Pred> auto when(Pred pred) && {
    return then([pred = std::move(pred)](auto op) { return std::move(op).when(pred); });
  }
  template <class See> auto observe(See see) && {
    return then([see = std::move(see)](auto op) { return std::move(op).observe(see); });
  }
  template <class Budget> auto budget(Budget& shared) && {
    return then([&shared](auto op) { return std::move(op).budget(shared); });
  }
  template <class Breaker> auto breaker(Breaker& shared) && {
    return then([&shared](auto op) { return std::move(op).breaker(shared); });
  }
  auto nested(nesting n) && {
    return then([n](auto op) { return std::move(op).nested(n); });
  }
  auto seed(std::uint64_t s) && {
    return then([s](auto op) { return std::move(op).seed(s); });
  }
  auto on(scheduler& where) && {
    return then([&where](auto op) { return std::move(op).on(where); });
  }
  auto stop(inplace_stop_token token) && {
    return then([token](auto op) { return std::move(op).stop(token); });
  }
  auto within(duration_with_unit d) && {
    return then([d](auto op) { return std::move(op).within(d); });
  }

 private:
  template <class Next> auto then(Next next) {
    auto both = [first = std::move(apply_), second = std::move(next)]<class Op>(Op&& op) {
      return second(first(std::forward<Op>(op)));
    };
    return stage<decltype(both), Order>{std::move(both)};
  }
  F apply_;
};

namespace detail {
/// For an edge: specialize it for what is no operation and can begin a pipe all the same, with a static member
/// `enter(from, stage)` that gives what the pipe gives.
template <class From> struct stage_entry {};
template <class From>
concept has_stage_entry = requires { typename stage_entry<From>::for_stages; };

template <class T> inline constexpr bool is_stage = false;
template <class F, class Order> inline constexpr bool is_stage<stage<F, Order>> = true;

template <class Order, class F> auto ordered(F f) { return stage<F, Order>{std::move(f)}; }
}  // namespace detail

/// Wraps `op` in the stage. Anything but an operation is one readable compile error.
template <class Op, class F, class Order>
  requires(!detail::is_stage<std::decay_t<Op>>)
auto operator|(Op&& op, const stage<F, Order>& next) {
  if constexpr (fallible_operation<std::decay_t<Op>>) {
    static_assert(Order::template check<std::decay_t<Op>>());  // evaluated before the next line is looked at
    return next(std::forward<Op>(op));
  } else if constexpr (detail::has_stage_entry<std::decay_t<Op>>) {
    return detail::stage_entry<std::decay_t<Op>>::enter(std::forward<Op>(op), next);
  } else {
    detail::explain_misuse<std::decay_t<Op>>();
    return detail::misused{};
  }
}
/// One stage after the other.
template <class F, class Order, class G, class Second> auto operator|(stage<F, Order> first, stage<G, Second> second) {
  auto both = [first = std::move(first), second = std::move(second)]<class Op>(Op&& op) {
    return second(first(std::forward<Op>(op)));
  };
  return detail::ordered<Order>(std::move(both));
}

inline auto retry(const checked_policy& p) {
  return detail::ordered<detail::retry_order>([p]<class Op>(Op&& op) { return again::retry(p, std::forward<Op>(op)); });
}
inline auto retry(const policy& p) { return again::retry(checked_policy{p}); }
inline auto timeout(duration_with_unit d) {
  return stage{[d]<class Op>(Op&& op) { return again::timeout(d, std::forward<Op>(op)); }};
}
inline auto hedge(const hedging& how) {
  return detail::ordered<detail::hedge_order>(
      [how]<class Op>(Op&& op) { return again::hedge(how, std::forward<Op>(op)); });
}
inline auto guard(breaker& shared) {
  return detail::ordered<detail::guard_order>(
      [&shared]<class Op>(Op&& op) { return again::guard(shared, std::forward<Op>(op)); });
}
inline auto limit(limiter& shared) {
  return stage{[&shared]<class Op>(Op&& op) { return again::limit(shared, std::forward<Op>(op)); }};
}
template <detail::rate_like Shared> auto rate(Shared& shared) {
  return detail::ordered<detail::rate_order>(
      [&shared]<class Op>(Op&& op) { return again::rate(shared, std::forward<Op>(op)); });
}
inline auto resilient(resilience& peer) {
  return stage{[&peer]<class Op>(Op&& op) { return again::resilient(peer, std::forward<Op>(op)); }};
}
template <class Instead> auto fallback(Instead instead) {
  return detail::ordered<detail::fallback_order>(
      [instead = std::move(instead)]<class Op>(Op&& op) { return again::fallback(std::forward<Op>(op), instead); });
}

}  // namespace AGAIN_ABI
}  // namespace again
