// SPDX-License-Identifier: MIT
/// \file
/// `executor_scheduler`: our scheduler on an executor of Asio. `context_schedulers`: the schedulers of one execution
/// context, which it owns as one of its services.
///
/// Who runs it: any thread of the executor, one at a time. `state_` says who may: a thread that sets `busy` runs work and
/// timers until it clears it (a *turn*). Work that arrives meanwhile sets `ready`; whoever finds that nobody is busy posts
/// a handler to the executor that will take a turn. So a pool of four threads needs no strand of Asio's, and a strand
/// that the user has chosen is never left.
///
/// What is touched by whom:
/// - `local_`, `timers_`, `alarm_` and what is said of it, `calls_` and `finished_`: only by the thread whose turn it is.
/// - `remote_` and `arrived_`: under `mutex_`.
/// - `users_`: by any thread. Each handler of ours that waits inside Asio, each call in progress, and each
///   `scheduler_of` is a user. A scheduler without users is destroyed when there are many of them.
///
/// Posting a handler allocates inside Asio. If there is no memory for it, the program ends, as `post` and `arm` of a
/// scheduler may not fail.
#pragma once

#include <again/asio/library.hpp>
#include <again/core/detail/intrusive_list.hpp>
#include <again/core/random.hpp>
#include <again/coro/scheduler.hpp>
#include <again/coro/timer_wheel.hpp>
#include <again/coro/work_queue.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {
namespace detail {

class executor_scheduler;

/// A call that was made from Asio, until its completion handler is called. The handler of a starter, the lists of the
/// scheduler, and the handler of a completion own it, one after the other.
class pending_call {
 public:
  pending_call() noexcept = default;
  pending_call(const pending_call&) = delete;
  pending_call& operator=(const pending_call&) = delete;

  /// Starts the operation. The scheduler's turn.
  virtual void begin() noexcept = 0;
  /// Gives the result to the completion handler, on the handler's executor, later. Passes the ownership on.
  virtual void deliver_later() noexcept = 0;
  /// The same at once, where that executor allows it. Throws what the handler throws.
  virtual void deliver() = 0;
  /// Destroys operation and handler without calling the handler.
  virtual void destroy() noexcept = 0;

  // For the lists.
  pending_call* next = nullptr;
  pending_call* previous = nullptr;

 protected:
  ~pending_call() = default;
};

/// Owns a call.
struct call_deleter {
  void operator()(pending_call* c) const noexcept { c->destroy(); }
};
using owned_call = std::unique_ptr<pending_call, call_deleter>;

class executor_scheduler final : public scheduler {
 public:
  explicit executor_scheduler(net::any_io_executor ex) : executor_{std::move(ex)} {}

  /// `s`, if it is one of these; else null.
  static executor_scheduler* of(scheduler* s) noexcept {
    return s->kind() == &own_kind ? static_cast<executor_scheduler*>(s) : nullptr;
  }
  const net::any_io_executor& executor() const noexcept { return executor_; }

