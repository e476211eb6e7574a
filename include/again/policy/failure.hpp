// SPDX-License-Identifier: MIT
/// \file
/// `failure<E>`: why a combinator ended without a value. The last real error, the `stop_reason` beside it, the number of
/// attempts, the elapsed time, and a bounded trace of the attempts.
///
/// A `failure` is one pointer wide, so that a result costs a successful caller nothing; what it points to is allocated once,
/// when the call has finally failed. `failure<failure<E>>` never appears: see `merged_error_t`.
#pragma once

#include <again/policy/decide.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// One attempt, as observers see it and as the trace keeps it. Trivially copyable; `name` has static storage.
struct attempt_record {
  int attempt = 0;             ///< from 1
  bool ok = false;             ///< it gave a value
  bool last = false;           ///< nothing comes after it
  bool timed_out = false;      ///< `attempt_timeout` or `deadline` cut it short
  again::reach reach{};        ///< how far it got; of a failed one
  disposition kind{};          ///< what its error said; of a failed one
  wait_by by = wait_by::none;  ///< who asked for `wait`
  stop_reason stop{};          ///< why it ended there; when `last` and not `ok`
  int code = 0;                ///< HTTP status, or 0
  std::string_view name{};     ///< one word for the error; empty when `ok` or unknown
  duration began{-1};          ///< since the start of the first attempt; negative: nothing asked for a clock
  duration took{-1};           ///< its own time; negative: nothing asked for a clock
  duration wait{};             ///< decided wait before the next attempt

  /// OpenTelemetry's `http.request.resend_count` (semantic conventions 1.23): absent on the first send, then 1, 2, …
  constexpr std::optional<int> resend_count() const noexcept {
    return attempt > 1 ? std::optional{attempt - 1} : std::nullopt;
  }
};

/// The last `capacity` attempts of a call.
class attempt_trace {
 public:
  static constexpr std::size_t capacity = 8;

  constexpr attempt_trace() noexcept {}  // records are written before they are read

  /// Adds one; returns where it is kept.
  constexpr attempt_record& push(const attempt_record& record) noexcept {
    slot& here = records_[count_++ % capacity];
    here = slot{record};
    return here.record;
  }
  /// Counts `n` more as dropped, as another trace did: `capacity` calls of `push` must follow.
  constexpr void skip(std::size_t n) noexcept { count_ += n; }
  constexpr std::size_t size() const noexcept { return count_ < capacity ? count_ : capacity; }
  constexpr std::size_t dropped() const noexcept { return count_ - size(); }  ///< earlier attempts no longer kept
  constexpr const attempt_record& operator[](std::size_t i) const noexcept {
    return records_[(dropped() + i) % capacity].record;
  }

 private:
  union slot {  // no constructor runs for records that are never written
    constexpr slot() noexcept {}
    constexpr explicit slot(const attempt_record& r) noexcept : record{r} {}
    attempt_record record;
  };
  std::size_t count_ = 0;
  std::array<slot, capacity> records_;
};

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
