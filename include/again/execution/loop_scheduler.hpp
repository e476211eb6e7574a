// SPDX-License-Identifier: MIT
/// \file
/// `loop_scheduler`: a loop of this library, or any other `again::scheduler`, as a scheduler of P2300.
///
/// ```cpp
/// again::execution::loop_scheduler on_loop{loop};
/// stdexec::sync_wait(stdexec::starts_on(on_loop, work));
/// exec::schedule_after(on_loop, 10ms);                      // timed, as <exec/timed_scheduler.hpp> wants it
/// ```
///
/// - `schedule()` completes on the loop's thread, by a post: never inside `start`. It completes with `set_stopped` if
///   stop was requested when its turn has come.
/// - `schedule_after(d)`, `schedule_at(t)`: when the time has come, on the loop's clock, so that pretend time counts. A
///   stop request wakes it at once. A time that has passed completes at once, inside `start` if that runs on the loop's
///   thread.
/// - Errors: none.
/// - Lifetime: the loop outlives every operation that was started on it.
/// - Thread: any.
/// - Cost: no allocation.
#pragma once

#include <again/coro/scheduler.hpp>
#include <again/coro/sleep.hpp>
#include <again/execution/detail/run_operation.hpp>
#include <again/execution/library.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {
namespace detail {

/// How a sleep completes: without a value, or stopped.
struct sleep_end {
  template <class Body, class Receiver> static void deliver(Body& slept, bool, Receiver&& to) noexcept {
    if (slept.take()) {
      lib::set_value(static_cast<Receiver&&>(to));
    } else {
      lib::set_stopped(static_cast<Receiver&&>(to));
    }
  }
};

template <class Receiver> class schedule_state : work {
 public:
  using operation_state_concept = lib::operation_state_tag;

  schedule_state(again::scheduler& loop, Receiver to)
      : work{.run = [](work& self) noexcept { static_cast<schedule_state&>(self).arrived(); }},
        loop_{loop},
        receiver_(std::move(to)) {}
  schedule_state(schedule_state&&) = delete;

  void start() & noexcept { loop_.post(*this); }  // the loop may destroy this before `post` returns

 private:
  void arrived() noexcept {
    if (lib::get_stop_token(lib::get_env(receiver_)).stop_requested()) {
      lib::set_stopped(std::move(receiver_));
    } else {
      lib::set_value(std::move(receiver_));
    }
  }

  again::scheduler& loop_;
  Receiver receiver_;
};

}  // namespace detail

/// See the top of this file.
class loop_scheduler {
 public:
  using scheduler_concept = lib::scheduler_tag;
  explicit loop_scheduler(again::scheduler& loop) noexcept : loop_{&loop} {}
  [[nodiscard]] again::scheduler& loop() const noexcept { return *loop_; }
  friend bool operator==(loop_scheduler, loop_scheduler) noexcept = default;

  /// What the senders of a loop say of themselves.
  struct attributes {
    again::scheduler* loop;
    template <class Signal> loop_scheduler query(lib::get_completion_scheduler_t<Signal>) const noexcept {
      return loop_scheduler{*loop};
    }
  };

  class schedule_sender {
   public:
    using sender_concept = lib::sender_tag;
    using completion_signatures = lib::completion_signatures<lib::set_value_t(), lib::set_stopped_t()>;
    explicit schedule_sender(again::scheduler& loop) noexcept : loop_{&loop} {}
    [[nodiscard]] attributes get_env() const noexcept { return {loop_}; }
    template <lib::receiver Receiver> detail::schedule_state<Receiver> connect(Receiver to) const {
      return {*loop_, std::move(to)};
    }

   private:
    again::scheduler* loop_;
  };

  class timed_sender {
   public:
    using sender_concept = lib::sender_tag;
    using completion_signatures =
        lib::completion_signatures<lib::set_value_t(), lib::set_error_t(std::exception_ptr), lib::set_stopped_t()>;
    timed_sender(again::scheduler& loop, duration span) noexcept : loop_{&loop}, relative_{true}, span_{span} {}
    timed_sender(again::scheduler& loop, time_point until) noexcept : loop_{&loop}, until_{until} {}
    [[nodiscard]] attributes get_env() const noexcept { return {loop_}; }
    template <lib::receiver Receiver>
    detail::operation_state<sleep, detail::sleep_end, Receiver> connect(Receiver to) const {
      return {relative_ ? sleep_for(span_) : sleep_until(until_), loop_, std::move(to)};
    }

   private:
    again::scheduler* loop_;
    bool relative_ = false;
    duration span_{};
    time_point until_{};
  };

  [[nodiscard]] schedule_sender schedule() const noexcept { return schedule_sender{*loop_}; }
  [[nodiscard]] timed_sender schedule_after(duration span) const noexcept { return {*loop_, span}; }
  [[nodiscard]] timed_sender schedule_at(time_point until) const noexcept { return {*loop_, until}; }
  [[nodiscard]] time_point now() const noexcept { return loop_->now(); }
  static constexpr lib::forward_progress_guarantee query(lib::get_forward_progress_guarantee_t) noexcept {
    return lib::forward_progress_guarantee::parallel;
  }

 private:
  again::scheduler* loop_;
};

}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution
}  // namespace AGAIN_ABI
}  // namespace again