  // scheduler
  time_point now() const noexcept override { return system_clocks().now(); }
  wall_time wall_now() const noexcept override { return system_clocks().wall_now(); }
  bool here() const noexcept override { return running(); }
  void post(work& w) noexcept override {
    if (here()) {
      local_.push(w, work::state::local);
      return;
    }
    // Locked until the end: an owner that forgets `w` on another thread, and then destroys the scheduler, waits for us.
    const std::lock_guard lock{mutex_};
    remote_.push(w, work::state::remote);
    make_ready();
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
  std::uint64_t seed() noexcept override { return fresh_seed(); }
  const void* kind() const noexcept override { return &own_kind; }

  /// Starts a call. A thread of the executor.
  void start(owned_call c) noexcept {
    if (here()) {
      begin(std::move(c));
      return;
    }
    if (!try_enter()) {
      const std::lock_guard lock{mutex_};
      arrived_.push(*c.release());
      make_ready();
      return;
    }
    // The caller is inside an initiating function: nothing but the start of this call may happen in it.
    {
      const entry guard{*this};
      begin(std::move(c));
      end_turn(!local_.empty());
    }
    again::detail::intrusive_list<pending_call> done;
    done.append(finished_);
    leave();
    while (pending_call* const d = done.pop()) d->deliver_later();
  }
  /// Runs `f` in a turn. False, and `f` does not run: somebody else has the turn, or the caller is in one. A handler of the
  /// executor. Throws what a completion handler throws.
  template <class F> bool run_now(F f) {
    if (here() || !try_enter()) return false;
    turn(f);
    return true;
  }
  /// A call has its result, and its operation is destroyed: it is delivered after this turn. The scheduler's turn.
  void finished(pending_call& c) noexcept {
    if (&c == beginning_) {
      began_and_finished_ = true;
    } else {
      calls_.remove(c);
    }
    finished_.push(c);
  }

  void add_user() noexcept { users_.fetch_add(1, std::memory_order_relaxed); }
  /// The last touch of a user.
  void remove_user() noexcept { users_.fetch_sub(1, std::memory_order_release); }
  bool in_use() const noexcept { return users_.load(std::memory_order_acquire) != 0; }

  /// The execution context is shut down: destroys all calls and the alarm, and gives up the executor, which may be a strand
  /// of a service that is destroyed before ours. What is posted from now on never runs. No other thread uses the context.
  void shut_down() noexcept {
    again::detail::intrusive_list<pending_call> all;
    all.append(calls_);
    all.append(arrived_);
    while (pending_call* const c = all.pop()) c->destroy();
    alarm_.reset();
    executor_ = net::any_io_executor();
  }

 private:
  static constexpr char own_kind = 0;
  static constexpr unsigned busy = 1;
  static constexpr unsigned ready = 2;
  static constexpr int fair_share = 64;  // callbacks in a turn, before other handlers of the executor get theirs

  // A handler of ours inside Asio. It does not own the scheduler: if it is destroyed uncalled, the context ends.
  struct take_turn {
    executor_scheduler* self;
    void operator()() const { self->woken(); }
  };

  // There is something to do. Under the lock, or in a turn.
  void make_ready() noexcept {
    if (state_.fetch_or(ready, std::memory_order_acq_rel) == 0) post_turn();
  }
  void post_turn() noexcept {
    if (!executor_) return;  // shut down
    add_user();
    net::post(executor_, take_turn{this});
  }
  void woken() {
    struct last_touch {
      executor_scheduler* self;
      explicit last_touch(executor_scheduler* s) noexcept : self{s} {}
      last_touch(const last_touch&) = delete;
      last_touch& operator=(const last_touch&) = delete;
      ~last_touch() { self->remove_user(); }
    };
    const last_touch at_end{this};
    if (try_enter()) turn([] {});
  }
  bool try_enter() noexcept { return (state_.fetch_or(busy, std::memory_order_acquire) & busy) == 0; }

  // One turn: `first`, then what is ready. The caller has entered. It is a handler of the executor, so that a completion
  // handler may be called here; what that throws leaves the context's `run`, as from any handler.
  template <class First> void turn(First first) {
    again::detail::intrusive_list<pending_call> done;
    {
      const entry guard{*this};
      first();
      end_turn(run_ready());
      done.append(finished_);
    }
    leave();
    // From here on another thread may have the turn. The calls keep the scheduler alive.
    while (pending_call* const c = done.pop()) {
      if (done.empty()) {
        c->deliver();  // one here, the others beside it
      } else {
        c->deliver_later();
      }
    }
  }
  void end_turn(bool more) noexcept {
    if (more) {
      state_.fetch_or(ready, std::memory_order_relaxed);
    } else {
      set_alarm();  // else the next turn will
    }
  }
  void leave() noexcept {
    unsigned expected = busy;
    if (state_.compare_exchange_strong(expected, 0, std::memory_order_acq_rel)) return;
    add_user();
    state_.fetch_and(~busy, std::memory_order_release);
    net::post(executor_, take_turn{this});  // not before: it would find us busy, on another thread, and give up
  }

  // True: there is more.
  bool run_ready() noexcept {
    int left = fair_share;
    for (;;) {
      collect();
      while (left > 0) {
        work* const w = local_.pop();
        if (w == nullptr) break;
        --left;
        w->run(*w);
      }
      if (!timers_.empty()) {
        refresh();
        while (left > 0) {
          timer* const t = timers_.pop_due(last_wake_);
          if (t == nullptr) break;
          --left;
          t->fire(*t);
        }
      }
      if (left == 0) return true;
      if (local_.empty() && (state_.load(std::memory_order_acquire) & ready) == 0) return false;
    }
  }
  // Takes what other threads have brought.
  void collect() noexcept {
    if ((state_.load(std::memory_order_acquire) & ready) == 0) return;
    again::detail::intrusive_list<pending_call> arrived;
    {
      const std::lock_guard lock{mutex_};
      state_.fetch_and(~ready, std::memory_order_relaxed);
      local_.take(remote_, work::state::local);
      arrived.append(arrived_);
    }
    while (pending_call* const c = arrived.pop()) begin(owned_call{c});
  }

  void begin(owned_call owned) noexcept {
    pending_call& c = *owned.release();
    pending_call* const outer = std::exchange(beginning_, &c);
    const bool outer_finished = std::exchange(began_and_finished_, false);
    c.begin();
    if (!began_and_finished_) calls_.push(c);
    beginning_ = outer;
    began_and_finished_ = outer_finished;
  }

  // Makes Asio wake us for the first timer. An alarm that is too early stays: it only costs a turn. But without calls and
  // timers it would keep the context's `run` from returning, so it is cancelled then; not at once, because a coroutine
  // that makes one call after the other would set and cancel an alarm for each, which costs more than the rest of the
  // call. A handler that runs after those that are queued now looks again.
  void set_alarm() noexcept {
    if (alarm_at_ <= last_wake_) alarm_at_ = never;  // it has rung
    if (settled_.load(std::memory_order_relaxed)) {
      settled_.store(false, std::memory_order_relaxed);
      settling_ = false;
      if (alarm_is_idle()) {
        alarm_at_ = never;
        alarm_->cancel();
      }
    }
    const time_point next = timers_.next();
    if (next < alarm_at_) {
      if (!alarm_) alarm_.emplace(executor_);
      alarm_at_ = next;
      alarm_->expires_at(std::chrono::time_point_cast<net::steady_timer::duration>(next));
      add_user();
      alarm_->async_wait([this](const error_code&) {
        state_.fetch_or(ready, std::memory_order_acq_rel);
        woken();
      });
    } else if (alarm_is_idle() && !settling_) {
      settling_ = true;
      add_user();
      net::post(executor_, [this] {
        settled_.store(true, std::memory_order_relaxed);
        state_.fetch_or(ready, std::memory_order_acq_rel);
        woken();
      });
    }
  }
  bool alarm_is_idle() const noexcept { return alarm_at_ != never && timers_.empty() && calls_.empty(); }

  net::any_io_executor executor_;
  std::atomic<unsigned> state_{0};
  std::atomic<std::size_t> users_{0};
  work_queue local_;
  timer_wheel timers_;
  again::detail::intrusive_list<pending_call> calls_;     // begun
  again::detail::intrusive_list<pending_call> finished_;  // to be delivered after this turn
  pending_call* beginning_ = nullptr;                     // its `begin` is running
  bool began_and_finished_ = false;
  std::optional<net::steady_timer> alarm_;
  time_point alarm_at_ = never;
  bool settling_ = false;             // a handler is queued that will ask for the alarm to be looked at
  std::atomic<bool> settled_{false};  // it has asked
  std::mutex mutex_;
  work_queue remote_;
  again::detail::intrusive_list<pending_call> arrived_;
};

/// See the top of this file. Thread: any, but not while the context is being destroyed.
class context_schedulers final : public net::execution_context::service {
 public:
  using key_type = context_schedulers;
  static inline net::execution_context::id id;

