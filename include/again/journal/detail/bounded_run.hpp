// SPDX-License-Identifier: MIT
/// \file
/// `bounded_run`: runs a task with a stop token and a deadline of its own, in place of those of the awaiting coroutine: a delivery is stopped
/// when its lease is lost or at the end of the sink, and what records its result goes on.
///
/// Owned by the awaiting coroutine. Thread: the scheduler's; a stop request may come from any.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/linked_stop_source.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/scheduler.hpp>
#include <again/coro/task.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {
namespace detail {

template <class T> class [[nodiscard]] bounded_run : timer {
 public:
  using result_type = T;

  /// `stop` outlives it.
  bounded_run(task<T> what, inplace_stop_token stop, time_point deadline) noexcept
      : stop_{stop}, deadline_{deadline}, run_{std::move(what)} {}
  bounded_run(const bounded_run&) = delete;
  bounded_run& operator=(const bounded_run&) = delete;
  ~bounded_run() {
    run_.reset();
    if (home_ != nullptr) home_->disarm(*this);
  }
  [[nodiscard]] auto operator co_await() && noexcept { return again::detail::startable_awaiter<bounded_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    home_ = ctx.scheduler;
    context_.scheduler = ctx.scheduler;
    context_.stop = source_.get_token();
    source_.follow(stop_);
    if (deadline_ != never) {
      context_.deadline = deadline_;
      context_.kind = deadline_kind::overall;
      this->fire = [](timer& self) noexcept { static_cast<bounded_run&>(self).source_.request_stop(); };
      home_->arm(*this, deadline_);
    }
    if (!run_->start({[](void* self) noexcept { static_cast<bounded_run*>(self)->ended(); }, this}, context_))
      return false;
    let_go();
    return true;
  }
  T take() { return run_->take(); }
  std::exception_ptr exception() noexcept { return run_->exception(); }

 private:
  void let_go() noexcept {
    source_.unlink();
    home_->disarm(*this);
  }
  void ended() noexcept {
    let_go();
    k_();
  }

  inplace_stop_token stop_;
  time_point deadline_;
  scheduler* home_ = nullptr;
  continuation k_;
  context context_;
  again::detail::linked_stop_source source_;
  std::optional<task<T>> run_;  // ends before what it refers to
};

}  // namespace detail
}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
