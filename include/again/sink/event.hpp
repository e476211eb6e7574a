// SPDX-License-Identifier: MIT
/// \file
/// `event`: what a sink (`<again/sink/sink.hpp>`) delivers.
#pragma once

#include <again/http/headers.hpp>

#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

/// A class with constructors, so that it may be written inside a `co_await` expression with g++ 12.
class event {
 public:
  event() = default;
  explicit event(std::string event_id, std::string content = {}, http::headers fields = {})
      : id{std::move(event_id)}, headers{std::move(fields)}, body{std::move(content)} {}

  std::string id;         ///< for results, logs and dead letters
  http::headers headers;  ///< sent with it; an endpoint's own fields are added where the event has none of that name
  std::string body;
  /// The Idempotency-Key: the same on every attempt, at every endpoint and in every replay. Empty: the sink makes one when it accepts
  /// the event.
  std::string key;
  /// With `ordering::per_key`, events of one key are delivered one after another. Empty: the event has no order.
  std::string order_key;
  /// Names of endpoints: the event goes to each of them and to no other. Empty: it goes where the sink's routing says. A replay sets
  /// it, so that the event reaches exactly the endpoints that have not taken it yet.
  std::vector<std::string> only;
};

}  // namespace AGAIN_ABI
}  // namespace again
