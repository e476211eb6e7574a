// SPDX-License-Identifier: MIT
/// \file
/// `budget`: bounds the sum of the retries (and hedges) of everyone who shares it, so that an outage is not met with a
/// multiple of the usual load.
///
/// ```cpp
/// again::budget shared{again::budgets::ratio{.share = 0.2}};                        // one for each peer, for all its callers
/// auto quote = co_await again::retry(polite, api.get("/quote")).budget(shared);     // stop_reason::budget_exhausted when it is spent
/// ```
///
/// | kind | a retry is allowed while | under total outage, 10 000 requests of 3 attempts | from |
/// |---|---|---|---|
/// | `ratio` | share × first attempts of the window + floor are not used up | 1.21 sends per request | Finagle `RetryBudget`, tower `TpsBudget` |
/// | `tokens` | the bucket covers the cost, which depends on the cause | 1.0035 (v2.1), 1.01 (v2.0) | AWS SDKs, standard mode |
/// | `throttle` | more than half of the tokens are left; each failure takes one, whoever retries | 1.0003 (10 / 0.1) | gRPC A6, userver |
/// | `in_flight` | the retries in flight are fewer than share × calls in flight | depends on concurrency | Envoy `retry_budget` |
/// | `cumulative` | share × all first attempts so far are not used up | 1.10 | Google SRE book, chapter 21 |
///
/// - A withdrawal is one compare-and-swap: two callers never spend the same token. Time is passed in; no clock is read.
/// - One layer of a call holds the budget: two that share it count the call's first attempt twice. A repeated attempt of an
///   outer retry is nobody's first attempt and deposits nothing.
/// - What is withdrawn is a `reservation`: given back if the retry is not sent after all (cancelled wait, open breaker).
/// - Threads: all members from any thread. Lifetime: outlives everyone who uses it; neither copied nor moved.
/// - Cost: no allocation; one or two uncontended atomic operations for each call and each retry.
#pragma once

#include <again/core/clock.hpp>
#include <again/policy/verdict.hpp>
#include <again/protection/detail/windowed_tokens.hpp>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// What made a retry necessary, as far as its price depends on it.
enum class retry_cause : std::uint8_t { transient, timeout, throttling };

/// Throttling: HTTP 429, or the peer told how long to wait. Timeout: our own bound cut the attempt short.
constexpr retry_cause cause_of(const verdict& v, bool timed_out) noexcept {
  if (v.code == 429 || v.server_delay >= duration::zero()) return retry_cause::throttling;
  return timed_out ? retry_cause::timeout : retry_cause::transient;
}

/// The kinds. All throw `std::invalid_argument` from the budget's constructor if they make no sense.
namespace budgets {

/// `share` of the first attempts of the last `window` (each counts for at least 0.9 of it), and `floor_per_second` besides,
/// so that a caller with little traffic may retry at all.
struct ratio {
  double share = 0.2;
  double floor_per_second = 10;
  duration window = std::chrono::seconds{10};
};
/// A bucket that is full at first. A success after retries returns what the last of them cost; a first-try success puts
/// `first_try` in. The default is AWS v2.1.
struct tokens {
  int capacity = 500;
  int cost = 14;
  int throttling_cost = 5;
  int timeout_cost = 14;
  int first_try = 1;
};
inline constexpr tokens aws_v2_1{};
inline constexpr tokens aws_v2_0{.capacity = 500, .cost = 5, .throttling_cost = 5, .timeout_cost = 10, .first_try = 1};
/// Every transient failure takes a token, every success puts `ratio` in; retries while more than half of `max` is left.
/// Kept in thousandths, as gRPC does; `max` and `ratio` are at most 2000.
struct throttle {
  double max = 100;
  double ratio = 0.1;
};
/// Retries in flight (waiting or sent) below `share` of the calls in flight, or below `floor`.
struct in_flight {
  double share = 0.2;
  int floor = 3;
};
/// `share` of all first attempts ever made. What is not used is kept: a long quiet time allows a long storm.
struct cumulative {
  double share = 0.1;
};

}  // namespace budgets

