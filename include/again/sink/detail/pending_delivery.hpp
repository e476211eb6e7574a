// SPDX-License-Identifier: MIT
/// \file
/// What `deliver` returns. Passes on two stop requests, its caller's and the sink's own, and counts as present until its caller has
/// gone on with the result.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/task.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/async_semaphore.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// What all deliveries of a sink share, and what outlives them.
struct sink_shared {
  inplace_stop_source stop;
  sink_presence presence;
};

class [[nodiscard]] sink_run {
 public:
  using result_type = delivery;

  sink_run(sink_shared& shared, task<delivery> way) noexcept : shared_{shared}, way_{std::move(way)} {}
  sink_run(const sink_run&) = delete;
  sink_run& operator=(const sink_run&) = delete;
  ~sink_run() {
    from_caller_.reset();
    from_sink_.reset();
    if (!present_) return;
    way_.reset();
    shared_.presence.go();
  }
  auto operator co_await() && noexcept { return startable_awaiter<sink_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    shared_.presence.come();
    present_ = true;
    context_ = ctx;
    context_.stop = stop_.get_token();
    from_sink_.emplace(shared_.stop.get_token(), forward{&stop_});
    if (ctx.stop.stop_possible()) from_caller_.emplace(ctx.stop, forward{&stop_});
    if (!way_->start({&sink_run::finished, this}, context_)) return false;
    present_ = false;
    shared_.presence.go();  // whoever waits for that is posted, and so comes after the caller
    return true;
  }
  result_type take() { return way_->take(); }
  std::exception_ptr exception() noexcept { return way_->exception(); }

 private:
  struct forward {
    inplace_stop_source* to;
    void operator()() const noexcept { to->request_stop(); }
  };
  static void finished(void* p) noexcept {
    sink_run& self = *static_cast<sink_run*>(p);
    sink_shared& shared = self.shared_;
    self.present_ = false;
    self.k_();  // ends `self`
    shared.presence.go();
  }

  sink_shared& shared_;
  continuation k_;
  context context_;
  bool present_ = false;
  inplace_stop_source stop_;
  std::optional<inplace_stop_callback<forward>> from_sink_, from_caller_;
  std::optional<task<delivery>> way_;  // ends before what it listens to
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again

namespace again {
inline namespace AGAIN_ABI {

/// A delivery that begins when it is awaited: `co_await sink.deliver(e)`; with others: `when_all(sink.deliver(a), sink.deliver(b))`.
class [[nodiscard]] pending_delivery {
 public:
  pending_delivery(detail::sink_shared& shared, task<delivery> way) noexcept : shared_{&shared}, way_{std::move(way)} {}
  auto operator co_await() && {
    return detail::holding_awaiter<detail::sink_run>{std::in_place, *shared_, std::move(way_)};
  }

 private:
  detail::sink_shared* shared_;
  task<delivery> way_;
};

}  // namespace AGAIN_ABI
}  // namespace again
