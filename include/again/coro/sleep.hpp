// SPDX-License-Identifier: MIT
/// \file
/// `sleep_for`, `sleep_until`, `yield`: waiting on the scheduler's clock.
///
/// ```cpp
/// const bool slept = co_await again::sleep_for(100ms);   // false: stop was requested, the time is not over
/// ```
///
/// A stop request wakes the sleeper at once. No allocation. Under `virtual_clock` nobody really sleeps.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>

#include <exception>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// True when the time has passed, false when stop was requested first.
class [[nodiscard]] sleep : timer, detail::stop_node {
 public:
  using result_type = bool;

  explicit sleep(duration span) noexcept : relative_{true} { when = time_point{span}; }
  explicit sleep(time_point until) noexcept { when = until; }
  /// Until it is awaited it may be moved, as into `when_any(ask(), sleep_for(1s))`.
  sleep(sleep&& other) noexcept : timer{}, stop_node{}, relative_{other.relative_} { when = other.when; }
  sleep& operator=(sleep&&) = delete;
  ~sleep() {
    if (context_ != nullptr) leave();
  }
  auto operator co_await() && noexcept { return detail::startable_awaiter<sleep>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    if (ctx.stop.stop_requested()) {
      slept_ = false;
      return true;
    }
    const time_point now = ctx.scheduler->now();
    time_point until = when;
    if (relative_) {
      const duration span = when.time_since_epoch();
      until = span == forever ? never : saturating_add(now, span > duration::zero() ? span : duration::zero());
    }
    if (until <= now) return true;
    k_ = k;
    context_ = &ctx;
    this->fire = [](timer& self) noexcept { static_cast<sleep&>(self).wake(true); };
    ctx.scheduler->arm(*this, until);
    this->run = &stopped;
    if (ctx.stop.stop_possible()) {
      listens_ = detail::stop_list::add(ctx.stop, *this);
      if (!listens_) stopped(*this);
    }
    return false;
  }
  bool take() const noexcept { return slept_; }
  static std::exception_ptr exception() noexcept { return nullptr; }

 private:
  // On the thread that requests the stop. The node has left the list of those that listen.
  static void stopped(work& node) noexcept {
    node.run = [](work& self) noexcept { static_cast<sleep&>(self).wake(false); };
    static_cast<sleep&>(node).context_->scheduler->post(node);
  }
  void wake(bool slept) noexcept {
    slept_ = slept;
    leave();
    k_();
  }
  void leave() noexcept {
    if (std::exchange(listens_, false)) detail::stop_list::remove(context_->stop, *this);
    context_->scheduler->disarm(*this);
    context_->scheduler->forget(*this);
    context_ = nullptr;
  }

  // Small things first: they fit behind `stop_node`.
  bool relative_ = false;  // `when` is counted from the start
  bool slept_ = true;
  bool listens_ = false;
  continuation k_;
  const context* context_ = nullptr;
};

template <class Rep, class Period> sleep sleep_for(const std::chrono::duration<Rep, Period>& span) noexcept {
  return sleep{saturating_cast(span)};
}
inline sleep sleep_until(time_point until) noexcept { return sleep{until}; }

/// Lets everything else that is ready run first.
class [[nodiscard]] yield : work {
 public:
  using result_type = void;
  yield() noexcept = default;
  yield(const yield&) = delete;
  yield& operator=(const yield&) = delete;
  ~yield() {
    if (context_ != nullptr) context_->scheduler->forget(*this);
  }
  auto operator co_await() && noexcept { return detail::startable_awaiter<yield>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    context_ = &ctx;
    this->run = [](work& self) noexcept {
      yield& y = static_cast<yield&>(self);
      y.context_ = nullptr;
      y.k_();
    };
    ctx.scheduler->post(*this);
    return false;
  }
  void take() const noexcept {}
  static std::exception_ptr exception() noexcept { return nullptr; }

 private:
  continuation k_;
  const context* context_ = nullptr;
};

}  // namespace AGAIN_ABI
}  // namespace again
