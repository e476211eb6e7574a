// SPDX-License-Identifier: MIT
/// \file
/// The ticket of `limit`: it asks for a slot, or a place in the queue. `admission_run` says what the members mean.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_reason.hpp>
#include <again/coro/awaitable.hpp>
#include <again/protection/detail/admission_run.hpp>
#include <again/protection/detail/slot_queue.hpp>

#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class limit_ticket {
 public:
  static constexpr bool timed = false;
  explicit limit_ticket(slot_queue& slots) noexcept : slots_{slots} {}
  limit_ticket(const limit_ticket&) = delete;
  limit_ticket& operator=(const limit_ticket&) = delete;
  ~limit_ticket() { withdraw(); }

  admission ask(time_point, scheduler& home, continuation granted) noexcept {
    took_slot_ = slots_.take();
    return took_slot_ ? admission{} : join(home, granted);
  }
  void withdraw() noexcept {
    if (std::exchange(took_slot_, false)) {
      slots_.give_back();
    } else if (waiter_) {
      leave();
    }
  }
  void ended(lazy_time&, const admission_outcome&) noexcept { withdraw(); }

 private:
  struct waiter : slot_queue::waiter {
    waiter(scheduler& loop, continuation k) noexcept : slot_queue::waiter{loop}, granted{k} {
      this->run = [](work& self) noexcept { static_cast<waiter&>(self).granted(); };
    }
    continuation granted;
  };

  // Out of line: a caller that finds a free slot pays nothing for them.
  [[gnu::noinline]] admission join(scheduler& home, continuation granted) noexcept {
    switch (slots_.join(waiter_.emplace(home, granted))) {
      case slot_queue::reply::queued: return {.is = admission::state::queued};
      case slot_queue::reply::full:
        waiter_.reset();
        return {.is = admission::state::refused, .reason = stop_reason::overloaded};
      case slot_queue::reply::slot: break;
    }
    waiter_.reset();
    took_slot_ = true;
    return {};
  }
  [[gnu::noinline]] void leave() noexcept {
    slots_.leave(*waiter_);
    waiter_.reset();
  }

  slot_queue& slots_;
  bool took_slot_ = false;  // at once; one that has waited for its slot holds it as a waiter
  manual_optional<waiter> waiter_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
