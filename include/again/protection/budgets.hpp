// SPDX-License-Identifier: MIT
/// \file
/// The kinds of retry budget: their settings, what makes one invalid, and what the price of a retry depends on. How many sends
/// each kind allows is in the table of `<again/protection/budget.hpp>`.
///
/// ```cpp
/// again::budget shared{again::budgets::ratio{.share = 0.2}};
/// again::budget as_aws{again::budgets::aws_v2_1};
/// ```
#pragma once

#include <again/core/clock.hpp>
#include <again/policy/verdict.hpp>

#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

/// The cause of a retry, on which its price depends.
enum class retry_cause : std::uint8_t { transient, timeout, throttling };

/// Throttling: HTTP 429, or the peer told how long to wait. Timeout: our own bound cut the attempt short.
constexpr retry_cause cause_of(const verdict& v, bool timed_out) noexcept {
  if (v.code == 429 || v.server_delay >= duration::zero()) return retry_cause::throttling;
  return timed_out ? retry_cause::timeout : retry_cause::transient;
}

namespace budgets {

/// `share` of the first attempts of the last `window` (each counts for at least 0.9 of it), and `floor_per_second` besides,
/// so that a caller with little traffic may retry at all.
struct ratio {
  double share = 0.2;
  double floor_per_second = 10;
  duration_with_unit window = std::chrono::seconds{10};
};

/// A bucket that is full at first. A success after retries returns what the last of them cost; a first-try success puts
/// `first_try` in. The default is AWS v2.1.
struct tokens {
  int capacity = 500;
  int cost = 14;
  int throttling_cost = 5;
  int timeout_cost = 14;
  int first_try = 1;
};
inline constexpr tokens aws_v2_1{};
inline constexpr tokens aws_v2_0{.capacity = 500, .cost = 5, .throttling_cost = 5, .timeout_cost = 10, .first_try = 1};

/// Every transient failure takes a token, every success puts `ratio` in; retries while more than half of `max` is left.
/// Kept in thousandths, as gRPC does.
struct throttle {
  double max = 100;
  double ratio = 0.1;
};

/// Retries in flight (waiting or sent) below `share` of the calls in flight, or below `floor`.
struct in_flight {
  double share = 0.2;
  int floor = 3;
};

/// `share` of all first attempts since construction. Unused retries never expire, so a long quiet time allows many retries
/// at once.
struct cumulative {
  double share = 0.1;
};

/// A sentence about the first impossible setting, or null if the settings are valid.
constexpr const char* complaint(const ratio& r) noexcept {
  if (!(r.share >= 0 && r.share <= 1000)) return "again::budgets::ratio: share must be between 0 and 1000";
  if (!(r.floor_per_second >= 0 && r.floor_per_second <= 1e6))
    return "again::budgets::ratio: floor_per_second must be between 0 and a million";
  if (r.window <= duration::zero() || r.window > std::chrono::hours{24})
    return "again::budgets::ratio: window must be between 0 and a day";
  return nullptr;
}
constexpr const char* complaint(const tokens& t) noexcept {
  if (t.capacity < 0) return "again::budgets::tokens: capacity must not be negative";
  if (t.cost < 1 || t.throttling_cost < 1 || t.timeout_cost < 1)
    return "again::budgets::tokens: every cost must be at least 1";
  if (t.first_try < 0) return "again::budgets::tokens: first_try must not be negative";
  return nullptr;
}
constexpr const char* complaint(const throttle& t) noexcept {
  if (!(t.max >= 0.002 && t.max <= 2000)) return "again::budgets::throttle: max must be between 0.002 and 2000";
  if (!(t.ratio > 0 && t.ratio <= 2000)) return "again::budgets::throttle: ratio must be above 0 and at most 2000";
  return nullptr;
}
constexpr const char* complaint(const in_flight& f) noexcept {
  if (!(f.share >= 0 && f.share <= 1000)) return "again::budgets::in_flight: share must be between 0 and 1000";
  if (f.floor < 0) return "again::budgets::in_flight: floor must not be negative";
  return nullptr;
}
constexpr const char* complaint(const cumulative& c) noexcept {
  if (!(c.share >= 0 && c.share <= 1000)) return "again::budgets::cumulative: share must be between 0 and 1000";
  return nullptr;
}

}  // namespace budgets

}  // namespace AGAIN_ABI
}  // namespace again
