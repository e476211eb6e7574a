// SPDX-License-Identifier: MIT
/// \file
/// `journal::endpoint_store`: what a store may do besides: it keeps the states of endpoints, so that they outlive the process, and so that
/// another process can pause, disable and resume an endpoint. A `durable_sink` uses it where its store has it.
///
/// ```cpp
/// auto known = co_await store.endpoints();                       // expected<std::vector<endpoint_record>, error>
/// auto put = co_await store.put(endpoint_record{status, known->front().revision});
/// if (put && *put == 0) …                                        // another process was first: read again
/// ```
///
/// | member | what it does, on success |
/// |---|---|
/// | `endpoints()` | gives all records |
/// | `put(record)` | where the endpoint's record has the revision of `record` (0: there is none), `record` takes its place. Gives the new revision, which is larger; 0: it has another revision, and nothing was changed |
///
/// - A record that opens its endpoint (`opens`) lets go the events that wait for it, where the store can: those that were tried before, or
///   refused because of it, are due at once. In other stores they come at their own times.
/// - Times, cancellation, lifetime, threads and errors: those of `journal::store`.
#pragma once

#include <again/core/clock.hpp>
#include <again/coro/awaitable.hpp>
#include <again/journal/store.hpp>
#include <again/sink/endpoint_state.hpp>

#include <concepts>
#include <cstdint>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {

/// What a store keeps of an endpoint: paused, disabled or available. Nothing that a circuit breaker finds out within seconds.
class endpoint_record {
 public:
  endpoint_record() = default;
  explicit endpoint_record(endpoint_status is, std::uint64_t at = 0) : status{std::move(is)}, revision{at} {}

  /// Available with the reason `by_hand`: somebody has resumed it.
  endpoint_status status;
  std::uint64_t revision = 0;  ///< 0: of no record

  friend bool operator==(const endpoint_record&, const endpoint_record&) = default;
};

/// Whether attempts may be sent to it.
constexpr bool is_open(const endpoint_status& s) noexcept {
  return s.state != endpoint_state::paused && s.state != endpoint_state::disabled;
}

/// The record that takes the place of `r` when somebody pauses, disables or resumes its endpoint. Why it is closed is kept until it is open.
inline endpoint_record by_hand(endpoint_record r, endpoint_state to, wall_time now) {
  endpoint_status is{std::move(r.status.name), to, endpoint_reason::by_hand};
  is.since = now;
  if (!is_open(is)) is.last_error = std::move(r.status.last_error);
  return endpoint_record{std::move(is), r.revision};
}

/// For stores: does a record that takes the place of another let go the events that wait for its endpoint? The end of a Retry-After does
/// not: each event knows its own time. The first record after one by hand does: events that were taken before the sink knew of it came back.
constexpr bool opens(const endpoint_status& from, const endpoint_status& to) noexcept {
  const bool was_held = !is_open(from) && from.reason != endpoint_reason::retry_after;
  return is_open(to) && (was_held || from.reason == endpoint_reason::by_hand || to.reason == endpoint_reason::by_hand);
}

/// See the top of this file.
template <class S>
concept endpoint_store = requires(S& s, endpoint_record r) {
  { s.endpoints() } -> detail::gives<std::vector<endpoint_record>>;
  { s.put(std::move(r)) } -> detail::gives<std::uint64_t>;
};

}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
