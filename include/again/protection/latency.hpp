// SPDX-License-Identifier: MIT
/// \file
/// `latency`: a running quantile of how long calls take, for `hedge`: "the slowest twentieth of the calls gets a second attempt".
///
/// ```cpp
/// again::latency seen{{.quantile = 0.95, .least = 5ms, .most = 1s, .at_first = 100ms}};
/// auto quote = co_await again::hedge({.after = &seen}, api.get("/quote"));
/// ```
///
/// Kept as counts in buckets an eighth wide (a log-linear histogram: the quantile is at most that much too long), which are
/// halved after every 1024 calls, so that old calls weigh little. A call that was cut short counts with the time until then.
/// Threads: any. Lifetime: outlives its users. Cost: an uncontended mutex; the quantile is found anew every 32 calls.
#pragma once

#include <again/core/clock.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <stdexcept>

namespace again {
inline namespace AGAIN_ABI {

struct latency_rules {
  double quantile = 0.95;
  duration_with_unit least = std::chrono::milliseconds{1};  ///< the quantile is never below this
  duration_with_unit most = std::chrono::seconds{10};       ///< nor above this
  duration_with_unit at_first =
      std::chrono::milliseconds{100};  ///< until `enough` calls were seen, within the same bounds
  int enough = 20;
};

class latency {
 public:
  latency() : latency{latency_rules{}} {}
  /// Throws `std::invalid_argument` for rules that make no sense.
  explicit latency(const latency_rules& r) : rules_{r}, quantile_{bounded(r.at_first)} {
    if (!(r.quantile > 0 && r.quantile < 1))
      throw std::invalid_argument{"again::latency_rules: quantile must be between 0 and 1"};
    if (r.least < duration::zero() || r.most < r.least)
      throw std::invalid_argument{"again::latency_rules: least must not exceed most"};
    if (r.at_first < duration::zero())
      throw std::invalid_argument{"again::latency_rules: at_first must not be negative"};
    if (r.enough < 1) throw std::invalid_argument{"again::latency_rules: enough must be at least 1"};
  }
  latency(const latency&) = delete;
  latency& operator=(const latency&) = delete;
  ~latency() = default;

  /// A call took so long, or at least so long.
  void record(duration took) noexcept {
    const std::lock_guard lock{mutex_};
    ++counts_[bucket(took)];
    ++total_;
    ++seen_;
    if (total_ >= 1024) {
      total_ = 0;
      for (std::uint32_t& n : counts_) total_ += (n /= 2);
    }
    if (seen_ >= static_cast<std::uint64_t>(rules_.enough) &&
        (seen_ % 32 == 0 || seen_ == static_cast<std::uint64_t>(rules_.enough))) {
      quantile_ = find();
    }
  }
  /// How long all but the slowest take.
  duration value() const noexcept {
    const std::lock_guard lock{mutex_};
    return quantile_;
  }

 private:
  // Eight buckets to the power of two, from 1 us on; all below in the first, all above 2^42 us in the last.
  static constexpr std::size_t fine = 8;
  static constexpr std::size_t buckets = 40 * fine;

  static std::size_t bucket(duration d) noexcept {
    const std::uint64_t us = d.count() > 0 ? static_cast<std::uint64_t>(d.count()) / 1000 : 0;
    if (us < fine) return static_cast<std::size_t>(us);
    const std::size_t power = static_cast<std::size_t>(std::bit_width(us)) - 1;  // at least 3
    const std::size_t at = (power - 2) * fine + static_cast<std::size_t>((us >> (power - 3)) - fine);
    return at < buckets ? at : buckets - 1;
  }
  // The upper end of a bucket.
  static duration upper(std::size_t at) noexcept {
    if (at < fine) return std::chrono::microseconds{at + 1};
    const std::size_t power = at / fine + 2;
    return std::chrono::microseconds{static_cast<std::int64_t>(fine + at % fine + 1) << (power - 3)};
  }
  duration bounded(duration d) const noexcept {
    if (d < rules_.least) return rules_.least;
    return d > rules_.most ? duration{rules_.most} : d;
  }
  duration find() const noexcept {
    const double wanted = rules_.quantile * static_cast<double>(total_);
    double below = 0;
    for (std::size_t i = 0; i < buckets; ++i) {
      below += static_cast<double>(counts_[i]);
      if (below >= wanted && counts_[i] != 0) { return bounded(upper(i)); }
    }
    return rules_.most;
  }

  latency_rules rules_;
  mutable std::mutex mutex_;  // guards all below
  std::array<std::uint32_t, buckets> counts_{};
  std::uint32_t total_ = 0;
  std::uint64_t seen_ = 0;
  duration quantile_;
};

}  // namespace AGAIN_ABI
}  // namespace again
