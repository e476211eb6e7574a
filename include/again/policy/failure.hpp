// SPDX-License-Identifier: MIT
/// \file
/// `failure<E>`: why a combinator ended without a value. The last real error, the `stop_reason` beside it, the number of
/// attempts, the elapsed time, and a bounded trace of the attempts.
///
/// A `failure` is as wide as a pointer, so that a successful result does not carry its size. The report is allocated once, when the
/// call has failed. `failure<failure<E>>` never appears: see `merged_error_t`.
#pragma once

#include <again/policy/attempt_trace.hpp>

#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// Lifetime: it owns its report, and a copy copies the report. A moved-from failure may only be assigned to or destroyed.
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
  /// An empty failure, to be filled through `details`.
  explicit failure(std::in_place_t) : report_{new report} {}  // braces would write zeros over the whole trace
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
  /// The last real error; null only when nothing was sent. Lifetime: that of the failure.
  const E* error() const noexcept { return report_->error ? &*report_->error : nullptr; }
  E* error() noexcept { return report_->error ? &*report_->error : nullptr; }
  /// Sends made; 0 when it stopped before the first.
  int attempts() const noexcept { return report_->attempts; }
  /// From the start of the first attempt to the end. Where no deadline, timeout or observer needs a clock, the start is the time
  /// at which the loop last woke up.
  duration elapsed() const noexcept { return report_->elapsed; }
  /// The farthest reach of all attempts: `not_sent` proves that the peer has seen nothing.
  again::reach reach() const noexcept { return report_->farthest; }
  /// The last attempts, oldest first.
  const attempt_trace& trace() const noexcept { return report_->trace; }

  /// What a failure means to a retry around it: the last error's verdict where the inner retry ran out of attempts or time, and a
  /// stop where a caller, a server, a budget or a breaker ended it.
  again::verdict verdict() const {
    again::verdict v = error() != nullptr ? verdict_of(*error()) : again::verdict{.reach = again::reach::not_sent};
    if (v.reach < reach()) v.reach = reach();
    switch (reason()) {
      case stop_reason::attempts_exhausted:
      case stop_reason::nested_limit:
        if (v.kind == disposition::aborted) v = cut_off(v);  // by the retry's own timeouts: no caller has stopped it
        break;
      case stop_reason::deadline_reached:
      case stop_reason::deadline_too_near: v = cut_off(v); break;
      case stop_reason::not_replayable: v.kind = disposition::not_replayable; break;
      case stop_reason::server_forbade: v.kind = disposition::forbidden; break;
      case stop_reason::cancelled_before_start:
      case stop_reason::cancelled_in_attempt:
      case stop_reason::cancelled_in_delay: v.kind = disposition::aborted; break;
      case stop_reason::permanent:
      case stop_reason::server_delay_too_long:
      case stop_reason::budget_exhausted:
      case stop_reason::breaker_open:
      case stop_reason::overloaded:
      case stop_reason::endpoint_paused:
      case stop_reason::endpoint_disabled: v.kind = disposition::permanent; break;
    }
    if (v.name.empty()) v.name = name(reason());
    return v;
  }

  /// The whole report, for combinators that fill it.
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

/// The error type of the failure that a combinator over errors of type `E` returns: for `failure<E>` it is `E`, so that nested
/// retries return one failure.
template <class E> using merged_error_t = typename detail::merged_error<E>::type;

}  // namespace AGAIN_ABI
}  // namespace again
