// SPDX-License-Identifier: MIT
/// \file
/// `endpoint` and `sink_options`: what a sink is set up with. Each endpoint has its own policy, rules, headers and bounds; the options
/// say how events are spread over the endpoints. Every default is finite.
#pragma once

#include <again/core/clock.hpp>
#include <again/http/attempt_hook.hpp>
#include <again/http/headers.hpp>
#include <again/http/method.hpp>
#include <again/http/rules.hpp>
#include <again/http/transport.hpp>
#include <again/http/url.hpp>
#include <again/policy/policy.hpp>
#include <again/protection/breaker_rules.hpp>
#include <again/protection/budgets.hpp>
#include <again/protection/rate.hpp>
#include <again/sink/dead_letters.hpp>
#include <again/sink/delivery_observer.hpp>
#include <again/sink/event.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
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
  /// Prepares the header fields of each attempt here, such as a signature (`webhook::signer`); none: they are those above.
  http::attempt_hook each_attempt{};
  http::send_limits limits{};
  int max_redirects = 0;  ///< followed at most, each a request inside its attempt; 0: a redirect is the response
  http::method method = http::method::post;
  /// Attempts under way here at a time: 16. Between its attempts a delivery does not count.
  int in_flight = 16;
  /// The circuit breaker: after ten failures in a row (any number of events) nothing is sent here for a second, then one attempt at a
  /// time finds out whether the endpoint is back; each further break is twice as long, up to 15 s, so that it is found soon after it is
  /// back. Nothing: no circuit breaker.
  std::optional<breaker_rules> breaker =
      breaker_rules{.consecutive = 10, .open_for = std::chrono::seconds{1}, .open_max = std::chrono::seconds{15}};
  /// The retry budget: attempts of events that were sent here before, as a share of first attempts. One that it does not allow waits, and
  /// ends as `budget_exhausted` at its deadline. As many as first attempts: an endpoint that fails every second attempt gets every event
  /// in the end, and none ever sees more than twice its usual load. Ten a second besides, for one that is sent little. Nothing: no budget.
  std::optional<budgets::ratio> budget = budgets::ratio{.share = 1};
  /// Attempts per second, with a burst; `longest_wait` is not used: events wait. Nothing: no such bound, as most endpoints have none.
  std::optional<rates> rate{};
  /// Failures for longer than this without one success, ten of them at least, disable the endpoint. 5 days: longer than a weekend, and
  /// than all deliveries of an event on a schedule of days (`webhook::schedule`). `forever`: never.
  duration_with_unit disable_after = std::chrono::hours{120};
  /// 410 (Gone) disables the endpoint: it says that there will be no other response.
  bool gone_disables = true;
  /// Bytes of a response's body that the result holds. The status decides (`request::status_decides`): up to 64 KiB of the body are read
  /// in any case, for a second at most, so that the connection can be used again. 16 KiB: enough for the reason of a refusal.
  std::uint64_t keep_body = std::uint64_t{16} << 10U;
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

/// With round robin: which failed attempts make the retry go to another endpoint, one that was not tried yet.
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
  moving move_on = moving::any;
  /// Attempts under way at a time, at all endpoints together. 64: as many sends as loopback can make good use of. Each endpoint that is not
  /// closed has an equal share of them, half of which stays free for it: a slow one leaves room for the others.
  int in_flight = 64;
  /// Events accepted beyond those. 256: a few seconds of work for most endpoints. The callers of further events wait.
  int queue = 256;
  /// The part of `in_flight` + `queue` that the events of one order key may take up, so that a slow key leaves room for the others: the
  /// callers of further ones wait. And the part that may wait for one endpoint that is paused or whose circuit breaker is open, where
  /// there are other endpoints: further attempts there are refused.
  double largest_share = 0.25;
  /// Send the Idempotency-Key of each event. Without it an event is sent again only where certainly nothing of it was sent (unless the
  /// rules say otherwise).
  bool idempotency_keys = true;
  dead_letter_file* dead_letters = nullptr;  ///< outlives the sink
  delivery_observer* observer = nullptr;     ///< outlives the sink
};

/// Events that a sink holds at most.
inline std::size_t events_in_sink(const sink_options& o) noexcept {
  return static_cast<std::size_t>(std::max(o.in_flight, 1)) + static_cast<std::size_t>(std::max(o.queue, 0));
}
/// Those of one key, or those that wait for one closed endpoint.
inline std::size_t largest_share(const sink_options& o) noexcept {
  const double share = o.largest_share * static_cast<double>(events_in_sink(o));
  return static_cast<std::size_t>(std::max(share, 1.0));
}

/// The name that an endpoint has in results, metrics and logs.
inline std::string shown_name(const endpoint& e) {
  return e.name.empty() ? e.url.origin.text() + std::string{e.url.path()} : e.name;
}

namespace detail {
/// A complaint without the name of its type.
constexpr std::string_view after_colon(std::string_view complaint) noexcept {
  return complaint.substr(complaint.rfind(": ") + 2);
}
}  // namespace detail

/// The first contradiction, in one sentence, or nothing.
inline std::optional<std::string> validate(const std::vector<endpoint>& endpoints, const sink_options& o) {
  if (endpoints.empty()) return "a sink needs an endpoint";
  if (o.in_flight < 1) return "in_flight must be at least 1";
  if (o.queue < 0) return "queue must not be negative";
  if (!(o.largest_share > 0 && o.largest_share <= 1)) return "largest_share must be above 0 and at most 1";
  for (const endpoint& e : endpoints) {
    if (e.in_flight < 1) return shown_name(e) + ": in_flight must be at least 1";
    if (const char* const wrong = e.breaker ? complaint(*e.breaker) : nullptr)
      return shown_name(e) + ": breaker: " + std::string{detail::after_colon(wrong)};
    if (const char* const wrong = e.budget ? complaint(*e.budget) : nullptr)
      return shown_name(e) + ": budget: " + std::string{detail::after_colon(wrong)};
    if (const char* const wrong = e.rate ? complaint(*e.rate) : nullptr)
      return shown_name(e) + ": rate: " + std::string{detail::after_colon(wrong)};
    if (e.disable_after <= duration::zero()) return shown_name(e) + ": disable_after must be above 0";
    if (const auto broken = validate(e.policy)) return shown_name(e) + ": " + std::string{name(*broken)};
    int same = 0;
    for (const endpoint& other : endpoints) same += shown_name(other) == shown_name(e) ? 1 : 0;
    if (same > 1) return "two endpoints are called " + shown_name(e) + "; give them names";
  }
  return std::nullopt;
}

}  // namespace AGAIN_ABI
}  // namespace again
