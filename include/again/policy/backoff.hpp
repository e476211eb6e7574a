// SPDX-License-Identifier: MIT
/// \file
/// `backoff`: the delay by attempt number, before jitter: constant, linear, exponential, fibonacci, a fixed series, or random.
/// It is pure data, made by the functions below.
///
/// | made by | delay after failed attempt n = 1, 2, 3, … | 1 s, cap 20 s |
/// |---|---|---|
/// | `constant(base)` | base | 1 1 1 1 1 1 |
/// | `linear(base, cap)` | n·base | 1 2 3 4 5 6 |
/// | `exponential(base, cap, factor = 2)` | base·factorⁿ⁻¹ | 1 2 4 8 16 20 |
/// | `fibonacci(base, cap)` | base·Fib(n) | 1 1 2 3 5 8 |
/// | `fixed(d1, d2, …)` | the series, then its last delay for every further attempt | as given |
/// | `decorrelated(base, cap)` | random in [base, 3·previous] (AWS Architecture Blog) | random |
/// | `polly_v2(median, cap)` | Polly's DecorrelatedJitterBackoffV2: smooth, median near median·2ⁿ⁻¹ | random |
///
/// A delay never overflows and stays within [0, cap] for every attempt number. `decorrelated` and `polly_v2` draw their delays
/// themselves, so a policy's `jitter` is not applied to them.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/constexpr_math.hpp>
#include <again/policy/jitter.hpp>

#include <array>
#include <concepts>
#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

/// Trivially copyable, comparable, constexpr.
struct backoff {
  enum class kinds : std::uint8_t { constant, linear, exponential, fibonacci, fixed, decorrelated, polly_v2 };
  static constexpr int series_capacity = 10;

  kinds kind = kinds::constant;
  bool first_at_once = false;   ///< the first retry does not wait, as in urllib3; the later delays stay the same
  std::int8_t series_size = 0;  ///< how many delays of `series` are used; of `fixed`
  duration base{};              ///< the first delay; not of `fixed`
  duration cap = forever;       ///< the longest delay
  double factor = 2;            ///< of `exponential`: each delay over the one before it
  std::array<duration, series_capacity> series{};

  /// True for the kinds that draw their delays themselves.
  constexpr bool random() const noexcept { return kind == kinds::decorrelated || kind == kinds::polly_v2; }

  /// A copy whose first retry does not wait.
  constexpr backoff at_once_first() const noexcept {
    backoff b = *this;
    b.first_at_once = true;
    return b;
  }

  friend constexpr bool operator==(const backoff&, const backoff&) = default;
};

constexpr backoff constant(duration_with_unit delay) noexcept {
  return {.kind = backoff::kinds::constant, .base = delay};
}
constexpr backoff linear(duration_with_unit base, duration_with_unit cap) noexcept {
  return {.kind = backoff::kinds::linear, .base = base, .cap = cap};
}
constexpr backoff exponential(duration_with_unit base, duration_with_unit cap, double factor = 2) noexcept {
  return {.kind = backoff::kinds::exponential, .base = base, .cap = cap, .factor = factor};
}
constexpr backoff fibonacci(duration_with_unit base, duration_with_unit cap) noexcept {
  return {.kind = backoff::kinds::fibonacci, .base = base, .cap = cap};
}
/// One to ten delays.
template <std::convertible_to<duration_with_unit>... D>
  requires(sizeof...(D) >= 1 && sizeof...(D) <= backoff::series_capacity)
constexpr backoff fixed(D... delays) noexcept {
  return {.kind = backoff::kinds::fixed,
          .series_size = static_cast<std::int8_t>(sizeof...(D)),
          .series = {duration_with_unit{delays}...}};
}
constexpr backoff decorrelated(duration_with_unit base, duration_with_unit cap) noexcept {
  return {.kind = backoff::kinds::decorrelated, .base = base, .cap = cap};
}
constexpr backoff polly_v2(duration_with_unit median_first, duration_with_unit cap) noexcept {
  return {.kind = backoff::kinds::polly_v2, .base = median_first, .cap = cap};
}

/// False if every delay is zero for every attempt and draw.
constexpr bool waits(const backoff& b) noexcept {
  return b.base != duration::zero() || b.kind == backoff::kinds::fixed;
}

