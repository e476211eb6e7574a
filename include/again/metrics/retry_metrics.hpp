// SPDX-License-Identifier: MIT
/// \file
/// `retry_metrics` and `measure`: numbers about retries, counted from the attempts and final results that the retry itself gives.
///
/// ```cpp
/// again::retry_metrics numbers{"quotes"};
/// auto quote = co_await again::measure(numbers, again::retry(polite, api.get("/quote")));   // the result is not changed
/// std::string page = again::metrics_page{}.add(numbers).text();                             // what GET /metrics responds with
/// ```
///
/// | metric | of what |
/// |---|---|
/// | `again_calls_started_total` | calls begun; always succeeded + failed + in flight |
/// | `again_calls_succeeded_total` | calls that gave a value |
/// | `again_calls_failed_total{reason}` | calls that did not, by `stop_reason`; "error" where the operation has none, "exception", "abandoned" (destroyed) |
/// | `again_calls_in_flight` | calls that run now |
/// | `again_attempts_total{outcome}` | "ok", or how far a failed attempt got: a peer has seen ok + answered + at most maybe_sent |
/// | `again_retries_total` | attempts after the first of a call |
/// | `again_attempt_duration_seconds`, `again_call_duration_seconds` | histograms |
///
/// - Threads: counting and reading from any thread; every number is one relaxed atomic, so counting never waits for a reader.
/// - Lifetime: the numbers outlive the calls they count. Cost per call: three atomic additions and two reads of the clock; per
///   attempt two atomic additions.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_reason.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>
#include <again/metrics/counter.hpp>
#include <again/metrics/detail/measured_run.hpp>
#include <again/metrics/histogram.hpp>
#include <again/metrics/page.hpp>
#include <again/policy/failure.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// The numbers of a group of calls. Not copied: the calls refer to it.
class retry_metrics {
 public:
  /// `call`: the value of the label `call` on all its samples.
  explicit retry_metrics(std::string_view call) : labels_{metric_label("call", call)} {}
  retry_metrics(const retry_metrics&) = delete;
  retry_metrics& operator=(const retry_metrics&) = delete;
  ~retry_metrics() = default;

  /// For `.observe(numbers.attempts())`, where calls are not measured.
  auto attempts() noexcept {
    return [this](const attempt_record& r) noexcept { attempted(r); };
  }
  void attempted(const attempt_record& r) noexcept;

  /// A call begins. Exactly one of the functions after it must follow.
  void began() noexcept {
    started_.add();
    in_flight_.add(1);
  }
  void succeeded(duration took) noexcept { ended(succeeded_, took); }
  void failed(stop_reason why, duration took) noexcept { ended(failed_[static_cast<std::size_t>(why)], took); }
  void failed_otherwise(duration took) noexcept { ended(errors_, took); }
  void threw(duration took) noexcept { ended(thrown_, took); }
  void abandoned(duration took) noexcept { ended(abandoned_, took); }

  [[nodiscard]] std::uint64_t calls_started() const noexcept { return started_.value(); }
  [[nodiscard]] std::uint64_t calls_succeeded() const noexcept { return succeeded_.value(); }
  [[nodiscard]] std::uint64_t calls_failed(stop_reason why) const noexcept {
    return failed_[static_cast<std::size_t>(why)].value();
  }
  [[nodiscard]] std::uint64_t calls_failed() const noexcept;
  [[nodiscard]] std::int64_t calls_in_flight() const noexcept { return in_flight_.value(); }
  [[nodiscard]] std::uint64_t attempts_made() const noexcept;
  [[nodiscard]] std::uint64_t retries() const noexcept { return retries_.value(); }
  [[nodiscard]] const histogram& attempt_durations() const noexcept { return attempt_took_; }
  [[nodiscard]] const histogram& call_durations() const noexcept { return call_took_; }

  void write_to(metrics_page& page) const;

 private:
  static constexpr std::size_t reasons = static_cast<std::size_t>(stop_reason::cancelled_in_delay) + 1;
  static constexpr std::size_t ok = 3;  // index in outcomes_; the others are reaches

  void ended(counter& as, duration took) noexcept {
    call_took_.observe(took);
    as.add();
    in_flight_.add(-1);
  }

  std::string labels_;
  counter started_, succeeded_, errors_, thrown_, abandoned_, retries_;
  std::array<counter, reasons> failed_;
  std::array<counter, 4> outcomes_;
  gauge in_flight_;
  histogram attempt_took_, call_took_;
};

// ── definitions ──

inline void retry_metrics::attempted(const attempt_record& r) noexcept {
  outcomes_[r.ok ? ok : static_cast<std::size_t>(r.reach)].add();
  if (r.attempt > 1) retries_.add();
  if (r.took >= duration::zero()) attempt_took_.observe(r.took);
}

inline std::uint64_t retry_metrics::calls_failed() const noexcept {
  std::uint64_t n = errors_.value() + thrown_.value() + abandoned_.value();
  for (const counter& c : failed_) n += c.value();
  return n;
}

inline std::uint64_t retry_metrics::attempts_made() const noexcept {
  std::uint64_t n = 0;
  for (const counter& c : outcomes_) n += c.value();
  return n;
}

inline void retry_metrics::write_to(metrics_page& page) const {
  const auto with = [this](std::string_view name, std::string_view value) {
    return labels_ + ',' + metric_label(name, value);
  };
  page.add("again_calls_started_total", "Calls begun.", started_, labels_);
  page.add("again_calls_succeeded_total", "Calls that gave a value.", succeeded_, labels_);
  constexpr std::string_view failed = "again_calls_failed_total",
                             failed_help = "Calls that ended without a value, by stop reason.";
  for (std::size_t i = 0; i < reasons; ++i)
    page.add(failed, failed_help, failed_[i], with("reason", name(static_cast<stop_reason>(i))));
  page.add(failed, failed_help, errors_, with("reason", "error"));
  page.add(failed, failed_help, thrown_, with("reason", "exception"));
  page.add(failed, failed_help, abandoned_, with("reason", "abandoned"));
  page.add("again_calls_in_flight", "Calls running now.", in_flight_, labels_);
  for (std::size_t i = 0; i < outcomes_.size(); ++i) {
    page.add("again_attempts_total", "Attempts made, by success or by how far they got.", outcomes_[i],
             with("outcome", i == ok ? "ok" : name(static_cast<reach>(i))));
  }
  page.add("again_retries_total", "Attempts after the first of a call.", retries_, labels_);
  page.add("again_attempt_duration_seconds", "Time of one attempt.", attempt_took_, labels_);
  page.add("again_call_duration_seconds", "Time of one call, with all its attempts and waits.", call_took_, labels_);
}

/// `op` with every start counted, and the attempts of a retry too. The result is not changed; what is returned is an operation.
template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto measure(retry_metrics& numbers, Op&& op) {
  using stored = detail::stored_t<Op>;
  if constexpr (requires { stored(std::forward<Op>(op)).observe(numbers.attempts()); }) {
    auto seen = stored(std::forward<Op>(op)).observe(numbers.attempts());
    return detail::measured_operation<decltype(seen), retry_metrics>{numbers, std::move(seen)};
  } else {
    return detail::measured_operation<stored, retry_metrics>{numbers, std::forward<Op>(op)};
  }
}

}  // namespace AGAIN_ABI
}  // namespace again
