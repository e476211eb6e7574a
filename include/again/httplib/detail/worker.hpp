// SPDX-License-Identifier: MIT
/// \file
/// `send_worker`: a thread of a pool, and the place where it sleeps until it is told what to do.
#pragma once

#include <again/core/clock.hpp>
#include <again/coro/scheduler.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

class send_job;

/// Each has a place of its own to sleep, so that a job wakes just one, and nobody wakes into a lock that is held.
struct send_worker {
  static inline thread_local constinit send_worker* of_this_thread = nullptr;

  void tell(send_job* j) {
    {
      const std::lock_guard lock{mutex};
      job = j;
      told.store(true, std::memory_order_relaxed);
    }
    wake.notify_one();
  }
  /// False if nobody said anything in that time.
  bool wait(duration at_most, send_job*& into) {
    // Whoever awaited what it has just brought often sends again at once: to fall asleep and be woken costs more than to let them.
    if (!told.load(std::memory_order_relaxed)) std::this_thread::yield();
    std::unique_lock lock{mutex};
    const auto heard = [this] { return told.load(std::memory_order_relaxed); };
    if (at_most < forever) {
      if (!wake.wait_for(lock, at_most, heard)) return false;
    } else {
      wake.wait(lock, heard);
    }
    told.store(false, std::memory_order_relaxed);
    into = job;
    return true;
  }
  /// What it was told while it had not begun to wait; null if nothing. Its own thread.
  send_job* take() {
    const std::lock_guard lock{mutex};
    return told.exchange(false, std::memory_order_relaxed) ? std::exchange(job, nullptr) : nullptr;
  }
  std::thread thread;
  send_worker* next_idle = nullptr;  // under the pool's lock
  // The worker's own.
  send_job* next = nullptr;
  bool over = false;
  duration patience = forever;
  scheduler* borrowed = nullptr;  // a loop that it has to run

  std::atomic<bool> told{false};  // written under its lock

 private:
  std::mutex mutex;
  std::condition_variable wake;
  send_job* job = nullptr;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
