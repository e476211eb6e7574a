// SPDX-License-Identifier: MIT
/// \file
/// `budget`, a retry budget: bounds the sum of the retries (and hedges) of all callers that share it, so that an outage is not
/// met with a multiple of the usual load.
///
/// ```cpp
/// again::budget shared{again::budgets::ratio{.share = 0.2}};                        // one for each peer, shared by all its callers
/// auto quote = co_await again::retry(polite, api.get("/quote")).budget(shared);     // stop_reason::budget_exhausted when it is spent
/// ```
///
/// | kind | a retry is allowed while | under total outage, 10 000 requests of 3 attempts | from |
/// |---|---|---|---|
/// | `ratio` | share × first attempts of the window + floor are not used up | 1.21 sends per request | Finagle `RetryBudget`, tower `TpsBudget` |
/// | `tokens` | the bucket covers the cost, which depends on the cause | 1.0035 (v2.1), 1.01 (v2.0) | AWS SDKs, standard mode |
/// | `throttle` | more than half of the tokens are left; each failure takes one, retried or not | 1.0003 (10 / 0.1) | gRPC A6, userver |
/// | `in_flight` | the retries in flight are fewer than share × calls in flight | depends on concurrency | Envoy `retry_budget` |
/// | `cumulative` | share × all first attempts so far are not used up | 1.10 | Google SRE book, chapter 21 |
///
/// - A withdrawal is one compare-and-swap: two callers never spend the same token. Time is passed in; no clock is read.
/// - Attach the budget to one layer of a call: two layers that share it count the call's first attempt twice. A repeated
///   attempt of an outer retry is not a first attempt, and deposits nothing.
/// - A withdrawal is a `reservation`. It is given back if the retry is not sent (cancelled wait, open breaker).
/// - Threads: all members from any thread. Lifetime: outlives all its users; neither copied nor moved.
/// - Cost: no allocation; one or two uncontended atomic operations for each call and each retry.
#pragma once

#include <again/core/clock.hpp>
#include <again/policy/verdict.hpp>
#include <again/protection/budgets.hpp>
#include <again/protection/detail/budget_meter.hpp>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// A retry budget, shared by all callers of one peer.
class budget {
 public:
  /// Throws `std::invalid_argument` for settings that make no sense.
  explicit budget(const budgets::ratio& r) : meter_{checked(r)} {}
  explicit budget(const budgets::tokens& t) : meter_{checked(t)} {}
  explicit budget(const budgets::throttle& t) : meter_{checked(t)} {}
  explicit budget(const budgets::in_flight& f) : meter_{checked(f)} {}
  explicit budget(const budgets::cumulative& c) : meter_{checked(c)} {}
  budget(const budget&) = delete;
  budget& operator=(const budget&) = delete;
  ~budget() = default;

  class reservation;
  class call;

  /// Reports a first attempt. Call it for every call to the peer, also for those that are never retried.
  void first_attempt(time_point now) noexcept { meter_.first_attempt(now); }
  /// Withdraws the price of one retry. The reservation is empty if the budget does not allow one.
  reservation reserve(time_point now, retry_cause why = retry_cause::transient) noexcept;
  /// Reports a transient failure that is not retried. Only a `throttle` counts it. Returns whether a retry would be allowed.
  bool failed() noexcept { return meter_.failed(); }
  /// Reports a transient failure, and reserves a retry if the budget allows one.
  reservation failed_then_reserve(time_point now, retry_cause why = retry_cause::transient) noexcept;
  /// Reports the success of a call. `last_cost` is the cost of its last reservation, 0 if the first attempt succeeded, and
  /// negative if the call is a repeated attempt of an outer one, which has no first attempt.
  void succeeded(std::int64_t last_cost) noexcept { meter_.succeeded(last_cost); }
  /// Reports the end of a call that had reported a first attempt. Only `in_flight` counts it.
  void ended() noexcept { meter_.call_ended(); }

  /// A snapshot of what is left: whole tokens of a `ratio`, the quota of `tokens`, the tokens of a `throttle`, the free slots
  /// of `in_flight`.
  double balance(time_point now) noexcept { return meter_.balance(now); }
  /// The number of retries allowed, refused, and given back unsent, since construction.
  std::uint64_t granted() const noexcept { return granted_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }
  std::uint64_t returned() const noexcept { return returned_.load(std::memory_order_relaxed); }

  /// Changes the limits of a `throttle`. The share of tokens that is left stays the same (gRPC A6). Throws
  /// `std::logic_error` for other kinds, and `std::invalid_argument` for impossible settings.
  void replace(const budgets::throttle& t);

