// SPDX-License-Identifier: MIT
/// \file
/// `histogram`: how long things took, in buckets.
///
/// Threads: every member from any thread; one relaxed atomic per bucket. Cost: two atomic additions per observation.
#pragma once

#include <again/core/clock.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

namespace again {
inline namespace AGAIN_ABI {

/// The bounds of `histogram{}`: from a response out of a cache to the longest time that a person waits.
inline constexpr std::array<duration, 15> latency_bounds{
    std::chrono::milliseconds{1},   std::chrono::microseconds{2500}, std::chrono::milliseconds{5},
    std::chrono::milliseconds{10},  std::chrono::milliseconds{25},   std::chrono::milliseconds{50},
    std::chrono::milliseconds{100}, std::chrono::milliseconds{250},  std::chrono::milliseconds{500},
    std::chrono::seconds{1},        std::chrono::milliseconds{2500}, std::chrono::seconds{5},
    std::chrono::seconds{10},       std::chrono::seconds{30},        std::chrono::seconds{60}};

/// Durations, in buckets up to and including each bound, and one for all that are longer.
class histogram {
 public:
  static constexpr std::size_t capacity = 24;  ///< bounds at most

  histogram() : histogram{latency_bounds} {}
  /// Throws `std::invalid_argument` unless the bounds rise and there are at most `capacity` of them.
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

  /// The number of bounds.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] duration bound(std::size_t i) const noexcept { return bounds_[i]; }
  /// The number of observations of at most `bound(i)`; with `size()`, of all.
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

}  // namespace AGAIN_ABI
}  // namespace again
