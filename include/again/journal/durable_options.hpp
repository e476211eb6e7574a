// SPDX-License-Identifier: MIT
/// \file
/// `durable_options`: what a `durable_sink` is set up with. Every default is finite.
#pragma once

#include <again/core/clock.hpp>
#include <again/journal/durable_observer.hpp>
#include <again/policy/policy.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

namespace again {
inline namespace AGAIN_ABI {

struct durable_options {
  /// The name of this worker in leases and messages; empty: the number of its process and a random one.
  std::string worker{};
  /// Events that are leased at a time: in delivery, in a short wait, or with a result that is not recorded yet. 256: what a sink holds by
  /// default.
  std::size_t held = 256;
  /// After this time without a sign of life, another worker takes the events over. It is extended three times as often. 30 s: longer than
  /// a pause of the machine, shorter than a person's patience.
  duration_with_unit lease = std::chrono::seconds{30};
  /// A wait up to this stays in memory, where it costs a lease; a longer one goes back to the store, where it costs nothing. 10 s: less
  /// than a lease.
  duration_with_unit short_wait = std::chrono::seconds{10};
  /// When a delivery that the sink has given up for the moment is made again. `attempts` counts deliveries in which something was sent,
  /// each with the attempts of its endpoint's own policy; `deadline` counts from the first of them. As long as a day has not passed, with
  /// waits from 5 s to an hour.
  policy schedule{.attempts = unlimited,
                  .backoff = exponential(std::chrono::seconds{5}, std::chrono::hours{1}),
                  .jitter = jitter::proportional(0.2),
                  .attempt_timeout = forever,
                  .deadline = std::chrono::hours{24},
                  .server_delay_max = std::chrono::hours{24},
                  .server_delay_over = over_max::cap};
  /// The store is asked for events at least this often, for those that other processes have appended or let go.
  duration_with_unit poll = std::chrono::seconds{1};
  /// How long a store that fails is waited for at the end, to record results and give events back.
  duration_with_unit record_within = std::chrono::seconds{5};
  durable_observer* observer = nullptr;  ///< outlives the sink
};

/// The first contradiction, in one sentence, or nothing.
inline std::optional<std::string> validate(const durable_options& o) {
  if (o.held < 1) return "held must be at least 1";
  if (o.lease < std::chrono::milliseconds{10}) return "lease must be at least 10 ms";
  if (o.short_wait < duration::zero()) return "short_wait must not be negative";
  if (o.poll <= duration::zero()) return "poll must be above 0";
  if (o.record_within < duration::zero()) return "record_within must not be negative";
  if (const auto broken = validate(o.schedule)) return "schedule: " + std::string{name(*broken)};
  return std::nullopt;
}

}  // namespace AGAIN_ABI
}  // namespace again
