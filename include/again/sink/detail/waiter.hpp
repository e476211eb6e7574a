// SPDX-License-Identifier: MIT
/// \file
/// `waiter`: waits in a line until the owner of the line grants what it waits for, stop is requested, or a time is over.
///
/// A waiter stays in the line until it has woken up. So the owner knows that a grant is still on its way, and lets nobody overtake it.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/intrusive_list.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/coro/scheduler.hpp>

#include <cstdint>
#include <exception>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class waiter;
using fifo = intrusive_list<waiter>;

/// A startable; the result says whether it was granted what it waited for. One loop, one thread.
/// Lifetime: the line and its owner outlive it. Destroyed while it waits, it leaves the line; destroyed between the grant and its
/// wake-up, it gives back what it was granted.
class [[nodiscard]] waiter {
 public:
  using result_type = bool;

  /// What the owner of a line does for its waiters.
  struct owner {
    void* self;
    bool (*try_grant)(void* self) noexcept;  ///< asked at the start; true: there is no need to wait
    void (*serve)(void* self) noexcept;      ///< grants what it can to those in the line
    void (*give_back)(void* self) noexcept;  ///< takes back a grant that was never used
  };

  waiter(fifo& line, const owner& of, duration at_most = forever, bool stoppable = true) noexcept
      : line_{line}, owner_{of}, at_most_{at_most}, stoppable_{stoppable} {}
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;
  ~waiter() {
    if (!in_line()) return;
    wait_.cancel();
    line_.remove(*this);
    if (state_ == state::granted_on_its_way) owner_.give_back(owner_.self);
  }
  auto operator co_await() && noexcept { return startable_awaiter<waiter>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    if (stoppable_ && ctx.stop.stop_requested()) return true;
    if (owner_.try_grant(owner_.self)) {
      state_ = state::granted;
      return true;
    }
    k_ = k;
    state_ = state::waiting;
    line_.push(*this);
    const time_point until = at_most_ == forever ? never : saturating_add(ctx.scheduler->now(), at_most_);
    wait_.begin(ctx, until, {&waiter::woken, this}, stoppable_);
    owner_.serve(owner_.self);
    return false;
  }
  bool take() const noexcept { return state_ == state::granted; }
  static std::exception_ptr exception() noexcept { return nullptr; }

  // For the owner of the line.

  [[nodiscard]] bool waiting() const noexcept { return state_ == state::waiting; }
  void grant() noexcept { call(state::granted_on_its_way); }
  void refuse() noexcept { call(state::refused_on_its_way); }

 private:
  enum class state : std::uint8_t { outside, waiting, granted_on_its_way, refused_on_its_way, granted, refused };

  bool in_line() const noexcept { return state_ >= state::waiting && state_ <= state::refused_on_its_way; }
  void call(state to) noexcept {
    state_ = to;
    wait_.call();
  }
  static void woken(void* p) noexcept {
    waiter& self = *static_cast<waiter*>(p);
    self.line_.remove(self);
    self.state_ = self.state_ == state::granted_on_its_way ? state::granted : state::refused;
    self.k_();
  }

  friend class intrusive_list<waiter>;
  waiter* next = nullptr;
  waiter* previous = nullptr;

  fifo& line_;
  const owner owner_;
  const duration at_most_;
  const bool stoppable_;
  state state_ = state::outside;
  continuation k_;
  stoppable_wait wait_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
