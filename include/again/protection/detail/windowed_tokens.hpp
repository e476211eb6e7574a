// SPDX-License-Identifier: MIT
/// \file
/// Tokens that are forgotten after a window, in ten slots of time (Finagle's WindowedAdder, tower's TpsBudget).
///
/// `balance_` alone decides: it is the sum of the reserve and of what every slot holds, and a withdrawal is one
/// compare-and-swap on it. The slots only remember what to take back when they expire. A thread that notes late notes in a
/// younger slot: that changes when the amount expires, and never whether it counts.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/threads.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class windowed_tokens {
 public:
  windowed_tokens() noexcept = default;
  /// `window` of `forever`: nothing is ever forgotten.
  windowed_tokens(std::int64_t reserve, duration window) noexcept
      : width_{window == forever ? 0 : (window.count() - 1) / slots + 1}, balance_{reserve} {}

  bool timed() const noexcept { return width_ != 0; }

  void put(time_point now, std::int64_t amount) noexcept {
    note(slot(now), amount);
    balance_.fetch_add(amount, std::memory_order_acq_rel);
  }
  bool take(time_point now, std::int64_t amount) noexcept {
    const std::size_t at = slot(now);
    std::int64_t seen = balance_.load(std::memory_order_relaxed);
    do {
      if (seen < amount) return false;
    } while (
        !balance_.compare_exchange_weak(seen, seen - amount, std::memory_order_acq_rel, std::memory_order_relaxed));
    note(at, -amount);
    return true;
  }
  /// Takes back a withdrawal, at the time last seen.
  void untake(std::int64_t amount) noexcept {
    note(timed() ? static_cast<std::size_t>(newest_.load(std::memory_order_acquire) % slots) : 0, amount);
    balance_.fetch_add(amount, std::memory_order_acq_rel);
  }
  std::int64_t balance(time_point now) noexcept {
    slot(now);
    return balance_.load(std::memory_order_acquire);
  }

 private:
  static constexpr std::int64_t slots = 10;
  static constexpr std::int64_t unset = std::numeric_limits<std::int64_t>::min();

  void note(std::size_t at, std::int64_t amount) noexcept {
    if (timed()) noted_[at].fetch_add(amount, std::memory_order_acq_rel);
  }

  // The slot of `now`, once expired slots are emptied. A time before the newest one seen counts as the newest.
  std::size_t slot(time_point now) noexcept {
    if (!timed()) return 0;
    const std::int64_t t = now.time_since_epoch().count();
    std::int64_t origin = origin_.load(std::memory_order_acquire);
    if (origin == unset && origin_.compare_exchange_strong(origin, t, std::memory_order_acq_rel)) origin = t;
    const std::int64_t number = t > origin ? (t - origin) / width_ : 0;
    std::int64_t newest = newest_.load(std::memory_order_acquire);
    if (number > newest) newest = forget_until(number);
    return static_cast<std::size_t>(newest % slots);
  }

  // The first thread in a new slot does this; the others wait for these few instructions.
  std::int64_t forget_until(std::int64_t number) noexcept {
    while (forgetting_.exchange(true, std::memory_order_acquire)) yield_thread();
    std::int64_t newest = newest_.load(std::memory_order_relaxed);
    if (number > newest) {
      const std::int64_t expired = number - newest < slots ? number - newest : slots;
      for (std::int64_t i = 1; i <= expired; ++i) {
        const std::int64_t held =
            noted_[static_cast<std::size_t>((number - expired + i) % slots)].exchange(0, std::memory_order_acq_rel);
        balance_.fetch_sub(held, std::memory_order_acq_rel);
      }
      newest_.store(newest = number, std::memory_order_release);
    }
    forgetting_.store(false, std::memory_order_release);
    return newest;
  }

  std::int64_t width_ = 0;  // of a slot, in nanoseconds; 0: one slot for ever
  std::atomic<std::int64_t> balance_{0};
  std::atomic<std::int64_t> origin_{unset};
  std::atomic<std::int64_t> newest_{0};
  std::atomic<bool> forgetting_{false};
  std::array<std::atomic<std::int64_t>, slots> noted_{};
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
