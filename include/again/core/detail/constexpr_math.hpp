// SPDX-License-Identifier: MIT
/// \file
/// `sqrt`, `exp` and `tanh` for constant expressions, in which the standard's work only from C++26 on. For the
/// arguments of a backoff they are exact to the last digit or to the one before.
#pragma once

#include <again/core/expected.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

constexpr double sqrt(double x) noexcept {
  if (!(x > 0)) return 0;
  double scale = 1;  // brings x into [1/4, 4): Newton then needs few steps from any start
  while (x >= 4) {
    x /= 4;
    scale *= 2;
  }
  while (x < 0.25) {
    x *= 4;
    scale /= 2;
  }
  double y = 0.5 * (1 + x);
  for (int i = 0; i < 6; ++i) y = 0.5 * (y + x / y);
  return y * scale;
}

/// e^x; 0 below -700, the greatest double above 700.
constexpr double exp(double x) noexcept {
  if (x < -700) return 0;
  if (x > 700) return 1.7976931348623157e308;
  constexpr double ln2 = 0.69314718055994530942;
  const int halvings = static_cast<int>(x / ln2 + (x < 0 ? -0.5 : 0.5));
  const double r = x - halvings * ln2;
  double term = 1;
  double sum = 1;
  for (int i = 1; i < 20; ++i) {
    term *= r / i;
    sum += term;
  }
  for (int i = 0; i < halvings; ++i) sum *= 2;
  for (int i = 0; i > halvings; --i) sum /= 2;
  return sum;
}

constexpr double tanh(double x) noexcept {
  if (x > 20) return 1;
  if (x < -20) return -1;
  const double e = exp(2 * x);
  return (e - 1) / (e + 1);
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
