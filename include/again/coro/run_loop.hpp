// SPDX-License-Identifier: MIT
/// \file
/// `run_loop`: the event loop of this library. A queue of work and a timer wheel, run by the thread that calls `run`.
///
/// ```cpp
/// again::run_loop loop;                       // or loop{clock, seed}: pretend time, and a run that can be repeated
/// int n = again::sync_wait(loop, count());    // runs the loop until the awaited task has finished
///
/// loop.share_with_workers();                  // before it runs: the workers of a transport may run it while it sleeps
/// ```
///
/// - Errors: none. Posting and arming allocate nothing and cannot fail.
/// - Lifetime: the loop outlives all work and timers that were given to it. A loop may be run again after it has
///   returned.
/// - Thread: one thread at a time runs a loop. `post`, `post_or_run`, `finish`, `now`, `wall_now`, `here`,
///   `work_started` and `work_finished` may be called from any thread; everything else only from the thread that runs
///   the loop.
/// - Cost: about 40 KiB for the timer wheel, of which only the parts in use are touched. An idle loop sleeps.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/detail/threads.hpp>
#include <again/core/random.hpp>
#include <again/coro/scheduler.hpp>
#include <again/coro/timer_wheel.hpp>
#include <again/coro/work_queue.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

class run_loop final : public scheduler {
 public:
  run_loop() noexcept : run_loop{system_clocks()} {}
  explicit run_loop(clock& time) noexcept : clock_{time} { last_wake_ = time.now(); }
  /// The same seed and the same program give the same jitter; under a `virtual_clock`, the same run.
  run_loop(clock& time, std::uint64_t seed) noexcept : clock_{time}, seeds_{std::in_place, seed} {
    last_wake_ = time.now();
  }

  /// Runs work and timers until `finish` is called, and returns true. Returns false if nothing is left that could ever
  /// run; that is known only under a pretend clock while no outside work runs. A loop on real time sleeps instead.
  bool run() {
    const bool ended = run_until([this] { return finished_.load(std::memory_order_acquire); });
    if (ended) finished_.store(false, std::memory_order_release);  // not in the lambda, which is called more than once
    return ended;
  }

  /// The same until `done()` is true. It is called between callbacks.
  template <class Done> bool run_until(Done&& done) {
    const entry guard{*this};
    while (!run_ready(done)) {
      if (!done() && !idle(stop_condition{done})) return false;
    }
    return true;
  }

  /// Runs everything that is ready, and returns without sleeping: to drive this loop from another one. Gives the time at
  /// which to call it again at the latest; `never`: only when there is work (`when_posted`).
  ///
  /// ```cpp
  /// loop.when_posted([](void* fd) noexcept { eventfd_write(*static_cast<int*>(fd), 1); }, &wake_fd);
  /// for (;;) {
  ///   const again::time_point next = loop.poll();
  ///   wait_for(wake_fd, next - loop.now());        // epoll_wait, a timer of Qt or GLib, ...
  /// }
  /// ```
  ///
  /// One call runs at most 128 callbacks and timers, so that work which posts itself again does not keep the outer loop
  /// from running. It does not advance a pretend clock.
  time_point poll() {
    const entry guard{*this};
    int left = fair_share * 2;
    const auto enough = [&left] { return left-- == 0; };
    if (run_ready(enough)) return last_wake_;  // there may be more
    return timers_.next();
  }

  /// For a loop that is driven by `poll`: `call(self)` is called when work is posted by another thread, or outside of
  /// `poll`; on the posting thread, and at most once until `poll` has taken the work. It must not call the loop. It
  /// should only wake the thread that calls `poll`. Call `when_posted` before the loop is used.
  void when_posted(void (*call)(void*) noexcept, void* self) noexcept {
    posted_ = call;
    posted_self_ = self;
  }

  /// Lets the workers of a transport run this loop while its own thread sleeps. A worker that has finished a send then
  /// resumes the awaiting coroutine itself, instead of waking the loop's thread. This saves a tenth of the processor
  /// time of a small request. One thread at a time runs the loop, as before, so coroutines need no locks. But the
  /// thread may change at every await: do not rely on thread-local state. A coroutine that computes for long keeps a
  /// worker from sending. Call it before the loop runs. It has no effect under a pretend clock.
  void share_with_workers(bool shared = true) noexcept { shared_ = shared; }

