// SPDX-License-Identifier: MIT
/// \file
/// `send_worker`: a thread of a pool. `worker_threads`: all of them. `run_worker`: what each does.
#pragma once

#include <again/core/clock.hpp>
#include <again/coro/scheduler.hpp>
#include <again/httplib/detail/connect_and_send.hpp>
#include <again/httplib/detail/send_job.hpp>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Each sleeps on a condition variable that no other thread waits for: a job wakes just one, and none wakes into a lock that is
/// held. Threads: `tell` any; `next_idle` under the pool's lock; the rest the worker itself.
struct send_worker {
  static inline thread_local constinit send_worker* of_this_thread = nullptr;

  /// Wakes it for a job; null: to end.
  void tell(send_job* j) {
    {
      const std::lock_guard lock{mutex};
      job = j;
      told.store(true, std::memory_order_relaxed);
    }
    wake.notify_one();
  }
  /// False: it was told nothing in that time.
  bool wait(duration at_most, send_job*& into) {
    // The caller often sends again at once; yielding is cheaper than sleeping and being woken.
    if (!told.load(std::memory_order_relaxed)) std::this_thread::yield();
    std::unique_lock lock{mutex};
    const auto was_told = [this] { return told.load(std::memory_order_relaxed); };
    if (at_most < forever) {
      if (!wake.wait_for(lock, at_most, was_told)) return false;
    } else {
      wake.wait(lock, was_told);
    }
    told.store(false, std::memory_order_relaxed);
    into = job;
    return true;
  }
  /// What it was told while it had not begun to wait; null: nothing.
  send_job* take() {
    const std::lock_guard lock{mutex};
    return told.exchange(false, std::memory_order_relaxed) ? std::exchange(job, nullptr) : nullptr;
  }

  std::thread thread;
  send_worker* next_idle = nullptr;
  send_job* next = nullptr;          ///< the job after this one; null: sleep until told
  bool over = false;                 ///< there will be none
  duration patience = forever;       ///< how long it may sleep before it looks after idle connections
  scheduler* loop_to_run = nullptr;  ///< a loop that is shared with workers and waits for a thread
  std::atomic<bool> told{false};     ///< written under its own lock

 private:
  std::mutex mutex;
  std::condition_variable wake;
  send_job* job = nullptr;
};

/// Owns the threads until `take_all`. Guarded by the pool's lock.
class worker_threads {
 public:
  explicit worker_threads(std::size_t most) : most_{most} {}

  bool none() const noexcept { return all_.empty(); }
  /// Is one idle, or may one more be started?
  bool available() const noexcept { return idle_ != nullptr || all_.size() < most_; }

  /// The one that worked last, whose cache is warm; null: none is idle.
  send_worker* take_idle() noexcept { return idle_ == nullptr ? nullptr : std::exchange(idle_, idle_->next_idle); }
  void put_idle(send_worker& w) noexcept { w.next_idle = std::exchange(idle_, &w); }

  /// Starts one more, for `first`. `run(worker)` is what its thread does. False: there are as many as there may be, or the system
  /// has no thread left.
  template <class Run> bool start(send_job& first, Run run) {
    if (all_.size() >= most_) return false;
    const std::size_t others = all_.size();
    try {
      all_.push_back(std::make_unique<send_worker>());
      send_worker& w = *all_.back();
      w.tell(&first);
      w.thread = std::thread{[run, &w] { run(w); }};
    } catch (const std::exception&) {  // no thread, or no memory
      all_.resize(others);
      return false;
    }
    return true;
  }
  /// Tells all that are idle to end.
  void dismiss_idle() {
    while (send_worker* const w = take_idle()) w->tell(nullptr);
  }
  /// The calling thread, if it is one of these.
  send_worker* of_this_thread() const noexcept {
    for (const auto& w : all_)
      if (w.get() == send_worker::of_this_thread) return w.get();
    return nullptr;
  }
  std::vector<std::unique_ptr<send_worker>> take_all() noexcept { return std::exchange(all_, {}); }

 private:
  const std::size_t most_;
  std::vector<std::unique_ptr<send_worker>> all_;
  send_worker* idle_ = nullptr;  // the last to fall asleep first
};

/// The whole life of a worker: job after job until the pool ends. `Pool` is `send_pool`, which it calls for the next job and with
/// the result of each.
template <class Pool> void run_worker(Pool& pool, send_worker& me) {
  // A write to a connection that the peer has reset must not kill the process. The library's own flags do not reach OpenSSL.
  ::sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  send_worker::of_this_thread = &me;
  send_job* job = pool.sleep(me);  // the first one was told before the thread started
  while (job != nullptr) {
    connect_and_send::connection c{std::exchange(job->connection, nullptr)};
    descriptor_wait& descriptors = pool.resources().descriptors;
    descriptors.attempt_begins();
    attempt_end end = connect_and_send{pool.resources(), *job, c}.run();
    pool.conclude(me, *job, std::move(c), std::move(end));
    descriptors.attempt_ended();
    job->release();
    if (me.loop_to_run != nullptr && !pool.run_shared_loop(me)) return;
    job = me.next != nullptr ? std::exchange(me.next, nullptr) : me.over ? nullptr : pool.sleep(me);
  }
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
