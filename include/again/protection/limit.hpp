// SPDX-License-Identifier: MIT
/// \file
/// `limit(limiter, operation)`: bounds how many run at once, and how many wait for that (a bulkhead).
///
/// ```cpp
/// again::limiter quotes{{.in_flight = 16, .queue = 64}};
/// auto quote = co_await again::limit(quotes, again::retry(polite, api.get("/quote")));
/// ```
///
/// - Result: `expected<T, failure<E>>`; `stop_reason::overloaded` with no error when no slot is free and the queue is full.
/// - Waiters get their slots in the order of their coming. A stop request takes a waiter out of the queue at once
///   (`cancelled_before_start`, or `deadline_reached`): nothing was sent.
/// - Around a retry it counts calls and keeps the slot through their waits; inside one it counts sends.
/// - Threads: one limiter may serve several loops; a slot freed on one thread wakes a waiter on its own.
/// - Lifetime: the limiter outlives its users. Destroying a waiting coroutine takes it out of the queue, a running one frees its
///   slot. Cost: two uncontended atomic operations, and no clock, where a slot is free; a mutex where one has to be waited for;
///   no allocation. `elapsed()` of what was not waited for counts from when the loop last woke up, unless there is a deadline.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/protection/detail/admission_run.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

struct concurrency_limits {
  int in_flight = 64;  ///< slots
  int queue = 64;      ///< waiters; 0: nobody waits
};

namespace detail {
class limit_ticket;
}

class limiter {
 public:
  limiter() : limiter{concurrency_limits{}} {}
  /// Throws `std::invalid_argument` if there is no slot, or the queue is negative.
  explicit limiter(const concurrency_limits& l) : limits_{l} {
    if (l.in_flight < 1) throw std::invalid_argument{"again::concurrency_limits: in_flight must be at least 1"};
    if (l.queue < 0) throw std::invalid_argument{"again::concurrency_limits: queue must not be negative"};
  }
  limiter(const limiter&) = delete;
  limiter& operator=(const limiter&) = delete;
  ~limiter() = default;

  int in_flight() const noexcept { return static_cast<int>(word_.load(std::memory_order_acquire) & 0xffffffffU); }
  int queued() const noexcept { return static_cast<int>(word_.load(std::memory_order_acquire) / one_waiting); }
  /// Calls refused as overloaded.
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

 private:
  friend class detail::limit_ticket;
  static constexpr std::uint64_t one_waiting = std::uint64_t{1} << 32;

  // A free slot that nobody waits for.
  bool take_free() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (seen < static_cast<std::uint64_t>(limits_.in_flight)) {  // the upper half is zero then
      if (word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_relaxed))
        return true;
    }
    return false;
  }
  // Frees a slot. False: somebody waits for one, or will when the mutex is free.
  bool set_free() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (seen < one_waiting) {
      if (word_.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_relaxed))
        return true;
    }
    return false;
  }

  concurrency_limits limits_;
  // Running in the lower half, waiting in the upper. While nobody waits anybody changes it; else only whoever has the mutex,
  // who finds as many tickets in the queue as it says. All slots are taken while somebody waits.
  std::atomic<std::uint64_t> word_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::mutex mutex_;  // guards the queue, and the place of every ticket that was ever in it
  detail::limit_ticket* first_ = nullptr;
  detail::limit_ticket* last_ = nullptr;
};

namespace detail {

class limit_ticket {
 public:
  static constexpr bool timed = false;
  explicit limit_ticket(limiter& shared) noexcept : shared_{shared} {}
  limit_ticket(const limit_ticket&) = delete;
  limit_ticket& operator=(const limit_ticket&) = delete;
  ~limit_ticket() { withdraw(); }

  template <class Waiter> admission ask(time_point, scheduler& home, Waiter&& waiter) noexcept {
    if (!shared_.take_free()) return stand_in_line(home, waiter());
    free_ = true;
    return {};
  }
  // Out of the queue, or the slot goes to the next in it.
  void withdraw() noexcept {
    if (std::exchange(free_, false)) {
      if (!shared_.set_free()) hand_over();
    } else if (queued_) {
      leave_line();
    }
  }
  void ended(lazy_time&, const admission_outcome&) noexcept { withdraw(); }

 private:
  enum class places : std::uint8_t { nowhere, queue, slot };

  // These three out of line: whoever finds a free slot pays nothing for them.
  [[gnu::noinline]] admission stand_in_line(scheduler& home, work& granted) noexcept {
    const std::lock_guard lock{shared_.mutex_};
    for (std::uint64_t seen = 0;;) {
      if (shared_.take_free()) {  // in the meantime
        free_ = true;
        return {};
      }
      seen = shared_.word_.load(std::memory_order_relaxed);
      if (seen < static_cast<std::uint64_t>(shared_.limits_.in_flight)) continue;
      if (seen / limiter::one_waiting >= static_cast<std::uint64_t>(shared_.limits_.queue)) {
        shared_.refused_.fetch_add(1, std::memory_order_relaxed);
        return {.said = admission::state::refused, .reason = stop_reason::overloaded};
      }
      if (shared_.word_.compare_exchange_weak(seen, seen + limiter::one_waiting, std::memory_order_acq_rel,
                                              std::memory_order_relaxed))
        break;
    }
    home_ = &home;
    granted_ = &granted;
    previous_ = shared_.last_;
    (previous_ != nullptr ? previous_->next_ : shared_.first_) = this;
    shared_.last_ = this;
    queued_ = true;
    place_ = places::queue;
    return {.said = admission::state::queued};
  }
  [[gnu::noinline]] void hand_over() noexcept {
    const std::lock_guard lock{shared_.mutex_};
    pass_on();
  }
  [[gnu::noinline]] void leave_line() noexcept {
    const std::lock_guard lock{shared_.mutex_};
    const places from = std::exchange(place_, places::nowhere);
    if (from == places::queue) unhook();
    if (from == places::slot) pass_on();
    queued_ = false;
  }
  // The rest with the mutex.
  void unhook() noexcept {
    (previous_ != nullptr ? previous_->next_ : shared_.first_) = next_;
    (next_ != nullptr ? next_->previous_ : shared_.last_) = previous_;
    next_ = previous_ = nullptr;
    shared_.word_.fetch_sub(limiter::one_waiting, std::memory_order_acq_rel);
  }
  void pass_on() noexcept {
    if (shared_.set_free()) return;
    limit_ticket* const next = shared_.first_;
    next->unhook();
    next->place_ = places::slot;
    next->home_->post(*next->granted_);  // under the lock: it cannot go away before it is posted
  }

  limiter& shared_;
  scheduler* home_ = nullptr;
  work* granted_ = nullptr;
  limit_ticket* next_ = nullptr;
  limit_ticket* previous_ = nullptr;
  places place_ = places::nowhere;  // of one that was queued; guarded by the limiter's mutex
  bool queued_ = false;             // the owner's thread only, as the next
  bool free_ = false;               // has a slot that was free, and so was never queued
};

}  // namespace detail

template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto limit(limiter& shared, Op&& op) {
  return detail::admission_operation<std::decay_t<Op>, limiter, detail::limit_ticket>{shared, std::forward<Op>(op)};
}

// A mistake, told in one sentence.
template <class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto limit(limiter&, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>, 0>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
