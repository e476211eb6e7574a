// SPDX-License-Identifier: MIT
/// \file
/// `sleep_for`, `sleep_until`, `yield`: waiting on the scheduler's clock.
///
/// ```cpp
/// const bool slept = co_await again::sleep_for(100ms);   // false: stop was requested, the time is not over
/// ```
///
/// - Result: of a sleep true when the time has passed, false when stop was requested first. Nothing throws.
/// - Cancellation: a stop request wakes a sleeper at once. A `yield` ignores it.
/// - Lifetime: destroying the awaiting coroutine disarms the timer. A `sleep` can be moved until it is awaited.
/// - Cost: no allocation. A span of zero or less, or a time that has passed, does not suspend.
/// - Under `virtual_clock` no thread sleeps: the clock jumps to the end of the sleep.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/stoppable_wait.hpp>

#include <exception>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// True when the time has passed, false when stop was requested first.
class [[nodiscard]] sleep : detail::stoppable_wait {
 public:
  using result_type = bool;

  explicit sleep(duration_with_unit span) noexcept {
    when = time_point{span};
    relative_ = true;
  }
  explicit sleep(time_point until) noexcept { when = until; }
  /// For arguments of combinators: `when_any(ask(), sleep_for(1s))`. Not once it is awaited.
  sleep(sleep&& other) noexcept : detail::stoppable_wait{} {
    when = other.when;
    relative_ = other.relative_;
  }
  sleep& operator=(sleep&&) = delete;
  ~sleep() = default;
  auto operator co_await() && noexcept { return detail::startable_awaiter<sleep>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    if (ctx.stop.stop_requested()) {
      end_ = detail::wait_end::stopped;
      return true;
    }
    const time_point now = ctx.scheduler->now();
    time_point until = when;
    if (relative_) {
      const duration span = when.time_since_epoch();
      until = span == forever ? never : saturating_add(now, span > duration::zero() ? span : duration::zero());
    }
    if (until <= now) return true;
    begin(ctx, until, k);
    return false;
  }
  bool take() const noexcept { return ended() == detail::wait_end::elapsed; }
  static std::exception_ptr exception() noexcept { return nullptr; }
};

template <class Rep, class Period> sleep sleep_for(const std::chrono::duration<Rep, Period>& span) noexcept {
  return sleep{saturating_cast(span)};
}
template <class Number>
  requires std::is_arithmetic_v<Number>
sleep sleep_for(Number) noexcept {
  static_assert(!std::is_arithmetic_v<Number>,
                "again: a duration needs a unit: write 5s or 5000ms (after `using namespace std::chrono_literals;`)");
  return sleep{duration::zero()};
}
inline sleep sleep_until(time_point until) noexcept { return sleep{until}; }

/// Suspends until everything else that is ready has run.
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
