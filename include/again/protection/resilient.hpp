// SPDX-License-Identifier: MIT
/// \file
/// `resilient(peer, operation)`: a resilience pipeline (deadline, limit, retry, budget, circuit breaker, attempt timeout) for
/// all calls to one peer.
///
/// ```cpp
/// again::resilience quotes{{.retrying = {.attempts = 3, .deadline = 5s}}};            // one for each peer
/// auto quote = co_await again::resilient(quotes, api.get("/quote"));
/// ```
///
/// From the outside in: deadline → limit → retry (budget, breaker) → attempt timeout → the operation.
/// - The deadline is outermost, so that the time in the limiter's queue counts.
/// - The limiter is outside the retry: a call is admitted or shed once, before anything is sent, and keeps its slot through its
///   waits: many waiting calls are load as well.
/// - Budget and breaker belong to the retry, which knows what is a first attempt and may wait for the breaker.
/// - The attempt timeout is innermost: it is what the breaker and the retry see as a failure.
///
/// Polly's standard pipeline has the same order (limiter, total timeout, retry, breaker, attempt timeout) but for the timeout
/// outside the limiter, and no budget; Envoy has the same parts but for the wait for an open breaker.
/// Result: `expected<T, failure<E>>`. Lifetime: refers to `peer`.
#pragma once

#include <again/protection/breaker.hpp>
#include <again/protection/budget.hpp>
#include <again/protection/limit.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// The defaults are those of the parts, but for two. Three attempts: with a queue in front, a fourth seldom fits. A queue of a
/// thousand: a burst of a thousand calls is served, and where a call takes 100 ms the last one waits for 1.6 s. When more wait,
/// the peer is overloaded, and a refusal at once is better than a response that comes too late.
struct resilience_rules {
  policy retrying{.attempts = 3};
  concurrency_limits at_once{.queue = 1000};
  budgets::ratio retries{};
  breaker_rules breaking{};
};

/// The shared state of all calls to one peer.
class resilience {
 public:
  resilience() : resilience{resilience_rules{}} {}
  /// Throws `std::invalid_argument` for rules that make no sense.
  explicit resilience(const resilience_rules& r)
      : retrying_{r.retrying}, limiter_{r.at_once}, budget_{r.retries}, breaker_{r.breaking} {}
  resilience(const resilience&) = delete;
  resilience& operator=(const resilience&) = delete;
  ~resilience() = default;

  const checked_policy& retrying() const noexcept { return retrying_; }
  again::limiter& limiter() noexcept { return limiter_; }
  again::budget& budget() noexcept { return budget_; }
  again::breaker& breaker() noexcept { return breaker_; }

 private:
  checked_policy retrying_;
  again::limiter limiter_;
  again::budget budget_;
  again::breaker breaker_;
};

template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto resilient(resilience& peer, Op&& op) {
  return timeout(peer.retrying()->deadline,
                 limit(peer.limiter(),
                       retry(peer.retrying(), std::forward<Op>(op)).budget(peer.budget()).breaker(peer.breaker())));
}

// A mistake, told in one sentence.
template <class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto resilient(resilience&, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