class budget {
 public:
  explicit budget(const budgets::ratio& r);
  explicit budget(const budgets::tokens& t);
  explicit budget(const budgets::throttle& t);
  explicit budget(const budgets::in_flight& f);
  explicit budget(const budgets::cumulative& c);
  budget(const budget&) = delete;
  budget& operator=(const budget&) = delete;
  ~budget() = default;

  class call;

  /// A retry that may be sent. Given back by the destructor unless `sent`; the slot of an `in_flight` budget is given back
  /// in any case, when the retry has ended.
  class [[nodiscard]] reservation {
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
    /// The retry goes out: the tokens are spent.
    void sent() noexcept { sent_ = true; }
    /// What it cost, in the budget's own units.
    std::int64_t amount() const noexcept { return from_ != nullptr ? amount_ : 0; }
    void give_back() noexcept {
      if (budget* const b = std::exchange(from_, nullptr)) b->undo(amount_, sent_);
    }

   private:
    friend class budget;
    reservation(budget& from, std::int64_t amount) noexcept : from_{&from}, amount_{amount} {}
    budget* from_ = nullptr;
    std::int64_t amount_ = 0;
    bool sent_ = false;
  };

  /// A first attempt is made. Every call to the peer says so, whether it could be retried or not.
  void first_attempt(time_point now) noexcept;
  /// Takes the price of one retry, or nothing.
  reservation reserve(time_point now, retry_cause why = retry_cause::transient) noexcept;
  /// An attempt has failed for a transient reason, and no retry is wanted. Only `throttle` minds: would it have allowed one?
  bool failed() noexcept;
  /// The same, and takes the price of a retry, or nothing.
  reservation failed_then_reserve(time_point now, retry_cause why = retry_cause::transient) noexcept;
  /// A call has succeeded; `last_cost`: the amount of its last reservation, 0 if the first attempt did it, negative if that was
  /// none: the call is a repeated attempt of another one.
  void succeeded(std::int64_t last_cost) noexcept;
  /// A call that made a first attempt has ended (only `in_flight` minds).
  void ended() noexcept;

  /// How many retries it would allow now if none ended, failed or succeeded: whole tokens of a `ratio`, the quota of `tokens`,
  /// tokens of a `throttle`, free slots of `in_flight`. A snapshot.
  double balance(time_point now) noexcept;
  /// Retries allowed, refused, and given back unsent, since it was made.
  std::uint64_t granted() const noexcept { return granted_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }
  std::uint64_t returned() const noexcept { return returned_.load(std::memory_order_relaxed); }

  /// Other limits for a `throttle`; the share of tokens that is left stays (gRPC A6). Throws `std::logic_error` for other kinds.
  void replace(const budgets::throttle& t);

 private:
  enum class kinds : std::uint8_t { ratio, tokens, throttle, in_flight };
  static constexpr std::int64_t micro = 1'000'000;  // of a token: `ratio` counts in these
  static constexpr std::uint64_t half = 32;  // in_flight: calls in the upper half of the word, retries in the lower

  void undo(std::int64_t amount, bool sent) noexcept;
  reservation grant(std::int64_t amount) noexcept {
    granted_.fetch_add(1, std::memory_order_relaxed);
    return reservation{*this, amount};
  }
  reservation refuse() noexcept {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return {};
  }
  bool take(std::int64_t amount) noexcept;
  void put(std::int64_t amount) noexcept;
  std::uint64_t slots(std::uint64_t calls) const noexcept;

  kinds kind_;
  std::int64_t deposit_ = 0;            // ratio: micro-tokens for each first attempt; in_flight: millionths
  budgets::tokens prices_{};            // tokens
  std::uint64_t floor_ = 0;             // in_flight
  detail::windowed_tokens window_;      // ratio
  std::atomic<std::int64_t> quota_{0};  // tokens
  std::atomic<std::uint64_t> word_{0};  // throttle, in_flight
  std::atomic<std::uint64_t> granted_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<std::uint64_t> returned_{0};
};

/// One call's dealings with a budget: what `retry` and `hedge` hold. One thread at a time. The destructor gives back what was
/// reserved and not sent.
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
  /// An attempt has failed; `again`: a retry is wanted. True: it may be made, and is reserved.
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

}  // namespace AGAIN_ABI
}  // namespace again

#include <again/protection/detail/budget_kinds.hpp>
