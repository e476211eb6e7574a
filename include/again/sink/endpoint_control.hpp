// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_control`: the endpoints of a sink from outside: their states, and pausing, disabling and resuming them by hand.
///
/// ```cpp
/// orders.endpoints().pause("audit");                        // its events wait, and hold no place
/// for (const again::endpoint_status& e : orders.endpoints().all()) fmt::print("{}: {}\n", e.name, name(e.state));
/// orders.endpoints().resume("audit");                       // as if nothing had ever failed there
/// ```
///
/// - What is under way goes on. A paused endpoint's events wait: a first attempt as long as it takes, a retry until the deadline of its
///   delivery (`endpoint_paused`). A disabled endpoint's events go elsewhere, or end at once (`endpoint_disabled`).
/// - Names are those of results and metrics: `endpoint::name`, or the URL without its query.
/// - Changes are told to `delivery_observer::changed`, and to `on_change`.
/// - Thread: the loop's. Lifetime: the sink's. A status is a copy.
/// - Without a store a state ends with the process. A `durable_sink` keeps it, where its store can (`journal::endpoint_store`).
#pragma once

#include <again/core/clock.hpp>
#include <again/coro/scheduler.hpp>
#include <again/sink/detail/dispatcher.hpp>
#include <again/sink/detail/endpoint_gate.hpp>
#include <again/sink/endpoint_state.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

class endpoint_control {
 public:
  explicit endpoint_control(detail::dispatcher& d) noexcept : dispatcher_{d} {}
  endpoint_control(const endpoint_control&) = delete;
  endpoint_control& operator=(const endpoint_control&) = delete;

  /// In the order of the sink's constructor.
  std::vector<endpoint_status> all() const {
    std::vector<endpoint_status> out;
    out.reserve(dispatcher_.endpoints());
    for (std::size_t at = 0; at < dispatcher_.endpoints(); ++at) out.push_back(dispatcher_.status(at));
    return out;
  }
  std::optional<endpoint_status> find(std::string_view name) const {
    const auto at = place_of(name);
    return at ? std::optional{dispatcher_.status(*at)} : std::nullopt;
  }

  // False: no endpoint has that name.

  bool pause(std::string_view name) { return hold(name, endpoint_state::paused); }
  bool disable(std::string_view name) { return hold(name, endpoint_state::disabled); }
  /// Ends whatever keeps attempts back, Retry-After and the circuit breaker included.
  bool resume(std::string_view name) {
    return change(name, [now = now()](detail::endpoint_gate& g) {
      g.health.resume(now);
      g.last_error.clear();
    });
  }

  // For a store that keeps the states, and for the events that it keeps.

  /// Sets a state that was known before a restart: paused or disabled, last error, and since when the endpoint fails. What a circuit
  /// breaker had found out is found out anew. After `run_on`.
  bool restore(const endpoint_status& s) {
    scheduler* const home = dispatcher_.home();
    const auto on_the_loop = [home](wall_time t) {
      if (home == nullptr || t == wall_time::max()) return never;
      return saturating_add(home->now(), t - home->wall_now());
    };
    return change(s.name, [&](detail::endpoint_gate& g) {
      g.health.resume(now());
      g.last_error = s.last_error;
      g.health.failing_since(on_the_loop(s.failing_since));
      if (s.state == endpoint_state::paused && s.reason == endpoint_reason::retry_after) {
        g.health.pause_until(on_the_loop(s.until));
      } else if (s.state == endpoint_state::paused || s.state == endpoint_state::disabled) {
        g.health.hold(s.state, s.reason);
      }
    });
  }
  /// Called after each change of a state. What it throws is dropped.
  void on_change(std::function<void()> f) { dispatcher_.on_change = std::move(f); }
  /// The sink runs on this scheduler, also before its first event.
  void run_on(scheduler& home) noexcept { dispatcher_.run_on(home); }
  /// A store keeps the events: those for an endpoint that is paused by hand do not wait in the sink (`endpoint_paused`), nor do those that
  /// would take up more than a share of it (`overloaded`).
  void give_back_what_waits() noexcept { dispatcher_.keep_waiting_short(); }

 private:
  std::optional<std::size_t> place_of(std::string_view name) const noexcept {
    for (std::size_t at = 0; at < dispatcher_.endpoints(); ++at)
      if (dispatcher_.name_of(at) == name) return at;
    return std::nullopt;
  }
  template <class Change> bool change(std::string_view name, Change make) {
    const auto at = place_of(name);
    if (at) dispatcher_.change(*at, make);
    return at.has_value();
  }
  bool hold(std::string_view name, endpoint_state as) {
    return change(name, [as](detail::endpoint_gate& g) { g.health.hold(as, endpoint_reason::by_hand); });
  }
  time_point now() const noexcept {
    const scheduler* const home = dispatcher_.home();
    return home != nullptr ? home->now() : time_point{};
  }

  detail::dispatcher& dispatcher_;
};

}  // namespace AGAIN_ABI
}  // namespace again
