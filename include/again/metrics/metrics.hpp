// SPDX-License-Identifier: MIT
/// \file
/// Numbers about retries, as Prometheus text: counted from attempts and final results as the retry itself gives them.
///
/// ```cpp
/// again::retry_metrics numbers{"quotes"};
/// auto quote = co_await again::measure(numbers, again::retry(polite, api.get("/quote")));   // the result as it was
/// std::string page = again::metrics_page{}.add(numbers).text();                             // what GET /metrics responses
/// ```
///
/// | metric | of what |
/// |---|---|
/// | `again_calls_started_total` | calls begun; always succeeded + failed + in flight |
/// | `again_calls_succeeded_total` | calls that gave a value |
/// | `again_calls_failed_total{reason}` | the others, by `stop_reason`; "error" where the operation has none, "exception", "abandoned" (destroyed) |
/// | `again_calls_in_flight` | now |
/// | `again_attempts_total{outcome}` | "ok", or how far a failed one got: what a peer has seen is ok + answered + at most maybe_sent |
/// | `again_retries_total` | attempts after the first of a call |
/// | `again_attempt_duration_seconds`, `again_call_duration_seconds` | histograms |
///
/// - Threads: counting and reading from any; every number is one relaxed atomic, so counting never waits for a scrape. A page read
///   while calls run may be a moment apart in itself; at rest it is exact.
/// - Lifetime: the numbers outlive the calls they count. Cost per call: three atomic additions, two per attempt, two looks at the clock.
/// - Source: https://prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4; durations in seconds, buckets cumulative.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_reason.hpp>
#include <again/coro/operation.hpp>
#include <again/metrics/detail/measured_run.hpp>
#include <again/metrics/detail/prometheus_text.hpp>
#include <again/policy/failure.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// Only ever more.
class counter {
 public:
  void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// What is the case now.
class gauge {
 public:
  void add(std::int64_t n) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

/// From a cache's response to the longest patience of a person.
inline constexpr std::array<duration, 15> latency_bounds{
    std::chrono::milliseconds{1},   std::chrono::microseconds{2500}, std::chrono::milliseconds{5},
    std::chrono::milliseconds{10},  std::chrono::milliseconds{25},   std::chrono::milliseconds{50},
    std::chrono::milliseconds{100}, std::chrono::milliseconds{250},  std::chrono::milliseconds{500},
    std::chrono::seconds{1},        std::chrono::milliseconds{2500}, std::chrono::seconds{5},
    std::chrono::seconds{10},       std::chrono::seconds{30},        std::chrono::seconds{60}};

/// How long things took, in buckets up to and including each bound.
class histogram {
 public:
  static constexpr std::size_t capacity = 24;

  histogram() : histogram{latency_bounds} {}
  /// Throws `std::invalid_argument` unless the bounds rise, and are at most `capacity`.
  explicit histogram(std::span<const duration> bounds) : size_{bounds.size()} {
    if (bounds.size() > capacity) throw std::invalid_argument{"again::histogram: at most 24 bounds"};
    for (std::size_t i = 0; i < size_; ++i) {
      if (i > 0 && bounds[i] <= bounds[i - 1]) throw std::invalid_argument{"again::histogram: the bounds must rise"};
      bounds_[i] = bounds[i];
    }
  }

  void observe(duration took) noexcept {
    std::size_t at = 0;
    while (at < size_ && took > bounds_[at]) ++at;
    sum_.fetch_add(took.count(), std::memory_order_relaxed);
    counts_[at].fetch_add(1, std::memory_order_relaxed);
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] duration bound(std::size_t i) const noexcept { return bounds_[i]; }
  /// How many took at most `bound(i)`; at `size()`, all of them.
  [[nodiscard]] std::uint64_t up_to(std::size_t i) const noexcept {
    std::uint64_t n = 0;
    for (std::size_t at = 0; at <= i; ++at) n += counts_[at].load(std::memory_order_relaxed);
    return n;
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return up_to(size_); }
  [[nodiscard]] duration sum() const noexcept { return duration{sum_.load(std::memory_order_relaxed)}; }

 private:
  std::array<duration, capacity> bounds_{};
  std::size_t size_;
  std::array<std::atomic<std::uint64_t>, capacity + 1> counts_{};
  std::atomic<duration::rep> sum_{0};
};

/// Text for a scraper. Samples of one metric are kept together, whoever adds them and in what order.
class metrics_page {
 public:
  /// Whatever has `write_to(metrics_page&) const`.
  template <class Numbers> metrics_page& add(const Numbers& numbers) & { return numbers.write_to(*this), *this; }
  template <class Numbers> metrics_page&& add(const Numbers& numbers) && {
    return numbers.write_to(*this), std::move(*this);
  }