  /// Makes `run` return. If the loop is not running, the next `run` returns at once. Any thread.
  void finish() noexcept {
    const std::lock_guard lock{mutex_};
    finished_.store(true, std::memory_order_release);
    notify();
  }

  /// How many timers are armed. The loop's thread.
  [[nodiscard]] std::size_t timers() const noexcept { return timers_.size(); }

  // scheduler
  time_point now() const noexcept override { return clock_.now(); }
  wall_time wall_now() const noexcept override { return clock_.wall_now(); }
  bool here() const noexcept override { return running(); }
  void post(work& w) noexcept override {
    if (here()) {
      local_.push(w, work::state::local);
      return;
    }
    const std::lock_guard lock{mutex_};
    remote_.push(w, work::state::remote);
    notify();
  }
  bool post_or_run(work& w) noexcept override {
    if (!shared_ || here()) {
      post(w);
      return false;
    }
    const std::lock_guard lock{mutex_};
    remote_.push(w, work::state::remote);
    woken_.store(true, std::memory_order_release);
    if (sleepers_ > 0 && !idle_wait_.run_by_worker && on_real_time()) return idle_wait_.run_by_worker = true;
    notify();
    return false;
  }
  void run_shared(const std::atomic<bool>& reclaimed) noexcept override {
    int late = 0;
    const auto enough = [&] {
      return idle_wait_.until() || (reclaimed.load(std::memory_order_relaxed) && ++late > reclaim_limit);
    };
    for (;;) {
      bool work_is_left = false;
      {
        const entry guard{*this};
        work_is_left = run_ready(enough);
      }
      const std::lock_guard lock{mutex_};
      if (!work_is_left && woken_.load(std::memory_order_relaxed)) continue;
      idle_wait_.run_by_worker = false;
      // Wake the loop's own thread only for a reason: to return, to run the rest, or to sleep for a shorter time.
      if (work_is_left || idle_wait_.over || timers_.next() < idle_wait_.next) {
        idle_wait_.over = true;
        wake_.notify_all();
      }
      return;
    }
  }
  void forget(work& w) noexcept override {
    if (w.queued == work::state::local) {
      local_.remove(w);
      return;
    }
    const std::lock_guard lock{mutex_};
    if (w.queued == work::state::remote) remote_.remove(w);
  }
  void arm(timer& t, time_point when) noexcept override { timers_.insert(t, when, last_wake_); }
  void disarm(timer& t) noexcept override { timers_.remove(t); }
  std::uint64_t seed() noexcept override { return seeds_ ? seeds_->bits() : fresh_seed(); }
  void work_started() noexcept override { outside_work_.fetch_add(1, std::memory_order_relaxed); }
  void work_finished() noexcept override { outside_work_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  static constexpr int yields = 2;
  static constexpr int fair_share =
      64;  // callbacks run in a row before timers, or work of other threads, get their turn

  static constexpr int reclaim_limit = 16;  // callbacks that a worker still runs after the loop was reclaimed

  // Refers to the `done` of a `run_until`.
  struct stop_condition {
    const void* done = nullptr;
    bool (*ask)(const void*) = nullptr;
    stop_condition() noexcept = default;
    template <class Done> explicit stop_condition(Done& d) noexcept
        : done{&d},
          ask{[](const void* self) { return static_cast<bool>((*static_cast<Done*>(const_cast<void*>(self)))()); }} {}
    bool operator()() const { return ask(done); }
  };
  // The sleep of a thread that runs the loop. Sleeps nest: a coroutine that a worker runs may wait on the same loop.
  struct idle_wait {
    stop_condition until;
    time_point next{};           // when the sleeper wakes up by itself
    bool run_by_worker = false;  // a worker runs the loop
    bool over = false;           // the sleeper runs the loop next
  };

  // Runs all work and timers that are ready. True: `done()` ended it. False: nothing is ready any more.
  template <class Done> bool run_ready(Done& done) {
    for (;;) {
      for (int turn = 0; turn < fair_share; ++turn) {
        if (done()) return true;
        work* const w = local_.pop();
        if (w == nullptr) break;
        w->run(*w);
      }
      collect_remote();
      if (!local_.empty() || !timers_.empty()) last_wake_ = clock_.now();
      if (!timers_.empty()) {
        int turn = 0;
        for (; turn < fair_share; ++turn) {
          if (done()) return true;
          timer* const t = timers_.pop_due(last_wake_);
          if (t == nullptr) break;
          t->fire(*t);
        }
        if (turn == fair_share) continue;  // more timers may be due
      }
      if (local_.empty()) return false;
    }
  }

  // Wakes the sleeping thread. A worker that runs the loop needs no waking: it checks `woken_` before it returns.
  // The caller holds the lock until the end: the posted work may destroy the loop as soon as the lock is released.
  void notify() noexcept {
    const bool woken = woken_.exchange(true, std::memory_order_acq_rel);
    if (posted_ != nullptr && !woken) posted_(posted_self_);
    if (sleepers_ > 0 && !idle_wait_.run_by_worker) wake_.notify_all();
  }

  // Moves work posted by other threads to the end of the local queue.
  void collect_remote() noexcept {
    if (!woken_.load(std::memory_order_acquire)) return;
    const std::lock_guard lock{mutex_};
    woken_.store(false, std::memory_order_relaxed);
    local_.take(remote_, work::state::local);
  }

  // Only a loop on real time may be run by a worker: pretend time must not depend on which thread is faster.
  bool on_real_time() const noexcept { return &clock_ == &system_clocks(); }

  // Waits for work or for the next timer. False: nothing will ever be ready.
  bool idle(stop_condition done) {
    const time_point next = timers_.next();
    if (!shared_ && outside_work_.load(std::memory_order_relaxed) != 0) {
      // Outside work often finishes within microseconds: to yield is cheaper than to sleep and be woken.
      for (int turn = 0; turn < yields; ++turn) {
        detail::yield_thread();
        if (woken_.load(std::memory_order_acquire)) return true;
      }
    }
    std::unique_lock lock{mutex_};
    if (woken_.load(std::memory_order_relaxed)) return true;
    if (outside_work_.load(std::memory_order_relaxed) == 0) {
      if (clock_.jump(next)) return next != never;
    }
    const time_point real_start = system_clocks().now();
    const duration left = next == never ? forever : next - clock_.now();
    constexpr duration longest = std::chrono::hours{24};  // a condition variable given a far time overflows
    const idle_wait outer = std::exchange(idle_wait_, idle_wait{done, next});
    const int mine = ++sleepers_;
    wake_.wait_for(lock, left < longest ? left : longest, [this, mine] {
      return sleepers_ == mine && !idle_wait_.run_by_worker &&
             (idle_wait_.over || woken_.load(std::memory_order_relaxed));
    });
    while (sleepers_ != mine || idle_wait_.run_by_worker) {
      if (sleepers_ == mine) idle_wait_.over = true;
      wake_.wait(lock);
    }
    idle_wait_ = outer;
    if (--sleepers_ > 0) wake_.notify_all();  // the outer sleeper may have to wake up meanwhile
    clock_.elapse(system_clocks().now() - real_start);
    last_wake_ = clock_.now();
    return true;
  }

  clock& clock_;
  detail::manual_optional<random_stream> seeds_;
  bool shared_ = false;                       // constant while it runs
  void (*posted_)(void*) noexcept = nullptr;  // constant while it runs
  void* posted_self_ = nullptr;
  // Only the thread that runs the loop touches these two.
  work_queue local_;
  timer_wheel timers_;
  // The mutex guards the members below it and writing `woken_`. By it the loop passes from one thread to the next.
  std::mutex mutex_;
  int sleepers_ = 0;
  idle_wait idle_wait_;  // of the innermost sleeper; `until` and `next` are for the thread that runs the loop
  detail::condition_variable wake_;
  work_queue remote_;
  std::atomic<bool> woken_{false};
  std::atomic<bool> finished_{false};
  std::atomic<int> outside_work_{0};
};

}  // namespace AGAIN_ABI
}  // namespace again
