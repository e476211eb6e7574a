// SPDX-License-Identifier: MIT
/// \file
/// `free_places`: when a durable sink that is nearly full takes its next events. A take for many places costs a store little more than one
/// for a single place, so few are waited for. One loop, one thread.
#pragma once

#include <again/core/clock.hpp>

#include <chrono>
#include <cstddef>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {
namespace detail {

class free_places {
 public:
  /// `held`: events that the sink may hold.
  explicit free_places(std::size_t held) noexcept : enough_{held / 4} {}

  /// When `free` places are worth a take. `backlog`: the store had more events than the last take had places.
  time_point worth_a_take(std::size_t free, bool backlog, time_point now) noexcept {
    if (free == 0) return never;
    if (!backlog || free >= enough_) return first_ = time_point::min();
    if (first_ == time_point::min()) first_ = now;
    if (const time_point then = saturating_add(first_, longest); now < then) return then;
    return first_ = time_point::min();
  }

 private:
  // Longer than a quarter of the places takes to become free where it matters, shorter than a delivery.
  static constexpr duration longest = std::chrono::milliseconds{2};
  std::size_t enough_;
  time_point first_ = time_point::min();  // since when there are some, but few
};

}  // namespace detail
}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
