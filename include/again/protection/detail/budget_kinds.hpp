// SPDX-License-Identifier: MIT
/// \file
/// What each kind of budget does with an event; the second half of `<again/protection/budget.hpp>`.
#pragma once

#include <again/protection/budget.hpp>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

/// The three numbers of a throttle in one word, in thousandths of a token, 21 bits each: one compare-and-swap sees and
/// changes them together, so that a replacement cannot be torn.
struct throttle_word {
  static constexpr std::uint64_t bits = 21;
  static constexpr std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  std::uint64_t tokens = 0;
  std::uint64_t max = 0;
  std::uint64_t ratio = 0;

  static constexpr throttle_word unpack(std::uint64_t w) noexcept {
    return {w & mask, (w >> bits) & mask, w >> (2 * bits)};
  }
  constexpr std::uint64_t pack() const noexcept { return tokens | (max << bits) | (ratio << (2 * bits)); }
  constexpr bool allows() const noexcept { return tokens > max / 2; }
};

constexpr std::int64_t nearest(double x) noexcept { return static_cast<std::int64_t>(x + 0.5); }  // x is not negative

inline throttle_word throttle_of(const budgets::throttle& t) {
  if (!(t.max >= 0.002 && t.max <= 2000))
    throw std::invalid_argument{"again::budgets::throttle: max must be between 0.002 and 2000"};
  if (!(t.ratio > 0 && t.ratio <= 2000))
    throw std::invalid_argument{"again::budgets::throttle: ratio must be above 0 and at most 2000"};
  const std::uint64_t max = static_cast<std::uint64_t>(nearest(t.max * 1000));
  return {max, max, static_cast<std::uint64_t>(nearest(t.ratio * 1000))};
}

inline std::int64_t millionths(double share, double most, const char* complaint) {
  if (!(share >= 0 && share <= most)) throw std::invalid_argument{complaint};
  return nearest(share * 1e6);
}

inline std::int64_t ratio_reserve(const budgets::ratio& r) {
  if (!(r.floor_per_second >= 0 && r.floor_per_second <= 1e6)) {
    throw std::invalid_argument{"again::budgets::ratio: floor_per_second must be between 0 and a million"};
  }
  if (r.window <= duration::zero() || r.window > std::chrono::hours{24}) {
    throw std::invalid_argument{"again::budgets::ratio: window must be between 0 and a day"};
  }
  return nearest(r.floor_per_second * std::chrono::duration<double>(r.window).count()) * 1'000'000;
}

}  // namespace detail

inline budget::budget(const budgets::ratio& r)
    : kind_{kinds::ratio},
      deposit_{detail::millionths(r.share, 1000, "again::budgets::ratio: share must be between 0 and 1000")},
      window_{detail::ratio_reserve(r), r.window} {}
inline budget::budget(const budgets::tokens& t) : kind_{kinds::tokens}, prices_{t}, quota_{t.capacity} {
  if (t.capacity < 0) throw std::invalid_argument{"again::budgets::tokens: capacity must not be negative"};
  if (t.cost < 1 || t.throttling_cost < 1 || t.timeout_cost < 1) {
    throw std::invalid_argument{"again::budgets::tokens: every cost must be at least 1"};
  }
  if (t.first_try < 0) throw std::invalid_argument{"again::budgets::tokens: first_try must not be negative"};
}
inline budget::budget(const budgets::throttle& t) : kind_{kinds::throttle}, word_{detail::throttle_of(t).pack()} {}
inline budget::budget(const budgets::in_flight& f)
    : kind_{kinds::in_flight},
      deposit_{detail::millionths(f.share, 1000, "again::budgets::in_flight: share must be between 0 and 1000")},
      floor_{static_cast<std::uint64_t>(f.floor)} {
  if (f.floor < 0) throw std::invalid_argument{"again::budgets::in_flight: floor must not be negative"};
}
inline budget::budget(const budgets::cumulative& c)
    : kind_{kinds::ratio},
      deposit_{detail::millionths(c.share, 1000, "again::budgets::cumulative: share must be between 0 and 1000")},
      window_{0, forever} {}

inline void budget::first_attempt(time_point now) noexcept {
  if (kind_ == kinds::ratio) {
    window_.put(now, deposit_);
  } else if (kind_ == kinds::in_flight) {
    word_.fetch_add(std::uint64_t{1} << half, std::memory_order_acq_rel);
  }
}

inline void budget::ended() noexcept {
  if (kind_ == kinds::in_flight) word_.fetch_sub(std::uint64_t{1} << half, std::memory_order_acq_rel);
}

inline bool budget::take(std::int64_t amount) noexcept {
  std::int64_t seen = quota_.load(std::memory_order_relaxed);
  do {
    if (seen < amount) return false;
  } while (!quota_.compare_exchange_weak(seen, seen - amount, std::memory_order_acq_rel, std::memory_order_relaxed));
  return true;
}

