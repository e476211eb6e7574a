// SPDX-License-Identifier: MIT
/// \file
/// `scheduler`: what the library needs of an event loop. `run_loop` is ours; derive from it to bring your own.
///
/// Everything the library does for one await happens on its scheduler's thread: attempts start there, timers fire there,
/// finished sends come back there. So user code needs no locks. `work` and `timer` are intrusive nodes: posting and arming
/// allocate nothing per call, and a node's owner can take it back before it goes away.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/work.hpp>
#include <again/coro/context.hpp>

#include <atomic>
#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

/// Something that happens at a time on a scheduler's thread. The owner disarms it before it goes away.
struct timer {
  void (*fire)(timer&) noexcept = nullptr;
  // The rest belongs to the scheduler.
  time_point when{};
  timer* next = nullptr;
  timer** link = nullptr;  // what points to it; null: not armed
  [[nodiscard]] bool armed() const noexcept { return link != nullptr; }
};

namespace detail {
/// The root context of the loop that this thread is running.
inline thread_local constinit const context* running_context = nullptr;
}  // namespace detail

/// To bring your own: while its thread runs callbacks, `detail::running_context` must point to `root()` (see `run_loop`).
class scheduler {
 public:
  scheduler() noexcept { root_.scheduler = this; }
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;
  virtual ~scheduler() = default;

  /// The steady clock. Any thread.
  virtual time_point now() const noexcept = 0;
  /// The wall clock, for HTTP dates only. Any thread.
  virtual wall_time wall_now() const noexcept = 0;

  /// Runs `w` soon, in the order of posting. Any thread. A node may be posted again once it has begun to run.
  virtual void post(work& w) noexcept = 0;
  /// Takes `w` back if it has not begun to run. The scheduler's thread.
  virtual void forget(work& w) noexcept = 0;

  /// Fires `t` at `when`, or soon if that has passed; timers of one time fire in the order of arming. The scheduler's thread.
  /// Called where nothing may be thrown: what throws there ends the program (`std::terminate`); `run_loop`'s cannot fail.
  virtual void arm(timer& t, time_point when) = 0;
  /// Takes `t` back; harmless if it is not armed. The scheduler's thread.
  virtual void disarm(timer& t) noexcept = 0;

  /// Like `post`, from a thread that has time to spare. True: that thread runs this scheduler now, by calling `run_shared` at
  /// once, which comes back when there is nothing to run or soon after `reclaimed` became true. Any thread.
  virtual bool post_or_run(work& w) noexcept {
    post(w);
    return false;
  }
  virtual void run_shared(const std::atomic<bool>& /*reclaimed*/) noexcept {}

  /// Is the calling thread this scheduler's, and the scheduler running on it?
  virtual bool here() const noexcept = 0;

  /// A seed that no other call gets: from the operating system, or from the loop's own seed so that a run can be repeated.
  virtual std::uint64_t seed() noexcept = 0;

  /// Brackets something outside (a send on a socket) that will post when it is done: pretend time does not jump meanwhile.
  /// Any thread.
  virtual void work_started() noexcept {}
  virtual void work_finished() noexcept {}

  /// When the loop last woke up: a time for free, as old as the callback now running. The scheduler's thread.
  [[nodiscard]] time_point last_wake() const noexcept { return last_wake_; }

  /// What is inherited by whoever is started on it from outside: the scheduler, no stop, no deadline.
  [[nodiscard]] const context& root() const noexcept { return root_; }

 protected:
  time_point last_wake_{};

 private:
  context root_{};
};

}  // namespace AGAIN_ABI
}  // namespace again
