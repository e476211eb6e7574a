// SPDX-License-Identifier: MIT
/// \file
/// `failure<E>`: why a combinator ended without a value. The last real error, the `stop_reason` beside it, the number of
/// attempts, the elapsed time, and a bounded trace of the attempts.
///
/// A `failure` is one pointer wide, so that a result costs a successful caller nothing; what it points to is allocated once,
/// when the call has finally failed. `failure<failure<E>>` never appears: see `merged_error_t`.
#pragma once

#include <again/policy/attempt_trace.hpp>

#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// Lifetime: owns what it points to; copies are deep. A moved-from failure may only be assigned to or destroyed.
template <class E> class [[nodiscard]] failure {
 public:
  using error_type = E;
  struct report {
    stop_reason reason{};
    int attempts = 0;
    duration elapsed{};
    again::reach farthest = again::reach::not_sent;
    std::optional<E> error{};
    attempt_trace trace{};
  };

  explicit failure(report r) : report_{new report(std::move(r))} {}
  /// An empty one, to be filled through `details`.
  explicit failure(std::in_place_t) : report_{new report} {}  // no braces: they would write zeros over the trace
  failure(const failure& other) : report_{new report(*other.report_)} {}
  failure(failure&& other) noexcept : report_{std::exchange(other.report_, nullptr)} {}
  failure& operator=(const failure& other) {
    if (this != &other) *this = failure{other};
    return *this;
  }
  failure& operator=(failure&& other) noexcept {
    delete std::exchange(report_, std::exchange(other.report_, nullptr));
    return *this;
  }
  ~failure() { delete report_; }

  /// Why it stopped.
  stop_reason reason() const noexcept { return report_->reason; }
  /// The last real error; null only when nothing was sent.
  const E* error() const noexcept { return report_->error ? &*report_->error : nullptr; }
  E* error() noexcept { return report_->error ? &*report_->error : nullptr; }
  /// Sends made; 0 when it stopped before the first.
  int attempts() const noexcept { return report_->attempts; }
  /// From the start of the first attempt to the end. Where neither a deadline, a timeout nor an observer asks for a clock,
  /// the start is the moment at which the loop last woke up.
  duration elapsed() const noexcept { return report_->elapsed; }
  /// The farthest that any attempt got: `not_sent` proves that the peer has seen nothing.
  again::reach reach() const noexcept { return report_->farthest; }
  /// The last attempts, oldest first.
  const attempt_trace& trace() const noexcept { return report_->trace; }

  /// What a failure means to a retry around it: the inner verdict where the inner one just gave up counting, a stop where
  /// someone asked for it.
  again::verdict verdict() const {
    again::verdict v = error() != nullptr ? verdict_of(*error()) : again::verdict{.reach = again::reach::not_sent};
    if (v.reach < reach()) v.reach = reach();
    switch (reason()) {
      case stop_reason::attempts_exhausted:
      case stop_reason::nested_limit: break;
      case stop_reason::deadline_reached:
      case stop_reason::deadline_too_near:
        if (v.kind == disposition::aborted)
          v.kind = v.repeatable ? disposition::transient : disposition::not_replayable;
        break;
      case stop_reason::not_replayable: v.kind = disposition::not_replayable; break;
      case stop_reason::server_forbade: v.kind = disposition::forbidden; break;
      case stop_reason::cancelled_before_start:
      case stop_reason::cancelled_in_attempt:
      case stop_reason::cancelled_in_delay: v.kind = disposition::aborted; break;
      case stop_reason::permanent:
      case stop_reason::server_delay_too_long:
      case stop_reason::budget_exhausted:
      case stop_reason::breaker_open:
      case stop_reason::overloaded: v.kind = disposition::permanent; break;
    }
    if (v.name.empty()) v.name = name(reason());
    return v;
  }

  /// For those who build combinators: the whole of it.
  report& details() noexcept { return *report_; }
  const report& details() const noexcept { return *report_; }

 private:
  report* report_;  // owned
};

namespace detail {
template <class E> struct merged_error {
  using type = E;
  static constexpr bool nested = false;
};
template <class E> struct merged_error<failure<E>> {
  using type = E;
  static constexpr bool nested = true;
};
}  // namespace detail

/// The `E` of the failure that a combinator over errors of type `E` gives: `failure<failure<E>>` is `failure<E>`.
template <class E> using merged_error_t = typename detail::merged_error<E>::type;

}  // namespace AGAIN_ABI
}  // namespace again
