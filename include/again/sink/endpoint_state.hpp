// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_state`: whether attempts are sent to an endpoint of a sink, and why not. All events that go there share it: what one event
/// learns (Retry-After, failures in a row, 410) holds for the others.
///
/// ```text
///   available ──Retry-After──▶ paused ──the time is over──▶ available
///   available ──failures in a row──▶ breaker_open ──the break is over──▶ probing ──success──▶ available
///                                         ▲────────────────failure───────────┘
///   any ──by hand──▶ paused, disabled        any ──410, failing for too long──▶ disabled
///   paused, disabled ──resumed by hand──▶ available
/// ```
///
/// A state that ends by itself ends when the next event looks at the endpoint: without events, the metrics show the last one.
/// `endpoint_control` changes states by hand.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/enumerators.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

enum class endpoint_state : std::uint8_t {
  available,     ///< attempts are sent
  paused,        ///< nothing is sent before a time is over (Retry-After), or until it is resumed by hand; events wait
  breaker_open,  ///< the circuit breaker is open after failures in a row: nothing is sent during its break
  probing,       ///< the break is over: one attempt at a time finds out whether the endpoint is back
  disabled,      ///< nothing is sent until it is resumed by hand; events do not wait in the sink
};
constexpr std::string_view name(endpoint_state s) noexcept { return detail::enumerator_name(s); }

/// Why it is in that state.
enum class endpoint_reason : std::uint8_t {
  none,             ///< it is available
  retry_after,      ///< a response asked for time
  circuit_breaker,  ///< failures in a row
  by_hand,          ///< somebody has paused or disabled it
  gone,             ///< it has said 410
  failing,          ///< it has failed for longer than `endpoint::disable_after`, without one success
};
constexpr std::string_view name(endpoint_reason r) noexcept { return detail::enumerator_name(r); }

/// What is known of an endpoint. Times are on the wall clock, so that they mean something after a restart.
class endpoint_status {
 public:
  endpoint_status() = default;
  explicit endpoint_status(std::string of, endpoint_state is = endpoint_state::available,
                           endpoint_reason why = endpoint_reason::none)
      : name{std::move(of)}, state{is}, reason{why} {}

  std::string name;
  endpoint_state state = endpoint_state::available;
  endpoint_reason reason = endpoint_reason::none;
  std::string last_error{};                    ///< as the peer or the network said it: escape it where it is shown
  wall_time since{};                           ///< of the state; 1970: since the sink was made
  wall_time until = wall_time::max();          ///< when it ends by itself; `max`: it does not
  wall_time failing_since = wall_time::max();  ///< the first failure after the last success; `max`: there is none

  friend bool operator==(const endpoint_status&, const endpoint_status&) = default;
};

/// A change of state, as `delivery_observer` is told.
struct endpoint_change {
  std::string_view endpoint;  ///< its name
  endpoint_state from{};
  endpoint_state to{};
  duration wait{};  ///< until the next attempt may be sent; `forever`: until it is resumed; 0: attempts may be sent
  endpoint_reason reason{};       ///< of the new state
  std::string_view last_error{};  ///< of the endpoint; empty: none, or available again
};

}  // namespace AGAIN_ABI
}  // namespace again
