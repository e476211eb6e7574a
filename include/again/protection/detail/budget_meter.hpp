// SPDX-License-Identifier: MIT
/// \file
/// The arithmetic of each kind of budget. It knows prices and times, neither `budget` nor `budget::reservation`.
///
/// One class for each kind. Its members are the events that `budget` passes on:
/// - `first_attempt(now)`: a call begins; `call_ended()`: it has ended.
/// - `take(now, why)`: takes the price of one retry and returns it; nothing if no retry is allowed.
/// - `retry_ended(price, sent)`: a retry whose price was taken has ended, or is not sent after all.
/// - `failed()`: an attempt has failed for a transient reason. Would a retry be allowed?
/// - `succeeded(last_price)`: see `budget::succeeded`.
/// - `balance(now)`: see `budget::balance`.
///
/// Threads: all members from any thread. What a kind counts is one atomic word, which each event changes by one
/// compare-and-swap; `windowed_tokens` says how it does so for `ratio`.
#pragma once

#include <again/core/clock.hpp>
#include <again/protection/budgets.hpp>
#include <again/protection/detail/windowed_tokens.hpp>

#include <atomic>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

constexpr std::int64_t nearest(double x) noexcept { return static_cast<std::int64_t>(x + 0.5); }  // x is not negative

using retry_price = std::optional<std::int64_t>;

/// Does nothing at the events that a kind does not count.
struct budget_kind {
  void first_attempt(time_point) const noexcept {}
  void call_ended() const noexcept {}
  void retry_ended(std::int64_t, bool) const noexcept {}
  static bool failed() noexcept { return true; }
  void succeeded(std::int64_t) const noexcept {}
};

/// `ratio` and `cumulative`: a retry costs a token, a first attempt puts a share of one in. Counted in millionths of a token.
class ratio_meter : public budget_kind {
 public:
  explicit ratio_meter(const budgets::ratio& r) noexcept
      : deposit_{nearest(r.share * micro)},
        window_{nearest(r.floor_per_second * std::chrono::duration<double>(r.window).count()) * micro, r.window} {}
  explicit ratio_meter(const budgets::cumulative& c) noexcept
      : deposit_{nearest(c.share * micro)}, window_{0, forever} {}

  void first_attempt(time_point now) noexcept { window_.put(now, deposit_); }
  retry_price take(time_point now, retry_cause) noexcept {
    return window_.take(now, micro) ? retry_price{micro} : std::nullopt;
  }
  void retry_ended(std::int64_t price, bool sent) noexcept {
    if (!sent) window_.untake(price);
  }
  double balance(time_point now) noexcept { return static_cast<double>(window_.balance(now)) / micro; }

 private:
  static constexpr std::int64_t micro = 1'000'000;
  std::int64_t deposit_;
  windowed_tokens window_;
};

class token_meter : public budget_kind {
 public:
  explicit token_meter(const budgets::tokens& t) noexcept : prices_{t}, quota_{t.capacity} {}

  retry_price take(time_point, retry_cause why) noexcept {
    const std::int64_t price = price_of(why);
    std::int64_t seen = quota_.load(std::memory_order_relaxed);
    do {
      if (seen < price) return std::nullopt;
    } while (!quota_.compare_exchange_weak(seen, seen - price, std::memory_order_acq_rel, std::memory_order_relaxed));
    return price;
  }
  void retry_ended(std::int64_t price, bool sent) noexcept {
    if (!sent) put(price);
  }
  void succeeded(std::int64_t last_price) noexcept {
    put(last_price > 0 ? last_price : last_price == 0 ? prices_.first_try : 0);
  }
  double balance(time_point) const noexcept { return static_cast<double>(quota_.load(std::memory_order_acquire)); }

 private:
  std::int64_t price_of(retry_cause why) const noexcept {
    switch (why) {
      case retry_cause::throttling: return prices_.throttling_cost;
      case retry_cause::timeout: return prices_.timeout_cost;
      case retry_cause::transient: break;
    }
    return prices_.cost;
  }
  void put(std::int64_t amount) noexcept {
    std::int64_t seen = quota_.load(std::memory_order_relaxed);
    std::int64_t full = 0;
    do {
      full = seen + amount < prices_.capacity ? seen + amount : prices_.capacity;
      if (full == seen) return;
    } while (!quota_.compare_exchange_weak(seen, full, std::memory_order_acq_rel, std::memory_order_relaxed));
  }
  budgets::tokens prices_;
  std::atomic<std::int64_t> quota_;
};

/// The three numbers of a throttle in one word, in thousandths of a token, 21 bits each: one compare-and-swap sees and
/// changes them together, so that a replacement cannot be torn.
struct throttle_word {
  static constexpr std::uint64_t bits = 21;
  static constexpr std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  std::uint64_t tokens = 0;
  std::uint64_t max = 0;
  std::uint64_t ratio = 0;

  static constexpr throttle_word full(const budgets::throttle& t) noexcept {
    const std::uint64_t max = static_cast<std::uint64_t>(nearest(t.max * 1000));
    return {max, max, static_cast<std::uint64_t>(nearest(t.ratio * 1000))};
  }
  static constexpr throttle_word unpack(std::uint64_t w) noexcept {
    return {w & mask, (w >> bits) & mask, w >> (2 * bits)};
  }
  constexpr std::uint64_t pack() const noexcept { return tokens | (max << bits) | (ratio << (2 * bits)); }
  constexpr bool allows() const noexcept { return tokens > max / 2; }
};

