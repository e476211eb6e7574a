// SPDX-License-Identifier: MIT
/// \file
/// `cancel_switch`: how one thread breaks off what another is blocked in. Sticky, and never blocks for long.
#pragma once

#include <again/verdict.hpp>

#include <mutex>

namespace again::inline AGAIN_ABI::http::detail {

/// One per attempt. The blocked thread installs a `breaker` for each phase that can block; `raise` breaks the one installed,
/// and every later phase finds the switch raised and does not begin.
///
/// Lock order: the switch, then whatever the breaker locks (socket_watch, lookup); neither calls out while locked.
class cancel_switch {
 public:
  /// Breaks off a phase, from any thread, and says how far the request had got.
  struct breaker {
    reach (*run)(void*) noexcept = nullptr;
    void* self = nullptr;
  };

  cancel_switch() = default;
  cancel_switch(const cancel_switch&) = delete;
  cancel_switch& operator=(const cancel_switch&) = delete;
  ~cancel_switch() = default;

  /// How far the request had got when it was first raised. Any thread, any number of times.
  reach raise() noexcept {
    const std::lock_guard lock{mutex_};
    if (current_.run != nullptr) {
      const reach now = current_.run(current_.self);
      if (now > at_most_) at_most_ = now;
    }
    raised_ = true;
    return at_most_;
  }
  bool raised() const noexcept {
    const std::lock_guard lock{mutex_};
    return raised_;
  }

  /// Installs a breaker for a scope. `entered()` is false if the switch was raised before: do not begin.
  class [[nodiscard]] phase {
   public:
    phase(cancel_switch& owner, breaker b) noexcept : owner_{owner} {
      const std::lock_guard lock{owner_.mutex_};
      entered_ = !owner_.raised_;
      if (entered_) owner_.current_ = b;
    }
    phase(const phase&) = delete;
    phase& operator=(const phase&) = delete;
    ~phase() {
      const std::lock_guard lock{owner_.mutex_};
      owner_.current_ = {};
    }
    bool entered() const noexcept { return entered_; }

   private:
    cancel_switch& owner_;
    bool entered_ = false;
  };

 private:
  mutable std::mutex mutex_;
  breaker current_;
  bool raised_ = false;
  reach at_most_ = reach::not_sent;
};

}  // namespace again::inline AGAIN_ABI::http::detail
