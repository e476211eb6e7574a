// SPDX-License-Identifier: MIT
/// \file
/// `pending_delivery`: what `deliver` returns. It is stopped by its caller and by its sink, and counts as active until its caller
/// has gone on with the result, so that `close` ends after all callers.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/await_bounds.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/task.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/active_count.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// What the deliveries of a sink share. Outlives them.
struct pending_deliveries {
  inplace_stop_source stop;
  active_count count;
};

/// A startable: runs the task of one delivery.
class [[nodiscard]] delivery_run {
 public:
  using result_type = delivery;

  delivery_run(pending_deliveries& all, task<delivery> way, rare_bounds bounds) noexcept
      : all_{all}, bounds_{std::move(bounds)}, way_{std::move(way)} {}
  delivery_run(const delivery_run&) = delete;
  delivery_run& operator=(const delivery_run&) = delete;
  ~delivery_run() {
    from_caller_.unlink();
    from_sink_.unlink();
    if (!active_) return;
    way_.reset();
    all_.count.end();
  }
  auto operator co_await() && noexcept { return startable_awaiter<delivery_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    all_.count.begin();
    active_ = true;
    const context& caller = bounds_.begin(ctx);
    context_ = caller;
    context_.stop = stop_.get_token();
    from_sink_.follow(all_.stop.get_token(), stop_);
    from_caller_.follow(caller.stop, stop_);
    if (!way_->start({&delivery_run::finished, this}, context_)) return false;
    active_ = false;
    release();
    all_.count.end();  // those that wait for it are posted, and so come after the caller
    return true;
  }
  result_type take() { return way_->take(); }
  std::exception_ptr exception() noexcept { return way_->exception(); }

 private:
  static void finished(void* p) noexcept {
    delivery_run& self = *static_cast<delivery_run*>(p);
    pending_deliveries& all = self.all_;
    self.active_ = false;
    self.release();
    self.k_();  // ends `self`
    all.count.end();
  }

  // Nothing of the awaiting context is used any more.
  void release() noexcept {
    from_caller_.unlink();
    bounds_.end();
  }

  pending_deliveries& all_;
  rare_bounds bounds_;
  continuation k_;
  context context_;
  bool active_ = false;
  inplace_stop_source stop_;
  stop_link from_sink_, from_caller_;
  std::optional<task<delivery>> way_;  // ends before what it listens to
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again

namespace again {
inline namespace AGAIN_ABI {

/// A delivery that begins when it is awaited: `co_await sink.deliver(e)`; with others: `when_all(sink.deliver(a), sink.deliver(b))`.
/// It is stopped alone by `.stop(token)`, and bounded by `.within(duration)`.
class [[nodiscard]] pending_delivery : public detail::has_rare_bounds<pending_delivery> {
 public:
  pending_delivery(detail::pending_deliveries& all, task<delivery> way) noexcept : all_{&all}, way_{std::move(way)} {}
  auto operator co_await() && {
    return detail::holding_awaiter<detail::delivery_run>{std::in_place, *all_, std::move(way_), std::move(bounds_)};
  }

 private:
  friend detail::has_rare_bounds<pending_delivery>;
  detail::rare_bounds& bounds() noexcept { return bounds_; }
  detail::pending_deliveries* all_;
  detail::rare_bounds bounds_;
  task<delivery> way_;
};

}  // namespace AGAIN_ABI
}  // namespace again
