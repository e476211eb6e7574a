// SPDX-License-Identifier: MIT
/// \file
/// `counter` and `gauge`: two numbers that many threads change and a scraper reads.
///
/// Threads: every member from any thread; each number is one relaxed atomic, so counting never waits for a reader.
#pragma once

#include <again/core/expected.hpp>

#include <atomic>
#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

/// A number that only grows.
class counter {
 public:
  void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A number that rises and falls.
class gauge {
 public:
  void add(std::int64_t n) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

}  // namespace AGAIN_ABI
}  // namespace again
