// SPDX-License-Identifier: MIT
/// \file
/// When a circuit breaker opens, for how long, and what closes it again: `breaker_rules`; and its states.
///
/// ```cpp
/// again::breaker quotes{{.consecutive = 5, .open_for = 5s}};                    // five failures in a row
/// again::breaker orders{{.consecutive = 0, .rate = 0.5, .window = 30s}};        // half of at least 20 calls in 30 s
/// ```
#pragma once

#include <again/core/clock.hpp>

#include <cstdint>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {

enum class breaker_state : std::uint8_t {
  closed,     ///< everything passes
  open,       ///< nothing passes until the break is over
  half_open,  ///< a bounded number of probes passes, to see whether the peer is back
  isolated,   ///< nothing passes until `close()`
};
constexpr std::string_view name(breaker_state s) noexcept {
  switch (s) {
    case breaker_state::closed: return "closed";
    case breaker_state::open: return "open";
    case breaker_state::half_open: return "half_open";
    case breaker_state::isolated: return "isolated";
  }
  return "unknown";
}

struct breaker_rules {
  int consecutive = 5;  ///< failures in a row that open it; 0: any number does not
  double rate = 0;      ///< share of failures in `window` that opens it; 0: no share does
  duration_with_unit window = std::chrono::seconds{10};   ///< over which `rate` is measured, in ten slots
  int least = 20;                                         ///< calls in `window` before `rate` is looked at
  duration_with_unit open_for = std::chrono::seconds{5};  ///< the first break
  double growth = 2;                                      ///< factor of each further break, until it closes again
  duration_with_unit open_max = std::chrono::minutes{1};  ///< the longest break
  int probes = 1;                                         ///< let through when half open; all have to succeed

  friend constexpr bool operator==(const breaker_rules&, const breaker_rules&) = default;
};

/// A sentence about the first impossible rule, or null if the rules are valid.
constexpr const char* complaint(const breaker_rules& r) noexcept {
  if (r.consecutive < 0) return "again::breaker_rules: consecutive must not be negative";
  if (!(r.rate >= 0 && r.rate <= 1)) return "again::breaker_rules: rate must be between 0 and 1";
  if (r.consecutive == 0 && r.rate == 0) return "again::breaker_rules: neither consecutive nor rate would ever open it";
  if (r.window <= duration::zero()) return "again::breaker_rules: window must be positive";
  if (r.least < 1) return "again::breaker_rules: least must be at least 1";
  if (r.open_for <= duration::zero()) return "again::breaker_rules: open_for must be positive";
  if (!(r.growth >= 1)) return "again::breaker_rules: growth must be at least 1";
  if (r.open_max < r.open_for) return "again::breaker_rules: open_max must not be below open_for";
  if (r.probes < 1) return "again::breaker_rules: probes must be at least 1";
  return nullptr;
}

}  // namespace AGAIN_ABI
}  // namespace again
