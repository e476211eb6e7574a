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

/// One per attempt. The blocked thread installs a `breaker` for each phase that can block; `raise` breaks the one installed,
/// and every later phase finds the switch raised and does not begin.
///
/// It also decides who ends the attempt: of `raise` and `settle` the first wins, and whoever wins gives the result. So a response
/// that is complete is never replaced by "stopped", and nothing that was stopped calls itself finished.
///
/// Lock order: the switch, then whatever the breaker locks (socket_watch, lookup); neither calls out while locked.
class cancel_switch {
 public:
  /// Breaks off a phase, from any thread, and says how far the request had got.
  struct breaker {
    reach (*run)(void*) noexcept = nullptr;
    void* self = nullptr;
  };
  /// Who stops it, and therefore gives the result: the one who awaits it (or the bound on its time), or the pool, which leaves it
  /// to the worker.
  enum class by : unsigned char { nobody, awaiter, bound, pool };
  struct raising {
    bool first;  ///< this call stopped it: false where it was settled, or stopped, before
    reach far;   ///< how far the request had got then
  };

  cancel_switch() = default;
  cancel_switch(const cancel_switch&) = delete;
  cancel_switch& operator=(const cancel_switch&) = delete;
  ~cancel_switch() = default;

  /// Any thread, any number of times; each breaks what runs, if it is not settled.
  raising raise(by who) noexcept {
    const std::lock_guard lock{mutex_};
    if (current_.run != nullptr) at_least(current_.run(current_.self));
    const bool first = !settled_ && raised_ == by::nobody;
    if (first) raised_ = who;
    return {first, at_most_};
  }
  /// The attempt is over, having come so far: its breaker is gone from now on, so that what it would break can be handed on.
  /// Says who has stopped it, if anybody has.
  by settle(reach far) noexcept {
    const std::lock_guard lock{mutex_};
    current_ = {};
    at_least(far);
    settled_ = true;
    return raised_;
  }
  by raised() const noexcept {
    const std::lock_guard lock{mutex_};
    return raised_;
  }

  /// Installs a breaker for a scope. `entered()` is false if the switch was raised before: do not begin.
  class [[nodiscard]] phase {
   public:
    /// `worst`: how far the request may have got where the scope is left before `settle` and without `harmless`.
    phase(cancel_switch& owner, breaker b, reach worst) noexcept : owner_{owner}, worst_{worst} {
      const std::lock_guard lock{owner_.mutex_};
      entered_ = owner_.raised_ == by::nobody;
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
    /// Nothing was sent in it.
    void harmless() noexcept { worst_ = reach::not_sent; }

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
  by raised_ = by::nobody;
  bool settled_ = false;
  reach at_most_ = reach::not_sent;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
