// SPDX-License-Identifier: MIT
/// \file
/// How a combinator is started that was given a scheduler (`.on`), a stop token (`.stop`), or both.
#pragma once

#include <again/coro/detail/await_bounds.hpp>
#include <again/coro/detail/run_on.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

enum class placing : unsigned char { here = 0, elsewhere = 1, stoppable = 2, both = 3 };
constexpr placing operator|(placing a, placing b) noexcept {
  return static_cast<placing>(static_cast<unsigned char>(a) | static_cast<unsigned char>(b));
}
template <class Run, placing Placing> struct placed {
  using type = Run;
};
template <class Run> struct placed<Run, placing::elsewhere> {
  using type = run_on<Run>;
};
template <class Run> struct placed<Run, placing::stoppable> {
  using type = bounded_run<Run>;
};
template <class Run> struct placed<Run, placing::both> {
  using type = run_on<bounded_run<Run>>;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
