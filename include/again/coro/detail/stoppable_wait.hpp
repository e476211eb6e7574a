// SPDX-License-Identifier: MIT
/// \file
/// The one way to wait: for a time, for a stop request, or to be called by its owner, whichever comes first.
///
/// It is one node: for the scheduler's timer, for the list of those that listen for a stop, and for the queue of work that is
/// about to run. So a wait allocates nothing and nothing can fail.
///
/// Threads: everything on the scheduler's thread, but for `stopped`, which a stop request runs on its own thread and which only
/// posts. Lifetime: the destructor ends the wait; the context must outlive it.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/context.hpp>
#include <again/coro/scheduler.hpp>

#include <cstdint>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// How a wait ended.
enum class wait_end : std::uint8_t { elapsed, stopped, called };

class stoppable_wait : protected timer, stop_node {
 public:
  stoppable_wait() noexcept = default;
  stoppable_wait(const stoppable_wait&) = delete;
  stoppable_wait& operator=(const stoppable_wait&) = delete;
  ~stoppable_wait() { cancel(); }

  /// Waits until `until` (`never`: no timer) or until stop is requested of `ctx` (unless not `stoppable`). `k` is called once when it
  /// is over: later, on the scheduler's thread, never from in here. A stop requested already ends the wait in its turn, too.
  [[gnu::noinline]] void begin(const context& ctx, time_point until, continuation k, bool stoppable = true) noexcept {
    k_ = k;
    context_ = &ctx;
    this->fire = [](timer& self) noexcept { static_cast<stoppable_wait&>(self).over(wait_end::elapsed); };
    this->run = &stopped;
    if (until != never) ctx.scheduler->arm(*this, until);
    if (stoppable && ctx.stop.stop_possible()) {
      listens_ = stop_list::add(ctx.stop, *this);
      if (!listens_) stopped(*this);
    }
  }
  /// Ends the wait: `k` is called in its turn, and the wait was `called`. Only while `waiting`.
  void call() noexcept {
    quit();
    this->run = [](work& self) noexcept { static_cast<stoppable_wait&>(self).over(wait_end::called); };
    context_->scheduler->post(*this);
  }
  /// Ends the wait without a call. Harmless if there is none.
  void cancel() noexcept {
    if (context_ != nullptr) [[unlikely]]
      end();
  }
  [[nodiscard]] bool waiting() const noexcept { return context_ != nullptr; }
  /// After `k` was called.
  [[nodiscard]] wait_end ended() const noexcept { return end_; }

 private:
  // The stopping thread. The node has left the list of those that listen.
  static void stopped(work& node) noexcept {
    node.run = [](work& self) noexcept { static_cast<stoppable_wait&>(self).over(wait_end::stopped); };
    static_cast<stoppable_wait&>(node).context_->scheduler->post(node);
  }
  void over(wait_end how) noexcept {
    end_ = how;
    cancel();
    k_();
  }
  [[gnu::noinline]] void end() noexcept {
    quit();
    context_ = nullptr;
  }
  // Out of the list, the wheel and the queue.
  void quit() noexcept {
    if (std::exchange(listens_, false)) stop_list::remove(context_->stop, *this);
    context_->scheduler->disarm(*this);
    context_->scheduler->forget(*this);
  }

  // Small things first: they fit into the padding behind `stop_node`.
  bool listens_ = false;

 protected:
  wait_end end_ = wait_end::elapsed;
  bool relative_ = false;  // of a `sleep`, which would be eight bytes longer with a flag of its own

 private:
  continuation k_;
  const context* context_ = nullptr;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
