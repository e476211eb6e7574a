// SPDX-License-Identifier: MIT
/// \file
/// `delivery_observer`: is told of every attempt and every final result of a sink, and of changes in the state of an endpoint. `delivery_log` writes them as lines.
///
/// - Thread: the loop's. Lifetime: outlives the sink.
/// - An observer that throws from `attempted` ends the delivery with that exception.
#pragma once

#include <again/policy/failure.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/endpoint_state.hpp>

#include <string_view>

namespace again {
inline namespace AGAIN_ABI {

class delivery_observer {
 public:
  delivery_observer() = default;
  delivery_observer(const delivery_observer&) = delete;
  delivery_observer& operator=(const delivery_observer&) = delete;
  virtual ~delivery_observer() = default;

  /// After each attempt, when it is decided whether another one follows.
  virtual void attempted(const event&, std::string_view /*endpoint*/, const attempt_record&) {}
  /// Once for each event handed in, before its caller gets the result.
  virtual void finished(const delivery&) {}
  /// When an endpoint asked for time, its circuit breaker opened, or it is available again. What this throws is dropped.
  virtual void changed(const endpoint_change&) {}
};

}  // namespace AGAIN_ABI
}  // namespace again
