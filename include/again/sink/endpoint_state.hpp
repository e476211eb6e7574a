// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_state`: whether attempts are sent to an endpoint of a sink, and why not. All events that go there share it: what one event
/// learns (Retry-After, failures in a row) holds for the others.
///
/// ```text
///   available ──Retry-After──▶ paused ──the time is over──▶ available
///   available ──failures in a row──▶ breaker_open ──the break is over──▶ probing ──success──▶ available
///                                         ▲────────────────failure───────────┘
/// ```
///
/// A state ends when the next event looks at the endpoint: without events, the metrics show the last one.
#pragma once

#include <again/core/clock.hpp>

#include <cstdint>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {

enum class endpoint_state : std::uint8_t {
  available,     ///< attempts are sent
  paused,        ///< a response asked for time (Retry-After): nothing is sent before it is over
  breaker_open,  ///< the circuit breaker is open after failures in a row: nothing is sent during its break
  probing,       ///< the break is over: one attempt at a time finds out whether the endpoint is back
};
constexpr std::string_view name(endpoint_state s) noexcept {
  switch (s) {
    case endpoint_state::available: return "available";
    case endpoint_state::paused: return "paused";
    case endpoint_state::breaker_open: return "breaker_open";
    case endpoint_state::probing: return "probing";
  }
  return "unknown";
}

/// A change of state, as `delivery_observer` is told.
struct endpoint_change {
  std::string_view endpoint;  ///< its name
  endpoint_state from{};
  endpoint_state to{};
  duration wait{};  ///< to paused and breaker_open: until the next attempt may be sent
};

}  // namespace AGAIN_ABI
}  // namespace again
