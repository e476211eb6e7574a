// SPDX-License-Identifier: MIT
/// \file
/// The ticket of `guard`: it asks the circuit breaker. `admission_run` says what the members mean.
#pragma once

#include <again/core/stop_reason.hpp>
#include <again/coro/awaitable.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/detail/admission_run.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class guard_ticket {
 public:
  static constexpr bool timed = true;
  explicit guard_ticket(breaker& shared) noexcept : call_{shared} {}
  admission ask(time_point now, scheduler&, continuation) noexcept {
    if (call_.admit(now)) return {};
    return {.is = admission::state::refused, .reason = stop_reason::breaker_open};
  }
  void withdraw() noexcept { call_.abandon(); }
  void ended(lazy_time& now, const admission_outcome& how) noexcept {
    if (how.ok) {
      if (!call_.succeeded_if_quiet()) call_.succeeded(now());
    } else if (how.failed != nullptr) {
      call_.failed(now(), *how.failed, how.timed_out);
    } else {
      call_.abandon();
    }
  }

 private:
  breaker::call call_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