/// The delay before jitter after failed attempt `n`, counted from 1. Of the random kinds: the middle of their range.
constexpr duration nominal_delay(const backoff& b, int n) noexcept {
  if (n < 1) n = 1;
  if (b.first_at_once && n == 1) return duration::zero();
  duration d = b.base;
  switch (b.kind) {
    case backoff::kinds::constant: break;
    case backoff::kinds::linear: d = saturating_scale(b.base, n); break;
    case backoff::kinds::exponential:
    case backoff::kinds::decorrelated:
    case backoff::kinds::polly_v2: {
      double power = 1;
      double square = b.kind == backoff::kinds::exponential ? b.factor : 2.0;
      for (unsigned e = static_cast<unsigned>(n - 1); e != 0 && power < 1e19; e >>= 1U) {
        if ((e & 1U) != 0) power *= square;
        square = square < 1e19 ? square * square : square;
      }
      d = saturating_scale(b.base, power);
      break;
    }
    case backoff::kinds::fibonacci: {
      duration before{};
      for (int i = 1; i < n && d < b.cap && d > duration::zero(); ++i) {
        const duration next = saturating_add(before, d);
        before = d;
        d = next;
      }
      break;
    }
    case backoff::kinds::fixed: {
      const int last = b.series_size < 1 ? 0 : b.series_size - 1;
      d = b.series[static_cast<std::size_t>(n - 1 < last ? n - 1 : last)];
      break;
    }
  }
  return d < b.cap ? d : b.cap;
}

/// What a random backoff keeps from one delay for the next. A call starts with a new one.
struct backoff_state {
  double carry = 0;  ///< decorrelated: the previous delay in ns; polly_v2: the previous value of its curve
  friend constexpr bool operator==(const backoff_state&, const backoff_state&) = default;
};

namespace detail {

/// Polly's curve (Polly.Contrib.WaitAndRetry, RetryHelper.cs): 2^t·tanh(√(4t)).
constexpr double polly_curve(double t) noexcept {
  if (t > 1000) t = 1000;
  return exp(t * 0.69314718055994530942) * tanh(sqrt(4 * t));
}

/// The delay between two values of the curve. Values beyond 1e30 cannot be told apart as doubles: the delay is then `forever`.
constexpr duration polly_delay(duration base, double from, double to) noexcept {
  if (base > duration::zero() && to > 1e30) return forever;
  return saturating_scale(base, (to - from) / 1.4);
}

}  // namespace detail

/// The delay after failed attempt `n` for a `draw` in [0, 1), jitter included. A random backoff advances `state` by the same
/// draw.
constexpr duration jittered_delay(const backoff& b, jitter j, int n, double draw, backoff_state& state) noexcept {
  if (n < 1) n = 1;
  const double u = draw > 0 ? (draw < 1 ? draw : 1) : 0;
  if (b.kind == backoff::kinds::decorrelated) {
    const duration previous = state.carry > 0 ? saturating_scale(duration{1}, state.carry) : b.base;
    const duration least = b.base < b.cap ? b.base : b.cap;
    const duration triple = saturating_scale(previous, 3);
    const duration most = triple < b.cap ? triple : b.cap;  // before the draw, so that delays do not collect at the cap
    const duration d = delay_range{least, most < least ? least : most}.at(u);
    state.carry = static_cast<double>(d.count());
    return b.first_at_once && n == 1 ? duration::zero() : d;
  }
  if (b.kind == backoff::kinds::polly_v2) {
    const double next = detail::polly_curve(n - 1 + u);
    duration d = detail::polly_delay(b.base, state.carry, next);
    state.carry = next;
    if (d >= b.cap)
      d = delay_range{b.cap / 2, b.cap}.at(u);  // spread below the cap, so that delays do not collect at it
    return b.first_at_once && n == 1 ? duration::zero() : d;
  }
  return spread(j, nominal_delay(b, n), b.cap).at(u);
}

/// The shortest and the longest delay that `jittered_delay` can return after failed attempt `n`, for every state.
constexpr delay_range delay_bounds(const backoff& b, jitter j, int n) noexcept {
  if (b.first_at_once && n <= 1) return {};
  if (b.kind == backoff::kinds::decorrelated) {
    duration most = b.base;
    for (int i = 0; i < n && most < b.cap && most > duration::zero(); ++i) most = saturating_scale(most, 3);
    const duration least = b.base < b.cap ? b.base : b.cap;
    return {least, most < b.cap ? most : b.cap};
  }
  if (b.kind == backoff::kinds::polly_v2) {
    const double least_before = n > 1 ? detail::polly_curve(n - 2) : 0;
    const duration most = detail::polly_delay(b.base, least_before, detail::polly_curve(n));
    return {duration::zero(), most < b.cap ? most : b.cap};
  }
  return spread(j, nominal_delay(b, n), b.cap);
}

}  // namespace AGAIN_ABI
}  // namespace again
