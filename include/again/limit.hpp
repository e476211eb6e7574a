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
///   slot. Cost: an uncontended mutex twice; no allocation.
#pragma once

#include <again/detail/admission_run.hpp>
#include <again/detail/misuse.hpp>

#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again::inline AGAIN_ABI {

struct limits {
  int in_flight = 64;  ///< slots
  int queue = 64;      ///< waiters; 0: nobody waits
};

namespace detail {
class limit_ticket;
}

class limiter {
 public:
  limiter() : limiter{limits{}} {}
  /// Throws `std::invalid_argument` if there is no slot, or the queue is negative.
  explicit limiter(const limits& l) : limits_{l} {
    if (l.in_flight < 1) throw std::invalid_argument{"again::limits: in_flight must be at least 1"};
    if (l.queue < 0) throw std::invalid_argument{"again::limits: queue must not be negative"};
  }
  limiter(const limiter&) = delete;
  limiter& operator=(const limiter&) = delete;
  ~limiter() = default;

  int in_flight() const noexcept {
    const std::lock_guard lock{mutex_};
    return running_;
  }
  int queued() const noexcept {
    const std::lock_guard lock{mutex_};
    return waiting_;
  }
  /// Calls refused as overloaded.
  std::uint64_t refused() const noexcept {
    const std::lock_guard lock{mutex_};
    return refused_;
  }

 private:
  friend class detail::limit_ticket;
  limits limits_;
  mutable std::mutex mutex_;  // guards all below, and every ticket's place
  int running_ = 0;
  int waiting_ = 0;
  std::uint64_t refused_ = 0;
  detail::limit_ticket* first_ = nullptr;
  detail::limit_ticket* last_ = nullptr;
};

namespace detail {

class limit_ticket {
 public:
  explicit limit_ticket(limiter& shared) noexcept : shared_{shared} {}
  limit_ticket(const limit_ticket&) = delete;
  limit_ticket& operator=(const limit_ticket&) = delete;
  ~limit_ticket() { withdraw(); }

  admission ask(time_point, scheduler& home, work& granted) noexcept {
    const std::lock_guard lock{shared_.mutex_};
    if (shared_.running_ < shared_.limits_.in_flight) {
      ++shared_.running_;
      place_ = places::slot;
      return {};
    }
    if (shared_.waiting_ >= shared_.limits_.queue) {
      ++shared_.refused_;
      return {.answer = admission::answers::refused, .reason = stop_reason::overloaded};
    }
    home_ = &home;
    granted_ = &granted;
    previous_ = shared_.last_;
    (previous_ != nullptr ? previous_->next_ : shared_.first_) = this;
    shared_.last_ = this;
    ++shared_.waiting_;
    place_ = places::queue;
    return {.answer = admission::answers::queued};
  }
  // Out of the queue, or the slot goes to the next in it.
  void withdraw() noexcept {
    if (given_back_) return;
    const std::lock_guard lock{shared_.mutex_};
    given_back_ = true;
    if (place_ == places::queue) unhook();
    if (place_ == places::slot) pass_on();
    place_ = places::nowhere;
  }
  void ended(time_point, const verdict*, bool) noexcept { withdraw(); }

 private:
  enum class places : std::uint8_t { nowhere, queue, slot };

  void unhook() noexcept {
    (previous_ != nullptr ? previous_->next_ : shared_.first_) = next_;
    (next_ != nullptr ? next_->previous_ : shared_.last_) = previous_;
    next_ = previous_ = nullptr;
    --shared_.waiting_;
  }
  void pass_on() noexcept {
    limit_ticket* const next = shared_.first_;
    if (next == nullptr) {
      --shared_.running_;
      return;
    }
    next->unhook();
    next->place_ = places::slot;
    next->home_->post(*next->granted_);  // under the lock: it cannot go away before it is posted
  }

  limiter& shared_;
  scheduler* home_ = nullptr;
  work* granted_ = nullptr;
  limit_ticket* next_ = nullptr;
  limit_ticket* previous_ = nullptr;
  places place_ = places::nowhere;  // guarded by the limiter's mutex
  bool given_back_ = false;         // the owner's thread only
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

}  // namespace again::inline AGAIN_ABI
