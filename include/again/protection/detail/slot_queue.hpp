// SPDX-License-Identifier: MIT
/// \file
/// Slots, and a first-in, first-out queue of those that wait for one: the counting semaphore under `limiter`.
///
/// A slot is freed on any thread and goes to the oldest waiter, which is posted to its own scheduler. Posting and leaving
/// happen under the lock: a waiter that has left is never posted afterwards.
#pragma once

#include <again/core/detail/intrusive_list.hpp>
#include <again/core/detail/work.hpp>
#include <again/coro/scheduler.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class slot_queue {
 public:
  /// A node in the queue first, then posted to `home` when it has been given a slot. Its address stays; `run` is its owner's.
  struct waiter : work {
    explicit waiter(scheduler& loop) noexcept : home{loop} {}
    scheduler& home;
    enum class state : std::uint8_t { outside, queued, holds_slot } where = state::outside;  // guarded by the mutex
  };
  enum class reply : std::uint8_t { slot, queued, full };

  slot_queue(int slots, int room) noexcept
      : slots_{static_cast<std::uint64_t>(slots)}, room_{static_cast<std::uint64_t>(room)} {}
  slot_queue(const slot_queue&) = delete;
  slot_queue& operator=(const slot_queue&) = delete;
  ~slot_queue() = default;

  int taken() const noexcept { return static_cast<int>(word_.load(std::memory_order_acquire) % one_waiting); }
  int waiting() const noexcept { return static_cast<int>(word_.load(std::memory_order_acquire) / one_waiting); }
  /// Those that found neither a slot nor room in the queue.
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

  /// Takes a free slot that is kept for no waiter.
  bool take() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (seen < slots_) {  // the upper half is zero then
      if (word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_relaxed))
        return true;
    }
    return false;
  }
  /// Frees a slot that `take` gave: for the oldest waiter, if there is one.
  void give_back() noexcept {
    if (!set_free()) pass_on();
  }

  // The rest is out of line: a caller that finds a free slot pays nothing for it.

  /// A slot if there is one by now; else `w` joins the queue, if there is room.
  [[gnu::noinline]] reply join(waiter& w) noexcept {
    const std::lock_guard lock{mutex_};
    for (;;) {
      if (take()) return reply::slot;
      std::uint64_t seen = word_.load(std::memory_order_relaxed);
      if (seen < slots_) continue;  // freed since
      if (seen / one_waiting >= room_) {
        refused_.fetch_add(1, std::memory_order_relaxed);
        return reply::full;
      }
      if (word_.compare_exchange_weak(seen, seen + one_waiting, std::memory_order_acq_rel, std::memory_order_relaxed))
        break;
    }
    queue_.push(w);
    w.where = waiter::state::queued;
    return reply::queued;
  }
  /// What has joined leaves the queue, or frees its slot. Afterwards it is neither posted nor about to run. The thread of its
  /// scheduler.
  [[gnu::noinline]] void leave(waiter& w) noexcept {
    {
      const std::lock_guard lock{mutex_};
      const waiter::state from = std::exchange(w.where, waiter::state::outside);
      if (from == waiter::state::queued) take_out(w);
      if (from == waiter::state::holds_slot) pass_on_locked();
    }
    w.home.forget(w);
  }

 private:
  static constexpr std::uint64_t one_waiting = std::uint64_t{1} << 32;

  // False: there is a waiter, or will be one when the mutex is free.
  bool set_free() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (seen < one_waiting) {
      if (word_.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_relaxed))
        return true;
    }
    return false;
  }
  [[gnu::noinline]] void pass_on() noexcept {
    const std::lock_guard lock{mutex_};
    pass_on_locked();
  }
  void pass_on_locked() noexcept {
    if (set_free()) return;
    waiter& next = *queue_.front();
    take_out(next);
    next.where = waiter::state::holds_slot;
    next.home.post(next);  // under the lock: it cannot go away before it is posted
  }
  void take_out(waiter& w) noexcept {
    queue_.remove(w);
    word_.fetch_sub(one_waiting, std::memory_order_acq_rel);
  }

  const std::uint64_t slots_;
  const std::uint64_t room_;
  // Slots taken in the lower half, waiters in the upper. While the upper half is zero any thread changes the word; else only
  // the thread that holds the mutex, and the queue has as many waiters as the word says. All slots are taken while there is
  // a waiter.
  std::atomic<std::uint64_t> word_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::mutex mutex_;  // guards the queue, and `where` of every waiter
  intrusive_list<waiter> queue_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
