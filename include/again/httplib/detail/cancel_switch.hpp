// SPDX-License-Identifier: MIT
/// \file
/// `cancel_switch`: how one thread breaks off what another is blocked in. Sticky, and never blocks for long.
#pragma once

#include <again/policy/verdict.hpp>

#include <mutex>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// One per attempt. The blocked thread installs a `breaker` for each phase that can block. `raise` breaks the one installed;
/// every later phase finds the switch raised and does not begin.
///
/// It also decides which side ends the attempt: of `raise` and `settle` the first wins, and the winner gives the result. So a
/// response that is complete is never replaced by "stopped", and nothing that was stopped calls itself finished. `decide` wins
/// before the attempt has ended.
///
/// Threads: `raise` and `raised` any; the rest the worker that makes the attempt. Lock order: the switch, then what the breaker
/// locks (socket_watch, lookup). Neither calls out while locked.
class cancel_switch {
 public:
  /// What stops the attempt. The awaiter, and the bound on its time, give the result themselves; the pool leaves it to the worker.
  enum class by : unsigned char { none, awaiter, bound, pool };
  /// Breaks off a phase, on the thread that raises, and says how far the request had got.
  struct breaker {
    reach (*run)(void* self, by source) noexcept = nullptr;
    void* self = nullptr;
  };
  struct raising {
    bool first;  ///< this call stopped it; false where it was decided, settled or stopped before
    reach far;   ///< how far the request had got then
  };

  cancel_switch() = default;
  cancel_switch(const cancel_switch&) = delete;
  cancel_switch& operator=(const cancel_switch&) = delete;
  ~cancel_switch() = default;

  /// Any number of times: each breaks what runs, if it is not settled.
  raising raise(by source) noexcept {
    const std::lock_guard lock{mutex_};
    const bool first = !settled_ && raised_ == by::none;
    if (first) raised_ = source;
    if (current_.run != nullptr) at_least(current_.run(current_.self, raised_));
    return {first, at_most_};
  }
  /// The attempt is over, having come so far. Its breaker is gone from now on, so that what it would break can be handed on.
  /// Says what has stopped it.
  by settle(reach far) noexcept {
    const std::lock_guard lock{mutex_};
    current_ = {};
    at_least(far);
    settled_ = true;
    return raised_;
  }
  /// The attempt has its result, and goes on for a while: whoever raises from now on breaks it off and waits for that result. False: it
  /// was stopped before.
  bool decide() noexcept {
    const std::lock_guard lock{mutex_};
    if (raised_ != by::none) return false;
    settled_ = true;
    return true;
  }
  by raised() const noexcept {
    const std::lock_guard lock{mutex_};
    return raised_;
  }

  /// Installs a breaker for a scope. Where `entered()` is false the switch was raised before: do not begin.
  class [[nodiscard]] phase {
   public:
    /// `worst`: how far the request may have got if the scope is left before `settle` and without `sent_nothing`.
    phase(cancel_switch& owner, breaker b, reach worst) noexcept : owner_{owner}, worst_{worst} {
      const std::lock_guard lock{owner_.mutex_};
      entered_ = owner_.raised_ == by::none;
      if (entered_) owner_.current_ = b;
    }
    phase(const phase&) = delete;
    phase& operator=(const phase&) = delete;
    ~phase() {
      const std::lock_guard lock{owner_.mutex_};
      owner_.current_ = {};
      if (entered_ && !owner_.settled_) owner_.at_least(worst_);
    }
    bool entered() const noexcept { return entered_; }
    void sent_nothing() noexcept { worst_ = reach::not_sent; }

   private:
    cancel_switch& owner_;
    reach worst_;
    bool entered_ = false;
  };

 private:
  void at_least(reach far) noexcept {
    if (far > at_most_) at_most_ = far;
  }

  mutable std::mutex mutex_;
  breaker current_;
  by raised_ = by::none;
  bool settled_ = false;
  reach at_most_ = reach::not_sent;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
