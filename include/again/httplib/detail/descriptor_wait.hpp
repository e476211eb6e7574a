// SPDX-License-Identifier: MIT
/// \file
/// `descriptor_wait`: where an attempt waits that found no descriptor left, until another attempt ends.
#pragma once

#include <again/httplib/detail/cancel_switch.hpp>
#include <again/policy/verdict.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Shared by all attempts of a pool. Threads: the workers; a stop request wakes one that waits, from any. The mutex is a leaf.
class descriptor_wait {
 public:
  /// `close_idle` closes a connection that no attempt uses; false: there is none.
  explicit descriptor_wait(std::function<bool()> close_idle) : close_idle_{std::move(close_idle)} {}

  void attempt_begins() noexcept {
    const std::lock_guard lock{mutex_};
    ++running_;
  }
  /// Its connection is closed or idle.
  void attempt_ended() noexcept {
    const std::lock_guard lock{mutex_};
    --running_;
    ++ended_;
    if (waiting_ > 0) changed_.notify_all();
    waiting_ = 0;  // they may try again, awake already or not
  }

  /// How many attempts have ended. To be read before each try, so that what ends after it is not missed.
  std::uint64_t ended() noexcept {
    const std::lock_guard lock{mutex_};
    return ended_;
  }
  /// For an attempt that runs, and whose last try began when `seen` attempts had ended: makes it worth another try, or waits until
  /// it is or the attempt is stopped. False: no connection of ours is open that could end.
  bool free_one(cancel_switch& stop, std::uint64_t seen) {
    waiter me{*this};
    if (ended() != seen || close_idle_()) return true;
    const cancel_switch::phase phase{
        stop,
        {[](void* self, cancel_switch::by) noexcept { return static_cast<waiter*>(self)->stop(); }, &me},
        reach::not_sent};
    if (!phase.entered()) return true;  // the next try finds out
    std::unique_lock lock{mutex_};
    if (ended_ != seen) return true;
    ++waiting_;
    changed_.wait(lock, [&] { return me.stopped || ended_ != seen || waiting_ == running_; });
    if (ended_ != seen) return true;
    --waiting_;
    return me.stopped;
  }

 private:
  struct waiter {
    descriptor_wait& owner;
    bool stopped = false;

    reach stop() noexcept {
      const std::lock_guard lock{owner.mutex_};
      stopped = true;
      owner.changed_.notify_all();
      return reach::not_sent;
    }
  };

  const std::function<bool()> close_idle_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t ended_ = 0;
  std::size_t running_ = 0;
  std::size_t waiting_ = 0;  // since the last end
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
