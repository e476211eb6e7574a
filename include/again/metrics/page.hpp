// SPDX-License-Identifier: MIT
/// \file
/// `metrics_page`: the text that a Prometheus scraper reads.
///
/// ```cpp
/// std::string page = again::metrics_page{}.add(numbers).add(sink).text();   // what GET /metrics responds with
/// ```
///
/// - `add` takes whatever has `write_to(metrics_page&) const` (`retry_metrics`, `sink`), or one number with its name and labels.
/// - Samples of one metric stand together, in whatever order they are added; its HELP and TYPE stand before them once.
/// - Numbers that change while the page is made may differ by what happened in between; at rest the page is exact.
/// - Format: https://prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4; durations in seconds, buckets cumulative.
#pragma once

#include <again/metrics/counter.hpp>
#include <again/metrics/detail/prometheus_text.hpp>
#include <again/metrics/histogram.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

class metrics_page {
 public:
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
  /// The Content-Type of a response with it.
  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

 private:
  detail::metric_text text_;
};

/// `name="value"`, escaped.
inline std::string metric_label(std::string_view name, std::string_view value) {
  return detail::metric_label(name, value);
}

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

}  // namespace AGAIN_ABI
}  // namespace again
