// SPDX-License-Identifier: MIT
/// \file
/// `stoppable_wait`: waits for a time, for a stop request, or for a call by its owner, whichever comes first. The
/// library's waits are built on it.
///
/// It is at once a node of the scheduler's timers, of the stop source's list of callbacks, and of the scheduler's
/// queue. So a wait allocates nothing and cannot fail.
///
/// Threads: everything on the scheduler's thread, except `stopped`, which runs on the thread that requests the stop and
/// only posts. Lifetime: the destructor cancels the wait. The context outlives the wait.
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

  /// Waits until `until` (`never`: no timer), or until stop is requested of `ctx` if `stoppable`. Then `k` is called
  /// once, on the scheduler's thread, never from inside `begin`. If stop has been requested already, `k` is called in
  /// its turn.
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
  /// Ends the wait early: `k` is called in its turn, and `ended()` is `called`. Only while `waiting()`.
  void call() noexcept {
    quit();
    this->run = [](work& self) noexcept { static_cast<stoppable_wait&>(self).over(wait_end::called); };
    context_->scheduler->post(*this);
  }
  /// Ends the wait without calling `k`. Does nothing if there is no wait.
  void cancel() noexcept {
    if (context_ != nullptr) [[unlikely]]
      end();
  }
  [[nodiscard]] bool waiting() const noexcept { return context_ != nullptr; }
  /// How the wait ended. Valid once `k` is called.
  [[nodiscard]] wait_end ended() const noexcept { return end_; }

 private:
  // Runs on the thread that requests the stop. The stop source has removed the node from its list.
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
  // Removes the node from the stop source, the timers and the queue.
  void quit() noexcept {
    if (std::exchange(listens_, false)) stop_list::remove(context_->stop, *this);
    context_->scheduler->disarm(*this);
    context_->scheduler->forget(*this);
  }

  // Small members first: they fit into the padding behind `stop_node`.
  bool listens_ = false;

 protected:
  wait_end end_ = wait_end::elapsed;
  bool relative_ = false;  // used by `sleep`: here it needs no room

 private:
  continuation k_;
  const context* context_ = nullptr;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
