// SPDX-License-Identifier: MIT
/// \file
/// `jitter`: how a delay is spread at random, so that callers that failed together do not retry together.
///
/// | value | the delay is uniform in | source |
/// |---|---|---|
/// | `jitter::full` | [0, v] | AWS Architecture Blog, "Exponential Backoff And Jitter" |
/// | `jitter::equal` | [v/2, v] | the same |
/// | `jitter::proportional(p)` | [v·(1−p), v·(1+p)] | Polly (p = 0.25), gRPC (p = 0.2) |
/// | `jitter::none` | v exactly | for tests, and for a single caller |
///
/// v is the backoff's delay. The bounds are cut at the backoff's cap *before* the draw: no delay exceeds the cap, and delays do
/// not collect at the cap.
#pragma once

#include <again/core/clock.hpp>

#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

/// Trivially copyable, comparable, constexpr.
struct jitter {
  enum class kinds : std::uint8_t { none, full, equal, proportional };

  kinds kind = kinds::full;
  double share = 0;  ///< of `proportional`: between 0 and 1

  static const jitter none;
  static const jitter full;
  static const jitter equal;
  static constexpr jitter proportional(double share) noexcept { return {kinds::proportional, share}; }

  friend constexpr bool operator==(const jitter&, const jitter&) = default;
};

inline constexpr jitter jitter::none{jitter::kinds::none, 0};
inline constexpr jitter jitter::full{jitter::kinds::full, 0};
inline constexpr jitter jitter::equal{jitter::kinds::equal, 0};

/// The shortest and the longest delay that a draw can give.
struct delay_range {
  duration least{};
  duration most{};
  /// The delay for a draw in [0, 1). A draw outside it counts as the nearest draw inside it.
  constexpr duration at(double draw) const noexcept {
    const double u = draw > 0 ? (draw < 1 ? draw : 1) : 0;
    const duration d = saturating_add(least, saturating_scale(most - least, u));
    return d < most ? d : most;
  }
  friend constexpr bool operator==(const delay_range&, const delay_range&) = default;
};

/// The range of a nominal delay under a jitter, inside [0, cap].
constexpr delay_range spread(jitter j, duration nominal, duration cap) noexcept {
  const duration v = nominal < cap ? nominal : cap;
  switch (j.kind) {
    case jitter::kinds::none: return {v, v};
    case jitter::kinds::full: return {duration::zero(), v};
    case jitter::kinds::equal: return {v / 2, v};
    case jitter::kinds::proportional: {
      const duration most = saturating_scale(v, 1 + j.share);
      return {saturating_scale(v, 1 - j.share), most < cap ? most : cap};
    }
  }
  return {v, v};
}

}  // namespace AGAIN_ABI
}  // namespace again