inline void budget::put(std::int64_t amount) noexcept {
  std::int64_t seen = quota_.load(std::memory_order_relaxed);
  std::int64_t full = 0;
  do {
    full = seen + amount < prices_.capacity ? seen + amount : prices_.capacity;
    if (full == seen) return;
  } while (!quota_.compare_exchange_weak(seen, full, std::memory_order_acq_rel, std::memory_order_relaxed));
}

inline std::uint64_t budget::slots(std::uint64_t calls) const noexcept {
  const std::uint64_t share = calls * static_cast<std::uint64_t>(deposit_) / static_cast<std::uint64_t>(micro);
  return share > floor_ ? share : floor_;
}

inline budget::reservation budget::reserve(time_point now, retry_cause why) noexcept {
  switch (kind_) {
    case kinds::ratio: return window_.take(now, micro) ? grant(micro) : refuse();
    case kinds::tokens: {
      const int price = why == retry_cause::throttling ? prices_.throttling_cost
                        : why == retry_cause::timeout  ? prices_.timeout_cost
                                                       : prices_.cost;
      return take(price) ? grant(price) : refuse();
    }
    case kinds::throttle:
      return detail::throttle_word::unpack(word_.load(std::memory_order_acquire)).allows() ? grant(0) : refuse();
    case kinds::in_flight: {
      std::uint64_t seen = word_.load(std::memory_order_relaxed);
      do {
        if ((seen & 0xffffffffU) >= slots(seen >> half)) return refuse();
      } while (!word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_relaxed));
      return grant(1);
    }
  }
  return {};
}

inline void budget::undo(std::int64_t amount, bool sent) noexcept {
  if (kind_ == kinds::in_flight) word_.fetch_sub(1, std::memory_order_acq_rel);
  if (sent) return;
  returned_.fetch_add(1, std::memory_order_relaxed);
  if (kind_ == kinds::ratio) window_.untake(amount);
  if (kind_ == kinds::tokens) put(amount);
}

inline bool budget::failed() noexcept {
  if (kind_ != kinds::throttle) return true;
  std::uint64_t seen = word_.load(std::memory_order_relaxed);
  for (;;) {
    detail::throttle_word w = detail::throttle_word::unpack(seen);
    w.tokens = w.tokens > 1000 ? w.tokens - 1000 : 0;
    if (word_.compare_exchange_weak(seen, w.pack(), std::memory_order_acq_rel, std::memory_order_relaxed))
      return w.allows();
  }
}

inline budget::reservation budget::failed_then_reserve(time_point now, retry_cause why) noexcept {
  if (kind_ != kinds::throttle) return reserve(now, why);
  return failed() ? grant(0) : refuse();  // decided by the very swap that counted the failure
}

inline void budget::succeeded(std::int64_t last_cost) noexcept {
  if (kind_ == kinds::tokens) {
    put(last_cost > 0 ? last_cost : last_cost == 0 ? prices_.first_try : 0);
  } else if (kind_ == kinds::throttle) {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    for (;;) {
      detail::throttle_word w = detail::throttle_word::unpack(seen);
      if (w.tokens == w.max) return;
      w.tokens = w.tokens + w.ratio < w.max ? w.tokens + w.ratio : w.max;
      if (word_.compare_exchange_weak(seen, w.pack(), std::memory_order_acq_rel, std::memory_order_relaxed)) return;
    }
  }
}

inline double budget::balance(time_point now) noexcept {
  switch (kind_) {
    case kinds::ratio: return static_cast<double>(window_.balance(now)) / static_cast<double>(micro);
    case kinds::tokens: return static_cast<double>(quota_.load(std::memory_order_acquire));
    case kinds::throttle:
      return static_cast<double>(detail::throttle_word::unpack(word_.load(std::memory_order_acquire)).tokens) / 1000;
    case kinds::in_flight: {
      const std::uint64_t w = word_.load(std::memory_order_acquire);
      const std::uint64_t all = slots(w >> half);
      const std::uint64_t used = w & 0xffffffffU;
      return all > used ? static_cast<double>(all - used) : 0;
    }
  }
  return 0;
}

inline void budget::replace(const budgets::throttle& t) {
  if (kind_ != kinds::throttle)
    throw std::logic_error{"again::budget::replace: only a throttle can be replaced by a throttle"};
  detail::throttle_word next = detail::throttle_of(t);
  std::uint64_t seen = word_.load(std::memory_order_relaxed);
  do {
    const detail::throttle_word now = detail::throttle_word::unpack(seen);
    next.tokens = next.max * now.tokens / now.max;
  } while (!word_.compare_exchange_weak(seen, next.pack(), std::memory_order_acq_rel, std::memory_order_relaxed));
}

}  // namespace AGAIN_ABI
}  // namespace again
