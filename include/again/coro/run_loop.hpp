// SPDX-License-Identifier: MIT
/// \file
/// `run_loop`: the scheduler of this library. A queue of work and a wheel of timers, run by the thread that calls `run`.
///
/// ```cpp
/// again::run_loop loop;                       // or loop{clock, seed}: pretend time, and a run that can be repeated
/// int n = again::sync_wait(loop, response());   // runs it until the awaited thing is finished
///
/// loop.share_with_workers();                                // before it runs: let the workers of a transport run it too, see there
/// ```
///
/// Thread: `post`, `finish`, `now`, `work_started` and `work_finished` from any thread; everything else from the thread that
/// runs the loop. One thread runs a loop at a time; a loop may be run again. Destroy it only after what was posted to it.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/detail/threads.hpp>
#include <again/core/random.hpp>
#include <again/coro/detail/timer_wheel.hpp>
#include <again/coro/detail/work_queue.hpp>
#include <again/coro/scheduler.hpp>

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
  /// The same seed and the same program give the same run (under a `virtual_clock`, to the last wait).
  run_loop(clock& time, std::uint64_t seed) noexcept : clock_{time}, seeds_{std::in_place, seed} {
    last_wake_ = time.now();
  }

  /// Runs work and timers until `finish`. Returns false if it ended because nothing was left that could ever happen: only
  /// under a pretend clock, and with no work outside; a real loop sleeps instead.
  bool run() {
    const bool ended = run_until([this] { return finished_.load(std::memory_order_acquire); });
    if (ended) finished_.store(false, std::memory_order_release);  // only now: `run_until` asks more than once
    return ended;
  }

  /// Runs until `done()` is true (asked between callbacks). Returns like `run`.
  template <class Done> bool run_until(Done&& done) {
    const entered guard{*this};
    while (!work_off(done)) {
      if (!done() && !idle(question{done})) return false;
    }
    return true;
  }

  /// Lets the workers of a transport run this loop while its own thread sleeps: whoever brings a finished send goes on with the
  /// coroutine that awaits it, instead of waking a thread for that and being woken for the next send: a tenth less processor
  /// time for a small request. Still one thread at a time runs it, so that coroutines need no locks; but which one changes
  /// at every await, so do not count on thread-local state, and a coroutine that computes for long keeps a worker from sending.
  /// Set it before the loop runs. No effect under a pretend clock.
  void share_with_workers(bool shared = true) noexcept { shared_ = shared; }

  /// Makes `run` return; sticky until it does. Any thread.
  void finish() noexcept {
    const std::lock_guard lock{mutex_};
    finished_.store(true, std::memory_order_release);
    tell();
  }

  /// Timers now armed. The loop's thread.
  [[nodiscard]] std::size_t timers() const noexcept { return timers_.size(); }

  // scheduler
  time_point now() const noexcept override { return clock_.now(); }
  wall_time wall_now() const noexcept override { return clock_.wall_now(); }
  bool here() const noexcept override { return detail::running_context == &root(); }
  void post(work& w) noexcept override {
    if (here()) {
      local_.push(w, work::state::local);
      return;
    }
    const std::lock_guard lock{mutex_};
    remote_.push(w, work::state::remote);
    tell();
  }
  bool post_or_run(work& w) noexcept override {
    if (!shared_ || here()) {
      post(w);
      return false;
    }
    const std::lock_guard lock{mutex_};
    remote_.push(w, work::state::remote);
    woken_.store(true, std::memory_order_release);
    if (sleepers_ > 0 && !idle_wait_.borrowed && may_be_borrowed()) return idle_wait_.borrowed = true;
    tell();
    return false;
  }
  void run_shared(const std::atomic<bool>& reclaimed) noexcept override {
    int late = 0;
    const auto enough = [&] {
      return idle_wait_.until() || (reclaimed.load(std::memory_order_relaxed) && ++late > last_share);
    };
    for (;;) {
      bool broke_off = false;
      {
        const entered guard{*this};
        broke_off = work_off(enough);
      }
      const std::lock_guard lock{mutex_};
      if (!broke_off && woken_.load(std::memory_order_relaxed)) continue;
      idle_wait_.borrowed = false;
      // Its own thread goes on only where there is a reason: to return, to take over, or to sleep less long than it meant to.
      if (broke_off || idle_wait_.over || timers_.next() < idle_wait_.next) {
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
  void work_started() noexcept override { outside_.fetch_add(1, std::memory_order_relaxed); }
  void work_finished() noexcept override { outside_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  static constexpr int yields = 2;
  static constexpr int fair_share = 64;  // callbacks run before the others (timers, other threads' work) get their turn

  static constexpr int last_share = 16;  // callbacks that whoever borrowed the loop still runs when called away

  // What `run_until` was asked to run until; of its frame.
  struct question {
    const void* done = nullptr;
    bool (*ask)(const void*) = nullptr;
    question() noexcept = default;
    template <class Done> explicit question(Done& d) noexcept
        : done{&d},
          ask{[](const void* self) { return static_cast<bool>((*static_cast<Done*>(const_cast<void*>(self)))()); }} {}
    bool operator()() const { return ask(done); }
  };
  // The sleep of the thread that runs the loop. They nest: whoever has borrowed a loop may wait on it in a coroutine.
  struct idle_wait {
    question until;
    time_point next{};      // when it means to wake up
    bool borrowed = false;  // another thread runs the loop
    bool over = false;      // the sleeper wants the loop back, or is to take it
  };

  // While alive, the calling thread is this loop's. Loops nest: a blocking wait inside a coroutine runs another one.
  struct entered {
    explicit entered(run_loop& loop) noexcept : outer{detail::running_context} {
      detail::running_context = &loop.root();
      loop.last_wake_ = loop.clock_.now();
    }
    entered(const entered&) = delete;
    entered& operator=(const entered&) = delete;
    ~entered() { detail::running_context = outer; }
    const context* outer;
  };

  // Runs what there is. True: `done` said so.
  template <class Done> bool work_off(Done& done) {
    for (;;) {
      for (int turn = 0; turn < fair_share; ++turn) {
        if (done()) return true;
        work* const w = local_.pop();
        if (w == nullptr) break;
        w->run(*w);
      }
      collect();
      if (!local_.empty() || !timers_.empty()) last_wake_ = clock_.now();
      if (!timers_.empty()) {
        int turn = 0;
        for (; turn < fair_share; ++turn) {
          if (done()) return true;
          timer* const t = timers_.pop_due(last_wake_);
          if (t == nullptr) break;
          t->fire(*t);
        }
        if (turn == fair_share) continue;  // more may be due than their share
      }
      if (local_.empty()) return false;
    }
  }

  // Under the lock to the end: what was posted may end the loop, which must not be touched once it was let go of.
  void tell() noexcept {
    woken_.store(true, std::memory_order_release);
    if (sleepers_ > 0 && !idle_wait_.borrowed)
      wake_.notify_all();  // whoever has borrowed it looks before giving it back
  }

  void collect() noexcept {
    if (!woken_.load(std::memory_order_acquire)) return;
    const std::lock_guard lock{mutex_};
    woken_.store(false, std::memory_order_relaxed);
    local_.take(remote_, work::state::local);
  }

  bool may_be_borrowed() const noexcept { return &clock_ == &system_clocks(); }

  // Nothing to run now. False: nothing ever will.
  bool idle(question done) {
    const time_point next = timers_.next();
    if (!shared_ && outside_.load(std::memory_order_relaxed) !=
                        0) {  // often about to come back: cheaper than to sleep and be woken
      for (int turn = 0; turn < yields; ++turn) {
        detail::yield_thread();
        if (woken_.load(std::memory_order_acquire)) return true;
      }
    }
    std::unique_lock lock{mutex_};
    if (woken_.load(std::memory_order_relaxed)) return true;
    if (outside_.load(std::memory_order_relaxed) == 0) {
      if (clock_.jump(next)) return next != never;
    }
    const time_point real_start = system_clocks().now();
    const duration left = next == never ? forever : next - clock_.now();
    constexpr duration longest = std::chrono::hours{24};  // a condition variable given a far time overflows
    const idle_wait outer = std::exchange(idle_wait_, idle_wait{done, next});
    const int mine = ++sleepers_;
    wake_.wait_for(lock, left < longest ? left : longest, [this, mine] {
      return sleepers_ == mine && !idle_wait_.borrowed && (idle_wait_.over || woken_.load(std::memory_order_relaxed));
    });
    while (sleepers_ != mine || idle_wait_.borrowed) {
      if (sleepers_ == mine) idle_wait_.over = true;
      wake_.wait(lock);
    }
    idle_wait_ = outer;
    if (--sleepers_ > 0) wake_.notify_all();  // the one outside may have wanted the loop back meanwhile
    clock_.elapse(system_clocks().now() - real_start);
    last_wake_ = clock_.now();
    return true;
  }

  clock& clock_;
  detail::manual_optional<random_stream> seeds_;
  bool shared_ = false;         // constant while it runs
  detail::work_queue local_;    // whoever runs the loop
  detail::timer_wheel timers_;  // whoever runs the loop
  std::mutex mutex_;            // guards what follows, and the writing of woken_; hands over who runs the loop
  int sleepers_ = 0;
  idle_wait idle_wait_;  // of the innermost sleeper; what is not `borrowed` or `over`: whoever runs the loop
  detail::condition_variable wake_;
  detail::work_queue remote_;
  std::atomic<bool> woken_{false};
  std::atomic<bool> finished_{false};
  std::atomic<int> outside_{0};
};

}  // namespace AGAIN_ABI
}  // namespace again
