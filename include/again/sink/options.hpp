// SPDX-License-Identifier: MIT
/// \file
/// `endpoint` and `sink_options`: what a sink is set up with. Each endpoint has its own policy, rules, headers and bounds; the options
/// say how events are spread over the endpoints. Every default is finite.
#pragma once

#include <again/http/headers.hpp>
#include <again/http/method.hpp>
#include <again/http/rules.hpp>
#include <again/http/transport.hpp>
#include <again/http/url.hpp>
#include <again/policy/policy.hpp>
#include <again/sink/dead_letters.hpp>
#include <again/sink/delivery_observer.hpp>
#include <again/sink/event.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

/// Where events are sent.
struct endpoint {
  http::url url;
  std::string name{};  ///< in results, metrics and logs; empty: the URL without its query, which may hold secrets
  /// How often and how long. A delivery that begins here keeps this policy wherever its retries go.
  again::policy policy{};
  /// What is a success and what is worth another attempt, of the attempts made here. 2xx alone is a success: an event that was
  /// redirected was not delivered.
  http::rules rules{.successes = http::status_set::range(200, 299)};
  http::status_set accept{};  ///< statuses that are a success besides
  http::headers headers{};    ///< sent with events that have no field of the same name
  http::send_limits limits{};
  int max_redirects = 0;  ///< followed at most, each a request inside its attempt; 0: a redirect is the response
  http::method method = http::method::post;
  /// Deliveries under way here at a time: 16. A delivery that waits for a permit here holds one of the sink's meanwhile, so that with
  /// broadcast the slowest endpoint sets the pace; round robin waits only where no endpoint has room.
  int in_flight = 16;
};

enum class routing : std::uint8_t {
  round_robin,  ///< to one endpoint, each event to the next one that has room; retries may move on
  broadcast,    ///< to all of them
};

enum class ordering : std::uint8_t {
  none,
  per_endpoint,  ///< one at a time at each endpoint, in the order of acceptance; retries stay at their endpoint
  per_key,       ///< events of one `order_key` one at a time, in the order of acceptance
};

/// With round robin: which failed attempts make the retry go to the next endpoint that has room.
enum class moving : std::uint8_t {
  unanswered,  ///< those without a response; an endpoint that says 503 is asked again, after the time that it names
  any,         ///< all of them
};

struct sink_options {
  /// Tells several sinks on one page of metrics apart: the value of the label `sink` of this one. Empty: no such label.
  std::string name{};
  again::routing routing = routing::round_robin;
  /// Your own choice in place of `routing`: the endpoints (counted from 0) for this event, to each of which it goes. Where it throws,
  /// chooses none, or chooses one that does not exist, `deliver` throws and the event is not accepted.
  std::function<std::vector<std::size_t>(const event&)> choose{};
  ordering order = ordering::none;
  moving move_on = moving::unanswered;
  /// Events being delivered at a time. 64: as many sends as loopback can make good use of.
  int in_flight = 64;
  /// Events accepted and waiting. 256: a few seconds of work for most endpoints. The callers of further events wait.
  int queue = 256;
  /// Send the Idempotency-Key of each event. Without it an event is sent again only where certainly nothing of it was sent (unless the
  /// rules say otherwise).
  bool idempotency_keys = true;
  dead_letter_file* dead_letters = nullptr;  ///< outlives the sink
  delivery_observer* observer = nullptr;     ///< outlives the sink
};

/// The name that an endpoint has in results, metrics and logs.
inline std::string shown_name(const endpoint& e) {
  return e.name.empty() ? e.url.origin.text() + std::string{e.url.path()} : e.name;
}

/// The first contradiction, in one sentence, or nothing.
inline std::optional<std::string> validate(const std::vector<endpoint>& endpoints, const sink_options& o) {
  if (endpoints.empty()) return "a sink needs an endpoint";
  if (o.in_flight < 1) return "in_flight must be at least 1";
  if (o.queue < 0) return "queue must not be negative";
  for (const endpoint& e : endpoints) {
    if (e.in_flight < 1) return shown_name(e) + ": in_flight must be at least 1";
    if (const auto broken = validate(e.policy)) return shown_name(e) + ": " + std::string{name(*broken)};
    int same = 0;
    for (const endpoint& other : endpoints) same += shown_name(other) == shown_name(e) ? 1 : 0;
    if (same > 1) return "two endpoints are called " + shown_name(e) + "; give them names";
  }
  return std::nullopt;
}

}  // namespace AGAIN_ABI
}  // namespace again
