// SPDX-License-Identifier: MIT
/// \file
/// `wakeup`: coroutines wait for a time or for a call. A call while none waits is kept for the next wait. One loop, one thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/intrusive_list.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/stoppable_wait.hpp>

#include <exception>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {
namespace detail {

class wakeup {
 public:
  class wait;

  wakeup() = default;
  wakeup(const wakeup&) = delete;
  wakeup& operator=(const wakeup&) = delete;

  /// Ends all waits, or the next one where there is none.
  void wake() noexcept;
  /// Waits for a call, until `when` at most. `stoppable`: a stop request ends it, too. Gives nothing: the caller looks at what has changed.
  wait until(time_point when, bool stoppable = true) noexcept;

 private:
  again::detail::intrusive_list<wait> waiting_;
  bool called_ = false;
};

class [[nodiscard]] wakeup::wait {
 public:
  using result_type = void;
  wait(wakeup& of, time_point when, bool stoppable) noexcept : of_{of}, when_{when}, stoppable_{stoppable} {}
  wait(const wait&) = delete;
  wait& operator=(const wait&) = delete;
  ~wait() { leave(); }
  auto operator co_await() && noexcept { return again::detail::startable_awaiter<wait>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    if (std::exchange(of_.called_, false) || when_ <= ctx.scheduler->now()) return true;
    if (stoppable_ && ctx.stop.stop_requested()) return true;
    k_ = k;
    of_.waiting_.push(*this);
    listed_ = true;
    wait_.begin(ctx, when_, {[](void* self) noexcept { static_cast<wait*>(self)->over(); }, this}, stoppable_);
    return false;
  }
  void take() const noexcept {}
  static std::exception_ptr exception() noexcept { return nullptr; }

 private:
  friend class wakeup;
  friend class again::detail::intrusive_list<wait>;
  void leave() noexcept {
    if (std::exchange(listed_, false)) of_.waiting_.remove(*this);
  }
  void over() noexcept {
    leave();
    k_();
  }

  wakeup& of_;
  time_point when_;
  bool stoppable_;
  bool listed_ = false;
  wait* next = nullptr;
  wait* previous = nullptr;
  continuation k_;
  again::detail::stoppable_wait wait_;
};

inline void wakeup::wake() noexcept {
  called_ = waiting_.empty();
  while (wait* const waiting = waiting_.pop()) {
    waiting->listed_ = false;
    if (waiting->wait_.waiting()) waiting->wait_.call();
  }
}
inline wakeup::wait wakeup::until(time_point when, bool stoppable) noexcept { return {*this, when, stoppable}; }

}  // namespace detail
}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
