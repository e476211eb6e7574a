// SPDX-License-Identifier: MIT
// One bad endpoint costs the others nothing: which attempt is sent when, and where.
#include <again/sink/detail/dispatcher.hpp>

#include "sink/pretend_sink.hpp"

#include <again/coro/sleep.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again_test;

namespace {

using request = pretend_transport::request;

pretended refused() { return breaks(error_kind::refused, reach::not_sent); }
pretended busy(const char* retry_after) {
  pretended p = response(503);
  p.result->headers.add("Retry-After", retry_after);
  return p;
}
endpoint without_breaker(std::string host, int in_flight = 16) {
  endpoint e = at(std::move(host), in_flight);
  e.breaker.reset();
  return e;
}
std::size_t requests_to(const pretend_sink& b, std::string_view origin) {
  const auto& seen = b.through.seen;
  return static_cast<std::size_t>(
      std::count_if(seen.begin(), seen.end(), [&](const request& r) { return r.origin == origin; }));
}
std::size_t failures(const pretend_sink& b) {
  return static_cast<std::size_t>(std::count_if(b.results.begin(), b.results.end(), [](const auto& d) { return !*d; }));
}
bool has(const pretend_sink& b, const std::string& line) {
  return ("\n" + metrics_page{}.add(b.to).text()).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

// ── no place is held during a wait ──

TEST_CASE("a delivery that waits for its next attempt holds no place: others are sent meanwhile") {
  endpoint slow = without_breaker("a", 1);
  slow.policy.backoff = constant(10s);
  pretend_sink b{
      [](const request& r) { return r.body == "bad" ? response(500) : response(200); }, {slow}, {.in_flight = 1}};
  std::vector<event> all = events(20);
  all[0].body = "bad";
  b.deliver(std::move(all));
  CHECK(b.finished.back() == "0");
  CHECK(b.through.seen[19].at - b.through.seen[0].at < 1s);
  CHECK(b.through.most_running == 1);
  CHECK(has(b, "again_sink_endpoint_in_flight{endpoint=\"a\"} 0"));
  CHECK(b.balanced());
}

TEST_CASE("retries go before first attempts, so that a delivery is not late because of those behind it") {
  endpoint one = without_breaker("a", 1);
  pretend_sink b{[n = 0](const request&) mutable { return ++n == 1 ? response(500) : response(200, 20ms); }, {one}};
  b.deliver(events(5));
  CHECK(b.finished == std::vector<std::string>{"1", "0", "2", "3", "4"});
}

TEST_CASE("the bound of the sink holds over all endpoints together, and each of them gets its share of it") {
  std::vector<endpoint> many;
  for (int i = 0; i < 50; ++i) many.push_back(at("e" + std::to_string(i)));
  pretend_sink b{[](const auto&) { return response(200, 10ms); },
                 many,
                 {.routing = routing::broadcast, .in_flight = 4, .queue = 100}};
  b.deliver(events(20));
  CHECK(b.through.most_running == 4);
  CHECK(b.through.seen.size() == 1000);
  CHECK(failures(b) == 0);
  CHECK(b.time.now() - b.through.seen[0].at == 1000 / 4 * 10ms);
  CHECK(b.balanced());
}

// ── what an endpoint says is known to all events ──

TEST_CASE("after Retry-After no event is sent to that endpoint until the time is over, then all are") {
  time_point told{};
  pretend_sink b{[&](const request& r) {
                   if (told == time_point{}) told = r.at;
                   return r.at < told + 2s ? busy("2") : response(200);
                 },
                 {at("a")}};
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    for (event& e : events(12)) {
      b.hand_in(s, std::move(e));
      const bool slept = co_await sleep_for(150ms);
      CHECK(slept);
    }
    co_await s.join();
  };
  sync_wait(b.loop, scenario());
  for (const request& r : b.through.seen) CHECK((r.at == told || r.at >= told + 2s));
  CHECK(failures(b) == 0);
  CHECK(b.through.seen.size() == 13);
  CHECK(b.balanced());
}

TEST_CASE("a retry that a pause would keep beyond its deadline ends at once; a first attempt waits for the end of the "
          "pause") {
  pretend_sink b{[n = 0](const auto&) mutable { return ++n == 1 ? busy("600") : response(200); }, {at("a")}};
  b.deliver({event{"told"}});
  CHECK(b.only().reason() == stop_reason::deadline_too_near);
  CHECK(b.only().elapsed == 1ms);
  b.deliver(events(50));
  CHECK(failures(b) == 1);
  CHECK(b.through.seen.size() == 51);
  CHECK(b.through.seen[1].at == b.through.seen[0].at + 1ms + 600s);
  CHECK(b.loop.timers() == 0);
  CHECK(b.balanced());
}

TEST_CASE("a first attempt waits for a circuit breaker as long as its delivery may take, and no longer") {
  endpoint dead = at("dead");
  dead.breaker = breaker_rules{.consecutive = 3, .open_for = 15s, .open_max = 15s};
  pretend_sink b{[](const auto&) { return refused(); }, {dead}};
  b.deliver({event{"opens it"}});
  CHECK(b.only().reason() == stop_reason::attempts_exhausted);
  b.deliver(events(3));
  REQUIRE(b.results.size() == 4);
  std::size_t sent = 0;
  for (std::size_t i = 1; i < 4; ++i) {
    const delivery& d = b.results[i].value();
    CHECK(d.reason() == stop_reason::breaker_open);
    CHECK(d.elapsed <= (d.attempts() == 0 ? 20s : 35s));
    sent += static_cast<std::size_t>(d.attempts());
  }
  CHECK(sent == 2);  // the probes after 15 and 30 s, of the same event
  CHECK(b.loop.timers() == 0);
  CHECK(b.balanced());
}

TEST_CASE("a first attempt that waits only because all places are taken has no deadline") {
  pretend_sink b{[](const auto&) { return response(200, 900ms); }, {at("a", 1)}};
  b.deliver(events(40));  // the last one waits for 35 s, and a delivery may take 20 s
  CHECK(failures(b) == 0);
}

// ── a dead, a silent and a pausing endpoint, in turns with a good one ──

TEST_CASE("in turns, a retry waits for room at an endpoint that it has not tried, and does not go back to a dead one") {
  pretend_sink b{[](const request& r) { return r.origin == "dead" ? refused() : response(200, 100ms); },
                 {without_breaker("good", 4), without_breaker("dead", 4)},
                 {.in_flight = 16, .queue = 16}};
  b.deliver(events(400));
  CHECK(failures(b) == 0);
  for (const auto& d : b.results) CHECK(d->attempts() <= 2);
  CHECK(b.time.now() - b.through.seen[0].at < 11s);  // 400 events, 4 at a time, 100 ms each: 10 s
  CHECK(b.balanced());
}

TEST_CASE("a dead endpoint is left out of the turns, but for a probe now and then, and is used again when it is back") {
  bool up = false;
  pretend_sink b{[&](const request& r) { return r.origin == "dead" && !up ? refused() : response(200, 10ms); },
                 {at("good", 4), at("dead", 4)},
                 {.in_flight = 16, .queue = 16}};
  b.deliver(events(4000));
  CHECK(failures(b) == 0);
  const std::size_t while_down = requests_to(b, "dead");
  CHECK(while_down >= 10);
  CHECK(while_down <= 18);  // ten in a row, what was under way then, and the probes of 10 s
  up = true;
  const bool slept = sync_wait(b.loop, sleep_for(15s));  // the longest break
  CHECK(slept);
  b.deliver(events(4000));
  CHECK(requests_to(b, "dead") > 1500);
  CHECK(failures(b) == 0);
  CHECK(b.balanced());
}

TEST_CASE("a silent endpoint delays the events that it was sent, and no others") {
  pretend_sink b{[](const request& r) { return response(200, r.origin == "silent" ? duration{1h} : duration{1ms}); },
                 {at("good"), at("silent")},
                 {.in_flight = 16, .queue = 16}};
  b.deliver(events(1000));
  CHECK(failures(b) == 0);
  CHECK(b.time.now() - b.through.seen[0].at < 3s);  // the bound of an attempt is 1 s; one more event probes
  CHECK(b.balanced());
}

TEST_CASE("in turns, an endpoint that asks for time is left alone, and its events go elsewhere without that wait") {
  pretend_sink b{[](const request& r) { return r.origin == "pausing" ? busy("5") : response(200); },
                 {at("good"), at("pausing")},
                 {.in_flight = 16, .queue = 16}};
  b.deliver(events(200));
  CHECK(failures(b) == 0);
  CHECK(b.time.now() - b.through.seen[0].at < 1s);
  CHECK(requests_to(b, "pausing") <= 8);  // those that were under way when it said so first
  CHECK(b.balanced());
}

TEST_CASE("in turns, the wish of the only available endpoint is obeyed") {
  endpoint dead = at("dead");
  dead.breaker = breaker_rules{.consecutive = 1, .open_for = 15s, .open_max = 15s};
  pretend_sink b{[n = 0](const request& r) mutable {
                   return r.origin == "dead" ? refused() : ++n == 1 ? busy("3") : response(200);
                 },
                 {dead, at("a")}};
  b.deliver({event{"1"}});
  CHECK(b.only());
  CHECK(b.only().outcomes[0].endpoint == "a");
  CHECK(requests_to(b, "a") == 2);
  const auto& seen = b.through.seen;
  CHECK(seen.back().at - seen.front().at >= 3s);
}

TEST_CASE("in turns, where the next endpoint has no room, the one after it is used") {
  pretend_sink b{[](const request& r) { return r.origin == "dead" ? refused() : response(200, 1s); },
                 {without_breaker("dead", 16), without_breaker("full", 1), without_breaker("free", 16)}};
  event to_full{"full"};
  to_full.only = {"full"};
  std::vector<event> all{to_full};
  for (event& e : events(4)) all.push_back(std::move(e));
  b.deliver(std::move(all));
  CHECK(failures(b) == 0);
  CHECK(requests_to(b, "full") == 1);
  CHECK(requests_to(b, "free") == 4);
  CHECK(b.time.now() - b.through.seen[0].at < 1100ms);
  for (const char* const host : {"dead", "full", "free"})
    CHECK(has(b, "again_sink_endpoint_in_flight{endpoint=\"" + std::string{host} + "\"} 0"));
  CHECK(b.balanced());
}

TEST_CASE("in turns, when every endpoint has been tried, a new round begins with another one than the last") {
  endpoint a = without_breaker("a"), c = without_breaker("c");
  a.policy.attempts = c.policy.attempts = 5;
  pretend_sink b{[](const request&) { return response(500); }, {a, c}};
  b.deliver({event{"1"}});
  std::string order;
  for (const request& r : b.through.seen) order += r.origin;
  CHECK(order == "acaca");
}

// ── each endpoint for itself ──

TEST_CASE(
    "to all: a dead or silent endpoint does not hold up the others, and what waits for it is a share of the sink") {
  for (const std::string_view how : {"dead", "silent", "pausing"}) {
    pretend_sink b{[&](const request& r) {
                     return r.origin == "good" ? response(200)
                            : how == "dead"    ? refused()
                            : how == "silent"  ? response(200, 1h)
                                               : busy("5");
                   },
                   {at("good"), at("bad")},
                   {.routing = routing::broadcast, .in_flight = 16, .queue = 16}};
    b.deliver(events(1000));
    CHECK(requests_to(b, "good") == 1000);
    time_point last{};
    for (const request& r : b.through.seen)
      if (r.origin == "good") last = r.at;
    CHECK(last - b.through.seen[0].at < (how == "silent" ? 2s : 1s));
    CHECK(failures(b) == 1000);
    for (const auto& d : b.results) {
      CHECK(d->outcomes[0].result);
      CHECK(!d->outcomes[1].result);
    }
    CHECK(b.balanced());
  }
}

TEST_CASE("to all: a share of the events waits for an endpoint that is away for a while, and is delivered there") {
  time_point start{};
  pretend_sink b{[&](const request& r) {
                   if (start == time_point{}) start = r.at;
                   return r.origin == "away" && r.at < start + 5s ? busy("5") : response(200);
                 },
                 {at("good"), at("away")},
                 {.routing = routing::broadcast, .in_flight = 16, .queue = 16, .largest_share = 0.5}};
  b.deliver(events(100));
  std::size_t late = 0;
  for (const auto& d : b.results) {
    CHECK(d->outcomes[0].result);
    late += d->outcomes[1].result ? 1U : 0U;
    if (!d->outcomes[1].result) CHECK(d->outcomes[1].result.error().reason() == stop_reason::overloaded);
  }
  CHECK(late == 8 + 16);  // those that were told, and half of 32
  CHECK(b.balanced());
}

TEST_CASE("the only endpoint of a sink is waited for by all events: there is nobody to hold up") {
  time_point start{};
  pretend_sink b{[&](const request& r) {
                   if (start == time_point{}) start = r.at;
                   return r.at < start + 5s ? refused() : response(200);
                 },
                 {at("away")}};
  b.deliver(events(300));
  CHECK(failures(b) == 0);
  CHECK(b.through.seen.size() < 300 + 40);
  CHECK(b.balanced());
}

// ── the end of a wait ──

TEST_CASE("a retry that waits for a place ends at its deadline, with the last real error") {
  endpoint one = without_breaker("a", 1);
  one.policy.deadline = one.policy.attempt_timeout = 3s;
  pretend_sink b{[](const request& r) { return r.body == "bad" ? response(500) : response(200, 1h); }, {one}};
  std::vector<event> all = events(2);
  all[0].body = "bad";
  b.deliver(std::move(all));
  const delivery& d = b.results[0].value();
  CHECK(d.elapsed == 3s);
  CHECK(d.reason() == stop_reason::deadline_reached);
  CHECK(d.attempts() == 1);
  CHECK(d.outcomes[0].trace.size() == 1);
  REQUIRE(d.failed()->result.error().error());
  CHECK(d.failed()->result.error().error()->status() == 500);
  CHECK(d.failed()->result.error().trace().size() == 1);
  CHECK(b.balanced());
}

TEST_CASE("a retry that an open circuit breaker keeps back ends with breaker_open, beside the last real error") {
  endpoint dead = at("dead");
  dead.breaker = breaker_rules{.consecutive = 1, .open_for = 5s, .open_max = 15s};
  dead.policy.deadline = 12s;
  pretend_sink b{[](const auto&) { return response(500); }, {dead}};
  b.deliver({event{"1"}});
  const delivery& d = b.only();
  CHECK(d.reason() == stop_reason::breaker_open);
  CHECK(d.attempts() == 2);
  CHECK(d.failed()->result.error().error()->status() == 500);
  CHECK(d.elapsed < 6s);  // the second break does not fit before the deadline
  CHECK(b.loop.timers() == 0);
  CHECK(b.balanced());
}

TEST_CASE("events that wait for a paused endpoint are cancelled by close, by a stop, and by destruction") {
  pretend_sink b{[](const auto&) { return busy("15"); }, {at("a")}};
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope kept{here};
    b.hand_in(kept, event{"told"});
    const bool told = co_await sleep_for(10ms);
    CHECK(told);
    {
      scope stopped{here};
      b.hand_in(stopped, event{"stopped"});
      stopped.request_stop();
      co_await stopped.join();
    }
    CHECK(b.results[1]->reason() == stop_reason::cancelled_before_start);
    b.results.emplace_back();
    {
      scope destroyed{here};
      b.hand_in(destroyed, event{"destroyed"});
    }
    b.hand_in(kept, event{"closed"});
    const time_point before = b.time.now();
    co_await b.to.close(1s);
    CHECK(b.time.now() - before == 1s);
    co_await kept.join();
  };
  sync_wait(b.loop, scenario());
  CHECK(b.results[0]->reason() == stop_reason::cancelled_in_delay);
  CHECK(b.results[0]->attempts() == 1);
  CHECK(b.results[4]->reason() == stop_reason::cancelled_before_start);
  CHECK(b.loop.timers() == 0);
  CHECK(b.to.failed() == 4);
  CHECK(b.balanced());
}

TEST_CASE(
    "a delivery that is destroyed in its first attempt counts it, and not as a retry; one that waits counts none") {
  pretend_sink b{[](const auto&) { return response(200, 1h); }, {at("a", 1)}};
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope destroyed{here};
    b.hand_in(destroyed, event{"sent"});
    b.hand_in(destroyed, event{"waiting"});
    const bool slept = co_await sleep_for(100ms);
    CHECK(slept);
    CHECK(has(b, "again_sink_endpoint_in_flight{endpoint=\"a\"} 1"));
  };
  sync_wait(b.loop, scenario());
  CHECK(has(b, "again_sink_attempts_total{endpoint=\"a\",outcome=\"maybe_sent\"} 1"));
  CHECK(has(b, "again_sink_retries_total{endpoint=\"a\"} 0"));
  CHECK(has(b, "again_sink_endpoint_in_flight{endpoint=\"a\"} 0"));
  CHECK(b.balanced());
}
