// SPDX-License-Identifier: MIT
/// \file
/// `adaptive_rate`: a rate that learns from throttling responses. AWS SDKs' adaptive retry mode: CUBIC (RFC 9438), with a token
/// bucket that is idle until the first throttled response.
///
/// ```cpp
/// again::adaptive_rate learned;
/// auto r = co_await again::retry(polite, again::rate(learned, api.get("/items")));
/// ```
///
/// - A throttled response (`cause_of`: HTTP 429, or the peer told how long to wait) sets the rate to 0.7 of what was sent; every
///   other outcome lets it grow along w(t) = 0.4·(t − k)³ + w_max, at most to twice the measured rate. Never below 0.5 a second.
/// - Use one `adaptive_rate` for each peer and account, shared by all callers: a peer throttles the sum of their requests.
/// - Time is passed in. Threads: any. Lifetime: outlives its users. Cost: the clock and an
///   uncontended mutex, twice each; no allocation.
#pragma once

#include <again/protection/budgets.hpp>
#include <again/protection/rate.hpp>

#include <cstdint>
#include <limits>
#include <mutex>

namespace again {
inline namespace AGAIN_ABI {

/// The curve: from the rate at the last throttling back up to it, and beyond. Times in seconds. (botocore's CubicCalculator.)
class cubic_rate {
 public:
  static constexpr double beta = 0.7;
  static constexpr double scale = 0.4;

  constexpr explicit cubic_rate(double w_max, double now = 0) noexcept
      : w_max_{w_max}, k_{zero_point(w_max)}, last_throttled_{now} {}

  /// The rate at `now`, if nothing is throttled until then.
  constexpr double at(double now) const noexcept {
    const double t = now - last_throttled_ - k_;
    return scale * t * t * t + w_max_;
  }
  /// The new rate after a throttled response, while sending at `rate`.
  constexpr double throttled(double rate, double now) noexcept {
    w_max_ = rate;
    k_ = zero_point(rate);
    last_throttled_ = now;
    return rate * beta;
  }
  constexpr double k() const noexcept { return k_; }

 private:
  // The cube root of w·(1−β)/scale.
  static constexpr double zero_point(double w) noexcept {
    const double x = w * (1 - beta) / scale;
    if (!(x > 0)) return 0;
    double root = x > 1 ? x : 1;
    for (int i = 0; i < 200; ++i) {
      const double next = (2 * root + x / (root * root)) / 3;
      if (next >= root) break;  // Newton's method falls until rounding stops it
      root = next;
    }
    return root;
  }
  double w_max_;
  double k_;
  double last_throttled_;
};

class adaptive_rate {
 public:
  /// A turn that would come later than `longest_wait` from now is refused as overloaded.
  explicit adaptive_rate(duration_with_unit longest_wait = std::chrono::seconds{20}) noexcept
      : longest_wait_{longest_wait} {}
  adaptive_rate(const adaptive_rate&) = delete;
  adaptive_rate& operator=(const adaptive_rate&) = delete;
  ~adaptive_rate() = default;

  /// Takes the next turn and returns its time. Returns `never`, and takes none, if the turn would be later than `longest_wait`.
  time_point turn(time_point now) noexcept {
    const std::lock_guard lock{mutex_};
    if (!enabled_) return now;
    refill(now);
    if (tokens_ >= 1) {
      --tokens_;
      return last_turn_ = now;
    }
    const duration wait = saturating_scale(std::chrono::seconds{1}, (1 - tokens_) / rate_);
    if (wait > longest_wait_) {
      ++refused_;
      return never;
    }
    --tokens_;  // may be negative: later callers wait longer
    return last_turn_ = saturating_add(now, wait);
  }
  /// Returns the turn at `at` unused. The next caller gets it if it was the last turn given; else it is lost.
  void give_back(time_point at) noexcept {
    const std::lock_guard lock{mutex_};
    if (!enabled_ || at != last_turn_) return;
    ++tokens_;
    last_turn_ = never;
  }
  /// A send has ended: `failed` is its error's verdict, null after a success.
  void outcome(time_point now, const verdict* failed) noexcept {
    const std::lock_guard lock{mutex_};
    const double measured = measure(seconds(now));
    double next = 0;
    if (failed != nullptr && cause_of(*failed, false) == retry_cause::throttling) {
      next = curve_.throttled(enabled_ && rate_ < measured ? rate_ : measured, seconds(now));
      if (!enabled_) refilled_ = now;
      enabled_ = true;
    } else {
      next = curve_.at(seconds(now));
    }
    const double most = 2 * measured;
    set_rate(next < most ? next : most, now);
  }

  /// The allowed sends per second; infinite until the first throttled response.
  double rate() const noexcept {
    const std::lock_guard lock{mutex_};
    return enabled_ ? rate_ : std::numeric_limits<double>::infinity();
  }
  /// The measured sends per second, smoothed over slots of half a second.
  double measured() const noexcept {
    const std::lock_guard lock{mutex_};
    return measured_;
  }
  std::uint64_t refused() const noexcept {
    const std::lock_guard lock{mutex_};
    return refused_;
  }

 private:
  static constexpr double least = 0.5;
  static constexpr double smooth = 0.8;

  static double seconds(time_point t) noexcept { return std::chrono::duration<double>(t.time_since_epoch()).count(); }
  double measure(double now) noexcept {
    const double slot = static_cast<double>(static_cast<std::int64_t>(now * 2)) / 2;
    if (last_slot_ < 0) last_slot_ = slot;
    ++count_;
    if (slot > last_slot_) {
      measured_ = count_ / (slot - last_slot_) * smooth + measured_ * (1 - smooth);
      count_ = 0;
      last_slot_ = slot;
    }
    return measured_;
  }
  void refill(time_point now) noexcept {
    if (now <= refilled_) return;
    tokens_ += rate_ * std::chrono::duration<double>(now - refilled_).count();
    const double most = rate_ > 1 ? rate_ : 1;
    if (tokens_ > most) tokens_ = most;
    refilled_ = now;
  }
  void set_rate(double r, time_point now) noexcept {
    if (enabled_) refill(now);
    rate_ = r > least ? r : least;
    const double most = rate_ > 1 ? rate_ : 1;
    if (tokens_ > most) tokens_ = most;
  }

  duration longest_wait_;
  mutable std::mutex mutex_;  // guards all below
  bool enabled_ = false;
  cubic_rate curve_{0};
  double rate_ = least;
  double tokens_ = 0;
  time_point refilled_{};
  time_point last_turn_ = never;
  double measured_ = 0;
  double count_ = 0;
  double last_slot_ = -1;
  std::uint64_t refused_ = 0;
};

}  // namespace AGAIN_ABI
}  // namespace again
