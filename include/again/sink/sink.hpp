// SPDX-License-Identifier: MIT
/// \file
/// `sink`: takes events, delivers each to one or more endpoints, and gives its caller exactly one final result.
///
/// ```cpp
/// again::sink orders{{{.url = *again::http::parse_url("http://127.0.0.1:8080/orders")}}};
/// again::delivery d = co_await orders.deliver(again::event{"42", R"({"total": 3})"});
/// if (!d) fmt::print("{}: {}\n", d.event.id, *d.reason());
/// co_await orders.close(5s);                            // drains, then cancels; every event accepted has its result
/// ```
///
/// - Result: a `delivery` with the outcome at each endpoint: the response, or why it stopped, the last real error, and the attempts.
/// - Bounds: `in_flight` events at a time and `queue` more accepted. Where there is no room `deliver` waits and `try_deliver` gives
///   `overloaded`.
/// - Keys: each event has one Idempotency-Key, the same on every attempt, at every endpoint, and in its dead letter.
/// - Dead letters: an event that `deliver` took and did not deliver is in the dead letter file before its caller has the result.
/// - Endpoints: what one says of itself (Retry-After, 410, failures) holds for all events; `endpoints()` shows their states and changes them
///   by hand. An event for a disabled one goes to another, where any will do; else it is not delivered: `endpoint_disabled`.
/// - Metrics: at rest accepted = delivered + failed, and attempts = requests that an endpoint saw + those that never reached it; where an
///   endpoint has `max_redirects`, each redirect that is followed is one more request. A delivery whose coroutine is destroyed counts as
///   failed ("abandoned"), or as refused where it was still waiting for room; either way it has its dead letter.
/// - Cancellation: a stop request of the awaiting coroutine ends the delivery of its event; `close` ends them all.
/// - Threads: one loop: `deliver`, `try_deliver` and `close` are awaited on the same one. Metrics are read from any thread.
/// - Lifetime: the sink outlives every delivery: destroy it after `close` has finished. Transport, dead letters and observer outlive it.
/// - Errors: the constructor throws `std::invalid_argument` with a sentence; so does `deliver` where no endpoint is chosen for the event.
#pragma once

#include <again/coro/task.hpp>
#include <again/http/client.hpp>
#include <again/http/transport.hpp>
#include <again/httplib/transport.hpp>
#include <again/metrics/page.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/engine.hpp>
#include <again/sink/endpoint_control.hpp>
#include <again/sink/event.hpp>
#include <again/sink/options.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

/// A sink over any transport, which it refers to: for tests, and for several sinks that share connections.
template <http::transport T> class sink_over {
 public:
  explicit sink_over(T& through, std::vector<endpoint> endpoints, sink_options options = {})
      : engine_{std::make_unique<detail::sink_engine<T>>(through, std::move(endpoints), std::move(options))} {}

  /// Delivers `e`; waits while the sink is full. After `close` the event is refused: `cancelled_before_start`.
  pending_delivery deliver(event e) { return engine_->deliver(std::move(e), true); }
  /// The same without waiting for room: where there is none, the result is `overloaded` and holds the event; there is no dead letter.
  pending_delivery try_deliver(event e) { return engine_->deliver(std::move(e), false); }

  /// Accepts nothing from now on (events that wait for room are refused), waits for those that were accepted, and cancels the rest after
  /// `grace` or when it is itself stopped. When it has finished, every event has its result. May be awaited again.
  task<> close(duration grace) { return engine_->close(grace); }
  bool closed() const noexcept { return engine_->closed(); }

  /// The states of the endpoints: to look at them, and to pause, disable and resume an endpoint. The loop's thread.
  endpoint_control& endpoints() noexcept { return engine_->endpoints(); }

  // Metrics. Any thread.
  std::uint64_t accepted() const noexcept { return numbers().accepted.value(); }
  std::uint64_t delivered() const noexcept { return numbers().delivered.value(); }
  std::uint64_t failed() const noexcept { return numbers().failed_in_all(); }
  std::uint64_t refused() const noexcept {
    return numbers().overloaded.value() + numbers().closed.value() + numbers().cancelled.value();
  }
  std::uint64_t attempts() const noexcept { return numbers().attempts_in_all(); }
  std::uint64_t dead_letters_written() const noexcept { return numbers().written.value(); }
  std::uint64_t dead_letters_lost() const noexcept { return numbers().lost.value(); }
  std::int64_t in_flight() const noexcept { return numbers().in_flight.value(); }
  std::int64_t queued() const noexcept { return numbers().queued.value(); }
  /// Attempts under way at one endpoint; `at`: its place in what the constructor was given.
  std::int64_t in_flight_at(std::size_t at) const noexcept { return numbers().endpoints[at].in_flight.value(); }
  /// For `metrics_page::add`.
  void write_to(metrics_page& page) const { numbers().write_to(page); }

 private:
  const detail::sink_numbers& numbers() const noexcept { return engine_->numbers(); }
  std::unique_ptr<detail::sink_engine<T>> engine_;
};

/// A sink with its own transport, which has a thread and a connection for every delivery that may be under way.
class sink : public sink_over<http::httplib_transport> {
 public:
  /// `transport`: its `workers` and `max_connections` are set from the bounds of endpoints and options.
  explicit sink(std::vector<endpoint> endpoints, sink_options options = {}, http::httplib_options transport = {})
      : sink{std::make_unique<http::httplib_transport>(sized(std::move(transport), endpoints, options)),
             std::move(endpoints), std::move(options)} {}

 private:
  sink(std::unique_ptr<http::httplib_transport> t, std::vector<endpoint> endpoints, sink_options options)
      : sink_over{*t, std::move(endpoints), std::move(options)}, transport_{std::move(t)} {}

  static http::httplib_options sized(http::httplib_options t, const std::vector<endpoint>& endpoints,
                                     const sink_options& o) {
    const auto at_least_one = [](int n) { return static_cast<std::size_t>(std::max(n, 1)); };
    t.workers = 0;
    for (const endpoint& e : endpoints) t.workers += at_least_one(e.in_flight);
    t.workers = std::clamp<std::size_t>(t.workers, 1, at_least_one(o.in_flight));
    t.max_connections = t.workers;
    return t;
  }

  std::unique_ptr<http::httplib_transport> transport_;
};

}  // namespace AGAIN_ABI
}  // namespace again