class throttle_meter : public budget_kind {
 public:
  explicit throttle_meter(const budgets::throttle& t) noexcept : word_{throttle_word::full(t).pack()} {}

  retry_price take(time_point, retry_cause) const noexcept { return now_at().allows() ? retry_price{0} : std::nullopt; }
  bool failed() noexcept {
    return change([](throttle_word w) {
             w.tokens = w.tokens > 1000 ? w.tokens - 1000 : 0;
             return w;
           })
        .allows();
  }
  void succeeded(std::int64_t) noexcept {
    change([](throttle_word w) {
      w.tokens = w.tokens + w.ratio < w.max ? w.tokens + w.ratio : w.max;
      return w;
    });
  }
  /// The share of tokens that is left stays (gRPC A6).
  void replace(const budgets::throttle& t) noexcept {
    change([next = throttle_word::full(t)](const throttle_word& w) mutable {
      next.tokens = next.max * w.tokens / w.max;
      return next;
    });
  }
  double balance(time_point) const noexcept { return static_cast<double>(now_at().tokens) / 1000; }

 private:
  throttle_word now_at() const noexcept { return throttle_word::unpack(word_.load(std::memory_order_acquire)); }
  // Applies `to` and returns the new value. An unchanged value is not written.
  template <class To> throttle_word change(To to) noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    for (;;) {
      const throttle_word next = to(throttle_word::unpack(seen));
      const std::uint64_t packed = next.pack();
      if (packed == seen ||
          word_.compare_exchange_weak(seen, packed, std::memory_order_acq_rel, std::memory_order_relaxed))
        return next;
    }
  }
  std::atomic<std::uint64_t> word_;
};

/// Calls in flight in the upper half of one word, retries in flight in the lower.
class in_flight_meter : public budget_kind {
 public:
  explicit in_flight_meter(const budgets::in_flight& f) noexcept
      : share_{static_cast<std::uint64_t>(nearest(f.share * micro))}, floor_{static_cast<std::uint64_t>(f.floor)} {}

  void first_attempt(time_point) noexcept { word_.fetch_add(one_call, std::memory_order_acq_rel); }
  void call_ended() noexcept { word_.fetch_sub(one_call, std::memory_order_acq_rel); }
  retry_price take(time_point, retry_cause) noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    do {
      if (seen % one_call >= slots(seen / one_call)) return std::nullopt;
    } while (!word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_relaxed));
    return 1;
  }
  void retry_ended(std::int64_t, bool) noexcept { word_.fetch_sub(1, std::memory_order_acq_rel); }
  double balance(time_point) const noexcept {
    const std::uint64_t w = word_.load(std::memory_order_acquire);
    const std::uint64_t all = slots(w / one_call);
    const std::uint64_t used = w % one_call;
    return all > used ? static_cast<double>(all - used) : 0;
  }

 private:
  static constexpr std::uint64_t micro = 1'000'000;
  static constexpr std::uint64_t one_call = std::uint64_t{1} << 32;
  std::uint64_t slots(std::uint64_t calls) const noexcept {
    const std::uint64_t share = calls * share_ / micro;
    return share > floor_ ? share : floor_;
  }
  std::uint64_t share_;  // in millionths
  std::uint64_t floor_;
  std::atomic<std::uint64_t> word_{0};
};

/// The kind that a budget was made with.
class budget_meter {
  template <class Event> auto visit(Event event) noexcept { return std::visit(event, kind_); }

 public:
  explicit budget_meter(const budgets::ratio& r) noexcept : kind_{std::in_place_type<ratio_meter>, r} {}
  explicit budget_meter(const budgets::cumulative& c) noexcept : kind_{std::in_place_type<ratio_meter>, c} {}
  explicit budget_meter(const budgets::tokens& t) noexcept : kind_{std::in_place_type<token_meter>, t} {}
  explicit budget_meter(const budgets::throttle& t) noexcept : kind_{std::in_place_type<throttle_meter>, t} {}
  explicit budget_meter(const budgets::in_flight& f) noexcept : kind_{std::in_place_type<in_flight_meter>, f} {}

  void first_attempt(time_point now) noexcept {
    visit([=](auto& kind) { kind.first_attempt(now); });
  }
  void call_ended() noexcept {
    visit([](auto& kind) { kind.call_ended(); });
  }
  retry_price take(time_point now, retry_cause why) noexcept {
    return visit([=](auto& kind) { return kind.take(now, why); });
  }
  /// `failed`, then `take`. A throttle decides by the very swap that counts the failure.
  retry_price failed_then_take(time_point now, retry_cause why) noexcept {
    return visit([=](auto& kind) {
      if constexpr (std::is_same_v<decltype(kind), throttle_meter&>) {
        return kind.failed() ? retry_price{0} : std::nullopt;
      } else {
        return kind.take(now, why);
      }
    });
  }
  void retry_ended(std::int64_t price, bool sent) noexcept {
    visit([=](auto& kind) { kind.retry_ended(price, sent); });
  }
  bool failed() noexcept {
    return visit([](auto& kind) { return kind.failed(); });
  }
  void succeeded(std::int64_t last_price) noexcept {
    visit([=](auto& kind) { kind.succeeded(last_price); });
  }
  double balance(time_point now) noexcept {
    return visit([=](auto& kind) { return kind.balance(now); });
  }
  /// Null where it is of another kind.
  throttle_meter* throttle() noexcept { return std::get_if<throttle_meter>(&kind_); }

 private:
  std::variant<ratio_meter, token_meter, throttle_meter, in_flight_meter> kind_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
