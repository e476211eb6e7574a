// SPDX-License-Identifier: MIT
/// \file
/// `again::stop_reason`: all reasons for which a retry, or another combinator, ends without a value.
///
/// The list is closed: a `switch` over it needs no `default`. In a `failure<E>` the reason stands beside the last real
/// error; it never replaces the error.
#pragma once

#include <again/core/expected.hpp>

#include <cstdint>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {

enum class stop_reason : std::uint8_t {
  attempts_exhausted,     ///< the last attempt that the policy allows has failed
  permanent,              ///< the error says that another attempt would fail as well
  not_replayable,         ///< unsafe to send again: the request may have taken effect, or its body cannot be read again
  deadline_reached,       ///< the deadline passed, in an attempt or before the first one
  deadline_too_near,      ///< the next wait would end after the deadline, so it was not begun
  server_delay_too_long,  ///< the server asked for a longer wait than the policy or the rules allow
  server_forbade,         ///< the server said that the request must not be sent again
  budget_exhausted,       ///< the shared retry budget had no token left
  breaker_open,           ///< the circuit breaker refused the send
  overloaded,             ///< no slot was free, and the queue for one was full
  nested_limit,           ///< inside a repeated attempt of an outer retry, only one attempt is made
  endpoint_paused,        ///< the endpoint is paused by hand: nothing is sent there until it is resumed
  endpoint_disabled,      ///< the endpoint is disabled: by hand, by a 410, or as it failed for too long
  cancelled_before_start,  ///< stop was requested before the first attempt: nothing was sent
  cancelled_in_attempt,    ///< stop was requested while an attempt was running
  cancelled_in_delay,      ///< stop was requested while waiting for the next attempt
};

/// The enumerator's name, as written above. Static storage; never empty.
constexpr std::string_view name(stop_reason reason) noexcept {
  switch (reason) {
    case stop_reason::attempts_exhausted: return "attempts_exhausted";
    case stop_reason::permanent: return "permanent";
    case stop_reason::not_replayable: return "not_replayable";
    case stop_reason::deadline_reached: return "deadline_reached";
    case stop_reason::deadline_too_near: return "deadline_too_near";
    case stop_reason::server_delay_too_long: return "server_delay_too_long";
    case stop_reason::server_forbade: return "server_forbade";
    case stop_reason::budget_exhausted: return "budget_exhausted";
    case stop_reason::breaker_open: return "breaker_open";
    case stop_reason::overloaded: return "overloaded";
    case stop_reason::nested_limit: return "nested_limit";
    case stop_reason::endpoint_paused: return "endpoint_paused";
    case stop_reason::endpoint_disabled: return "endpoint_disabled";
    case stop_reason::cancelled_before_start: return "cancelled_before_start";
    case stop_reason::cancelled_in_attempt: return "cancelled_in_attempt";
    case stop_reason::cancelled_in_delay: return "cancelled_in_delay";
  }
  return "unknown";
}

/// True if a stop request of the caller ended it.
constexpr bool cancelled(stop_reason reason) noexcept {
  return reason == stop_reason::cancelled_before_start || reason == stop_reason::cancelled_in_attempt ||
         reason == stop_reason::cancelled_in_delay;
}

}  // namespace AGAIN_ABI
}  // namespace again