 private:
  template <class Kind> static const Kind& checked(const Kind& settings) {
    if (const char* const wrong = complaint(settings)) throw std::invalid_argument{wrong};
    return settings;
  }
  reservation reserved(const detail::retry_price& price) noexcept;
  void retry_ended(std::int64_t price, bool sent) noexcept {
    if (!sent) returned_.fetch_add(1, std::memory_order_relaxed);
    meter_.retry_ended(price, sent);
  }

  detail::budget_meter meter_;
  std::atomic<std::uint64_t> granted_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> returned_{0};
};

/// Permission for one retry. The destructor gives it back unless `sent` was called. The slot of an `in_flight` budget is
/// always given back, when the retry has ended.
class [[nodiscard]] budget::reservation {
 public:
  reservation() noexcept = default;
  reservation(reservation&& other) noexcept
      : from_{std::exchange(other.from_, nullptr)}, amount_{other.amount_}, sent_{other.sent_} {}
  reservation& operator=(reservation&& other) noexcept {
    if (this != &other) {
      give_back();
      from_ = std::exchange(other.from_, nullptr);
      amount_ = other.amount_;
      sent_ = other.sent_;
    }
    return *this;
  }
  ~reservation() { give_back(); }

  explicit operator bool() const noexcept { return from_ != nullptr; }
  /// Reports that the retry is sent: its tokens are spent.
  void sent() noexcept { sent_ = true; }
  /// The cost, in the units of the budget's kind.
  std::int64_t amount() const noexcept { return from_ != nullptr ? amount_ : 0; }
  void give_back() noexcept {
    if (budget* const b = std::exchange(from_, nullptr)) b->retry_ended(amount_, sent_);
  }

 private:
  friend class budget;
  reservation(budget& from, std::int64_t amount) noexcept : from_{&from}, amount_{amount} {}
  budget* from_ = nullptr;
  std::int64_t amount_ = 0;
  bool sent_ = false;
};

/// The attempts of one call at a budget: `retry` and `hedge` hold one. One thread at a time. The destructor gives back a
/// reservation that was not sent.
class budget::call {
 public:
  explicit call(budget& shared) noexcept : shared_{shared} {}
  explicit call(budget* shared) noexcept : shared_{*shared} {}
  call(const call&) = delete;
  call& operator=(const call&) = delete;
  ~call() { end(); }

  void first_attempt(time_point now) noexcept {
    begun_ = true;
    last_cost_ = 0;
    shared_.first_attempt(now);
  }
  /// Reports a failed attempt. `again`: a retry is wanted. Returns true if it is allowed; it is then reserved.
  bool failed(time_point now, const verdict& v, bool timed_out, bool again) noexcept {
    held_.give_back();  // an in-flight slot ends with its attempt
    if (again) {
      held_ = shared_.failed_then_reserve(now, cause_of(v, timed_out));
    } else if (v.kind == disposition::transient) {
      shared_.failed();
    }
    return static_cast<bool>(held_);
  }
  bool reserve(time_point now, retry_cause why) noexcept {
    held_ = shared_.reserve(now, why);
    return static_cast<bool>(held_);
  }
  void retry_sent() noexcept {
    if (!held_) return;
    held_.sent();
    last_cost_ = held_.amount();
  }
  void succeeded() noexcept { shared_.succeeded(last_cost_); }
  void end() noexcept {
    held_.give_back();
    if (std::exchange(begun_, false)) shared_.ended();
  }

 private:
  budget& shared_;
  reservation held_;
  std::int64_t last_cost_ = -1;  // neither a first attempt nor a reservation
  bool begun_ = false;
};

inline budget::reservation budget::reserved(const detail::retry_price& price) noexcept {
  (price ? granted_ : refused_).fetch_add(1, std::memory_order_relaxed);
  return price ? reservation{*this, *price} : reservation{};
}
inline budget::reservation budget::reserve(time_point now, retry_cause why) noexcept {
  return reserved(meter_.take(now, why));
}
inline budget::reservation budget::failed_then_reserve(time_point now, retry_cause why) noexcept {
  return reserved(meter_.failed_then_take(now, why));
}
inline void budget::replace(const budgets::throttle& t) {
  detail::throttle_meter* const meter = meter_.throttle();
  if (meter == nullptr) throw std::logic_error{"again::budget::replace: only a throttle can be replaced by a throttle"};
  meter->replace(checked(t));
}

}  // namespace AGAIN_ABI
}  // namespace again