  explicit context_schedulers(net::execution_context& owner) : net::execution_context::service{owner} {}
  context_schedulers(const context_schedulers&) = delete;
  context_schedulers& operator=(const context_schedulers&) = delete;
  ~context_schedulers() override = default;

  /// The scheduler of that executor; the caller is a user of it. Null: the context is being destroyed.
  executor_scheduler* scheduler_of(const net::any_io_executor& ex) {
    const std::lock_guard lock{mutex_};
    if (over_) return nullptr;
    for (const auto& known : schedulers_) {
      if (known->executor() == ex) return use(*known);
    }
    if (schedulers_.size() >= most_idle) {
      std::erase_if(schedulers_, [](const auto& s) { return !s->in_use(); });
    }
    schedulers_.push_back(std::make_unique<executor_scheduler>(ex));
    return use(*schedulers_.back());
  }

 private:
  static constexpr std::size_t most_idle = 8;

  static executor_scheduler* use(executor_scheduler& s) noexcept {
    s.add_user();
    return &s;
  }
  void shutdown() noexcept override {
    {
      const std::lock_guard lock{mutex_};
      over_ = true;
    }
    for (const auto& s : schedulers_) s->shut_down();
  }

  std::mutex mutex_;  // guards the two below, except in `shutdown`
  std::vector<std::unique_ptr<executor_scheduler>> schedulers_;
  bool over_ = false;
};

inline executor_scheduler* scheduler_for(const net::any_io_executor& ex) {
  return net::use_service<context_schedulers>(net::query(ex, net::execution::context)).scheduler_of(ex);
}

}  // namespace detail
}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio
}  // namespace AGAIN_ABI
}  // namespace again
