// SPDX-License-Identifier: MIT
/// \file
/// `limit(limiter, operation)`, a bulkhead: bounds how many calls run at once, and how many wait for that.
///
/// ```cpp
/// again::limiter quotes{{.in_flight = 16}};                                 // 16 at once, the others wait for a slot
/// auto quote = co_await again::limit(quotes, again::retry(polite, api.get("/quote")));
/// ```
///
/// - Result: `expected<T, failure<E>>`; `stop_reason::overloaded` with no error when no slot is free and the queue is full.
/// - Waiters get their slots first in, first out. A stop request takes a waiter out of the queue at once
///   (`cancelled_before_start`, or `deadline_reached`): nothing was sent.
/// - The default queue is long: a thousand tasks that await the same limiter are a usual program, and all of them run, 64 at once.
///   A waiter costs the limiter nothing, and its coroutine about a kilobyte. How long a call waits is for the deadline around it
///   to bound: `timeout(1s, limit(quotes, op))`. A server that would rather refuse at once than let its callers wait sets a
///   short queue: as many as its slots serve while a caller is patient.
/// - Around a retry it counts calls and keeps the slot through their waits; inside one it counts sends.
/// - Threads: one limiter may serve several loops; a slot freed on one thread wakes a waiter on its own.
/// - Lifetime: the limiter outlives its users. Destroying a waiting coroutine takes it out of the queue, a running one frees its
///   slot.
/// - Cost: two uncontended atomic operations, and no clock, where a slot is free; a mutex where a call waits for one; no
///   allocation. `elapsed()` of a call that did not wait counts from when the loop last woke up, unless there is a deadline.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>
#include <again/protection/detail/admission_run.hpp>
#include <again/protection/detail/limit_ticket.hpp>
#include <again/protection/detail/slot_queue.hpp>

#include <cstdint>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

struct concurrency_limits {
  int in_flight = 64;  ///< slots
  int queue = 10'000;  ///< waiters; 0: a call that finds no free slot is refused
};

/// What all callers of one peer share.
class limiter {
 public:
  limiter() : limiter{concurrency_limits{}} {}
  /// Throws `std::invalid_argument` if there is no slot, or the queue is negative.
  explicit limiter(const concurrency_limits& l) : slots_{l.in_flight, l.queue} {
    if (l.in_flight < 1) throw std::invalid_argument{"again::concurrency_limits: in_flight must be at least 1"};
    if (l.queue < 0) throw std::invalid_argument{"again::concurrency_limits: queue must not be negative"};
  }
  limiter(const limiter&) = delete;
  limiter& operator=(const limiter&) = delete;
  ~limiter() = default;

  int in_flight() const noexcept { return slots_.taken(); }
  int queued() const noexcept { return slots_.waiting(); }
  /// Calls refused as overloaded.
  std::uint64_t refused() const noexcept { return slots_.refused(); }

  /// For those who build combinators.
  detail::slot_queue& slots() noexcept { return slots_; }

 private:
  detail::slot_queue slots_;
};

template <class Op>
  requires fallible_operation<std::decay_t<Op>>
auto limit(limiter& shared, Op&& op) {
  return detail::admission_operation<detail::stored_t<Op>, detail::slot_queue, detail::limit_ticket>{
      shared.slots(), std::forward<Op>(op)};
}

// A mistake, told in one sentence.
template <class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto limit(limiter&, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