  /// `labels`: as `metric_label` makes them, with commas between; may be empty.
  void add(std::string_view name, std::string_view help, const counter& c, std::string_view labels = {}) {
    text_.family(name, "counter", help).sample(name, labels, static_cast<double>(c.value()));
  }
  void add(std::string_view name, std::string_view help, const gauge& g, std::string_view labels = {}) {
    text_.family(name, "gauge", help).sample(name, labels, static_cast<double>(g.value()));
  }
  void add(std::string_view name, std::string_view help, const histogram& h, std::string_view labels = {});

  [[nodiscard]] std::string text() const { return text_.text(); }
  /// What an HTTP response says of it.
  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

 private:
  detail::metric_text text_;
};

/// `name="value"`, escaped.
inline std::string metric_label(std::string_view name, std::string_view value) {
  return detail::metric_label(name, value);
}

/// What is known of a group of calls. Not copied: it is what others refer to.
class retry_metrics {
 public:
  /// `call`: the value of the label `call` of all its metrics.
  explicit retry_metrics(std::string_view call) : labels_{metric_label("call", call)} {}
  retry_metrics(const retry_metrics&) = delete;
  retry_metrics& operator=(const retry_metrics&) = delete;
  ~retry_metrics() = default;

  /// For `.observe(numbers.attempts())` where `measure` is not used.
  auto attempts() noexcept {
    return [this](const attempt_record& r) noexcept { attempted(r); };
  }
  void attempted(const attempt_record& r) noexcept;

  /// A call begins; then one of the others, once.
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
  static constexpr std::size_t ok = 3;  // of outcomes_; the others are reaches

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

inline void metrics_page::add(std::string_view name, std::string_view help, const histogram& h,
                              std::string_view labels) {
  detail::metric_text::samples& to = text_.family(name, "histogram", help);
  const std::string base{name}, more = labels.empty() ? std::string{} : std::string{labels} + ',';
  std::array<std::uint64_t, histogram::capacity + 1> cumulative{};
  for (std::size_t i = 0; i <= h.size(); ++i) cumulative[i] = h.up_to(i);
  for (std::size_t i = 0; i < h.size(); ++i) {
    to.sample(base + "_bucket", more + metric_label("le", detail::metric_number(detail::in_seconds(h.bound(i)))),
              static_cast<double>(cumulative[i]));
  }
  to.sample(base + "_bucket", more + metric_label("le", "+Inf"), static_cast<double>(cumulative[h.size()]));
  to.sample(base + "_sum", labels, detail::in_seconds(h.sum()));
  to.sample(base + "_count", labels, static_cast<double>(cumulative[h.size()]));
}

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
                             failed_help = "Calls that ended without a value, by why they stopped.";
  for (std::size_t i = 0; i < reasons; ++i)
    page.add(failed, failed_help, failed_[i], with("reason", name(static_cast<stop_reason>(i))));
  page.add(failed, failed_help, errors_, with("reason", "error"));
  page.add(failed, failed_help, thrown_, with("reason", "exception"));
  page.add(failed, failed_help, abandoned_, with("reason", "abandoned"));
  page.add("again_calls_in_flight", "Calls running now.", in_flight_, labels_);
  for (std::size_t i = 0; i < outcomes_.size(); ++i) {
    page.add("again_attempts_total", "Attempts made, by success or how far they got.", outcomes_[i],
             with("outcome", i == ok ? "ok" : name(static_cast<reach>(i))));
  }
  page.add("again_retries_total", "Attempts after the first of a call.", retries_, labels_);
  page.add("again_attempt_duration_seconds", "Time of one attempt.", attempt_took_, labels_);
  page.add("again_call_duration_seconds", "Time of one call, with all its attempts and waits.", call_took_, labels_);
}

/// `op` with every start of it counted; an operation itself. A retry's attempts are counted too. The result is not touched.
template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto measure(retry_metrics& numbers, Op&& op) {
  if constexpr (requires { std::decay_t<Op>(std::forward<Op>(op)).observe(numbers.attempts()); }) {
    auto seen = std::decay_t<Op>(std::forward<Op>(op)).observe(numbers.attempts());
    return detail::measured_operation<decltype(seen), retry_metrics>{numbers, std::move(seen)};
  } else {
    return detail::measured_operation<std::decay_t<Op>, retry_metrics>{numbers, std::forward<Op>(op)};
  }
}

}  // namespace AGAIN_ABI
}  // namespace again
