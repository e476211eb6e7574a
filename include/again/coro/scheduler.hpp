// SPDX-License-Identifier: MIT
/// \file
/// `scheduler`: the interface of an event loop, as the library uses it. `run_loop` implements it; derive from it to run
/// the library's coroutines on an event loop of your own.
///
/// One thread at a time runs a scheduler. Everything that the library does for one await happens on that thread:
/// attempts start there, timers fire there, finished sends are handed over there. So user code needs no locks.
///
/// `work` and `timer` are intrusive nodes, which their owner allocates. So posting and arming allocate nothing and
/// cannot fail. The owner takes a node back (`forget`, `disarm`) before it destroys it.
///
/// A scheduler of your own is a class of some fifty lines: a `work_queue` of posted work, a `timer_wheel`
/// (`<again/coro/work_queue.hpp>`, `<again/coro/timer_wheel.hpp>`), and a function that the foreign loop calls, which runs
/// both inside an `entry`. docs/asio.md has a complete one over epoll; `<again/asio/scheduler.hpp>` is one over Asio. To
/// drive a `run_loop` from another loop, without a class, see `run_loop::poll`.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/work.hpp>
#include <again/coro/context.hpp>

#include <atomic>
#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

/// A function that is called at a time, on a scheduler's thread. The owner disarms it before it destroys it.
struct timer {
  void (*fire)(timer&) noexcept = nullptr;
  // The scheduler uses the members below while the timer is armed.
  time_point when{};
  timer* next = nullptr;
  timer** link = nullptr;  // the pointer that points to this timer; null: not armed
  [[nodiscard]] bool armed() const noexcept { return link != nullptr; }
};

namespace detail {
/// The root context of the loop that this thread is running; null if it runs none.
inline thread_local constinit const context* running_context = nullptr;
/// The foreign coroutine that this thread is running for a task of ours (detail/inherited_context.hpp), or null.
class foreign_scope;
inline thread_local constinit foreign_scope* current_foreign_scope = nullptr;
class inherited_context;
}  // namespace detail

/// See the top of this file.
class scheduler {
 public:
  scheduler() noexcept { root_.scheduler = this; }
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;
  virtual ~scheduler() { free_retired(); }

  /// The time on the steady clock. Any thread.
  virtual time_point now() const noexcept = 0;
  /// The time on the wall clock; used for HTTP dates only. Any thread.
  virtual wall_time wall_now() const noexcept = 0;

  /// Runs `w` soon, on the scheduler's thread, in the order of posting; never from inside `post`. Any thread. Once `w`
  /// has begun to run, it may be posted again.
  virtual void post(work& w) noexcept = 0;
  /// Takes `w` back if it is posted and has not begun to run; else does nothing. The scheduler's thread.
  virtual void forget(work& w) noexcept = 0;

  /// Fires `t` at `when`, or soon if that has passed. Timers of the same time fire in the order of arming. The
  /// scheduler's thread. An implementation that throws ends the program (`std::terminate`), because most callers are
  /// `noexcept`.
  virtual void arm(timer& t, time_point when) = 0;
  /// Takes `t` back if it is armed; else does nothing. The scheduler's thread.
  virtual void disarm(timer& t) noexcept = 0;

  /// Like `post`, from a worker thread that could run the scheduler itself. Any thread. True: the caller must now call
  /// `run_shared`. False: the scheduler's own thread will run `w`. Overriding it is optional.
  virtual bool post_or_run(work& w) noexcept {
    post(w);
    return false;
  }
  /// Runs the scheduler on the calling thread. Returns when nothing is ready, or soon after `reclaimed` became true.
  virtual void run_shared(const std::atomic<bool>& /*reclaimed*/) noexcept {}

  /// True on the thread that is running this scheduler. Any thread.
  virtual bool here() const noexcept = 0;

  /// A seed for jitter, different for each call: from the operating system (`fresh_seed`), or from a seed of the loop
  /// that makes runs repeatable.
  virtual std::uint64_t seed() noexcept = 0;

  /// Tells an adaptor its own schedulers from others: the address of something that belongs to their class alone. It stands
  /// for a `dynamic_cast`, which a program without RTTI does not have. Overriding it is optional. Any thread.
  virtual const void* kind() const noexcept { return nullptr; }

  /// Work outside the loop (a send on a socket) begins, or has ended; it will post, or has posted. In between, pretend
  /// time does not jump. Any thread.
  virtual void work_started() noexcept {}
  virtual void work_finished() noexcept {}

  /// When the loop last woke up. It costs no clock read, and is older than `now()` by at most one round of callbacks.
  /// The scheduler's thread.
  [[nodiscard]] time_point last_wake() const noexcept { return last_wake_; }

  /// The context of what is started on this scheduler from outside of any coroutine: no stop token, no deadline.
  [[nodiscard]] const context& root() const noexcept { return root_; }

 protected:
  /// While it exists, the calling thread runs this scheduler: `running()` is true, and what is awaited by a coroutine
  /// without a context starts on this scheduler. Make one around each round of callbacks. Its constructor reads the
  /// clock; a long round may call `refresh` in between. Entries nest: a blocking wait inside a coroutine runs another
  /// scheduler.
  class entry {
   public:
    explicit entry(scheduler& entered) noexcept
        : outer_{detail::running_context}, outer_scope_{detail::current_foreign_scope} {
      detail::running_context = &entered.root_;
      detail::current_foreign_scope = nullptr;  // what runs here does not belong to the coroutine that waits outside
      entered.last_wake_ = entered.now();
    }
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    ~entry() {
      detail::running_context = outer_;
      detail::current_foreign_scope = outer_scope_;
    }

   private:
    const context* outer_;
    detail::foreign_scope* outer_scope_;
  };
  /// True if the calling thread is inside an `entry` of this scheduler: what `here` gives. Any thread.
  [[nodiscard]] bool running() const noexcept { return detail::running_context == &root_; }
  /// Sets `last_wake` to the time. The scheduler's thread.
  void refresh() noexcept { last_wake_ = now(); }

  time_point last_wake_{};

 private:
  friend class detail::inherited_context;
  // Contexts that nobody owns any more. What is being destroyed just now may still refer to them, so they are freed later.
  void retire(work& w) noexcept {
    w.next = retired_;
    retired_ = &w;
  }
  void free_retired() noexcept {
    while (retired_ != nullptr) {
      work* const w = retired_;
      retired_ = w->next;
      w->run(*w);
    }
  }

  context root_{};
  work* retired_ = nullptr;
};

}  // namespace AGAIN_ABI
}  // namespace again
