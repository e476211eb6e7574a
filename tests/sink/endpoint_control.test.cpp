// SPDX-License-Identifier: MIT
// The states of endpoints from outside: by hand, by 410, by failures that last, and over a restart.
#include <again/sink/endpoint_control.hpp>

#include "sink/pretend_sink.hpp"

#include <again/coro/sleep.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

using namespace again;
using namespace again_test;

namespace {

using request = pretend_transport::request;

std::ptrdiff_t requests_to(const pretend_sink& b, std::string_view origin) {
  const auto& seen = b.through.seen;
  return std::count_if(seen.begin(), seen.end(), [&](const request& r) { return r.origin == origin; });
}
/// Hands in the events, waits for `span`, and does `then`.
task<> meanwhile(pretend_sink& b, std::vector<event> all, duration span, auto then) {
  const context& here = co_await get_context();
  scope s{here};
  for (event& e : all) b.hand_in(s, std::move(e));
  const bool slept = co_await sleep_for(span);
  CHECK(slept);
  then();
  co_await s.join();
}
endpoint without_breaker(std::string host) {
  endpoint e = at(std::move(host));
  e.breaker.reset();
  return e;
}
bool has(const pretend_sink& b, const std::string& line) {
  return ("\n" + metrics_page{}.add(b.to).text()).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

// ── by hand ──

TEST_CASE("events wait for an endpoint that is paused by hand, hold no place, and go on when it is resumed") {
  pretend_sink b{[](const auto&) { return response(200); }, {at("a"), at("b")}, {.in_flight = 2}};
  CHECK(b.to.endpoints().pause("a"));
  std::vector<event> all = events(12);
  for (std::size_t i = 0; i < 4; ++i) all[i].only = {"a"};
  sync_wait(b.loop, meanwhile(b, std::move(all), 100s, [&] {
              CHECK(b.finished.size() == 8);
              CHECK(requests_to(b, "a") == 0);
              const endpoint_status s = *b.to.endpoints().find("a");
              CHECK(s.state == endpoint_state::paused);
              CHECK(s.reason == endpoint_reason::by_hand);
              CHECK(s.until == wall_time::max());
              CHECK(has(b, "again_sink_endpoint_state{endpoint=\"a\",state=\"paused\"} 1"));
              CHECK(has(b, "again_sink_endpoint_closings_total{endpoint=\"a\",by=\"by_hand\"} 1"));
              CHECK(b.to.endpoints().resume("a"));
            }));
  CHECK(b.to.failed() == 0);
  CHECK(requests_to(b, "a") == 4);
  CHECK(b.to.endpoints().find("a")->state == endpoint_state::available);
  CHECK(b.balanced());
}

TEST_CASE("a retry waits for a paused endpoint until the deadline of its delivery, and says that it was paused") {
  pretend_sink b{[](const auto&) { return response(503); }, {at("a")}};
  sync_wait(b.loop, meanwhile(b, events(1), 5ms, [&] { b.to.endpoints().pause("a"); }));
  CHECK(b.only().reason() == stop_reason::endpoint_paused);
  CHECK(b.only().attempts() == 1);
  CHECK(b.only().failed()->result.error().error()->status() == 503);
  CHECK(b.only().elapsed == three.deadline);
}

TEST_CASE("an event for a disabled endpoint ends at once with that reason, and as a dead letter; nothing is sent") {
  temporary_file file;
  dead_letter_file dead{file.path};
  pretend_sink b{[](const auto&) { return response(200); }, {at("a")}, {.dead_letters = &dead}};
  CHECK(b.to.endpoints().disable("a"));
  b.deliver(events(2));
  for (const auto& d : b.results) {
    CHECK(d->reason() == stop_reason::endpoint_disabled);
    CHECK(d->accepted);
    CHECK(d->dead_letter == dead_letter::written);
  }
  CHECK(file.lines().size() == 2);
  CHECK(file.lines()[0].find("endpoint_disabled") != std::string::npos);
  CHECK(has(b, "again_sink_events_failed_total{reason=\"endpoint_disabled\"} 2"));
  CHECK(has(b, "again_sink_endpoint_state{endpoint=\"a\",state=\"disabled\"} 1"));
  CHECK(b.through.seen.empty());
  CHECK(b.balanced());
}

TEST_CASE("events that wait for an endpoint end when it is disabled, those in turns where all are") {
  pretend_sink b{[](const auto&) { return response(200); }, {at("a"), at("b")}};
  b.to.endpoints().pause("a");
  b.to.endpoints().pause("b");
  std::vector<event> all = events(2);
  all[0].only = {"a"};
  sync_wait(b.loop, meanwhile(b, std::move(all), 1s, [&] {
              b.to.endpoints().disable("a");
              CHECK(b.loop.timers() == 0);
              b.to.endpoints().disable("b");
            }));
  for (const auto& d : b.results) CHECK(d->reason() == stop_reason::endpoint_disabled);
  CHECK(b.results[0]->elapsed == 1s);
  CHECK(b.through.seen.empty());
  CHECK(b.balanced());
}

TEST_CASE("in turns, an event for a disabled endpoint goes to another one") {
  pretend_sink b{[](const auto&) { return response(200); }, {at("a"), at("b")}};
  b.to.endpoints().disable("a");
  b.deliver(events(10));
  CHECK(b.to.delivered() == 10);
  CHECK(requests_to(b, "b") == 10);
}

TEST_CASE("to all, a disabled endpoint has its own outcome, and the others get the event") {
  pretend_sink b{[](const auto&) { return response(200); }, {at("a"), at("b")}, {.routing = routing::broadcast}};
  b.to.endpoints().disable("a");
  b.deliver(events(3));
  CHECK(requests_to(b, "b") == 3);
  for (const auto& d : b.results) {
    CHECK(d->outcomes[0].result.error().reason() == stop_reason::endpoint_disabled);
    CHECK(d->outcomes[1].result);
  }
  CHECK(b.balanced());
}

TEST_CASE("resuming ends a pause that the endpoint asked for, and closes its circuit breaker") {
  endpoint e = at("a");
  e.breaker = breaker_rules{.consecutive = 1, .open_for = 15s, .open_max = 15s};
  bool well = false;
  pretend_sink b{[&](const auto&) { return response(well ? 200 : 500); }, {e}};
  sync_wait(b.loop, meanwhile(b, events(1), 1s, [&] {
              CHECK(b.to.endpoints().find("a")->state == endpoint_state::breaker_open);
              CHECK(b.to.endpoints().find("a")->reason == endpoint_reason::circuit_breaker);
              well = true;
              b.to.endpoints().resume("a");
            }));
  CHECK(b.only());
  CHECK(b.only().elapsed < 2s);
}

TEST_CASE("a name that no endpoint has changes nothing") {
  pretend_sink b{[](const auto&) { return response(200); }, {at("a")}};
  CHECK(!b.to.endpoints().pause("b"));
  CHECK(!b.to.endpoints().disable("b"));
  CHECK(!b.to.endpoints().resume("b"));
  CHECK(!b.to.endpoints().find("b"));
  CHECK(b.to.endpoints().all().size() == 1);
}

// ── by the endpoint itself ──

TEST_CASE("410 disables the endpoint: the event that got it and all others end with that reason beside the response") {
  std::vector<std::string> heard;
  struct listener : delivery_observer {
    explicit listener(std::vector<std::string>& to) : heard{to} {}
    void changed(const endpoint_change& c) override {
      heard.push_back(std::string{name(c.to)} + " " + std::string{name(c.reason)} + " " + std::string{c.last_error});
    }
    std::vector<std::string>& heard;
  } ears{heard};
  pretend_sink b{[](const auto&) { return response(410); }, {at("a")}, {.observer = &ears}};
  b.deliver(events(1));
  CHECK(b.only().reason() == stop_reason::endpoint_disabled);
  CHECK(b.only().failed()->result.error().error()->status() == 410);
  CHECK(b.only().attempts() == 1);
  b.deliver(events(5));
  CHECK(b.through.seen.size() == 1);
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].substr(0, 13) == "disabled gone");
  CHECK(heard[0].find("410") != std::string::npos);
  const endpoint_status s = b.to.endpoints().all()[0];
  CHECK(s.reason == endpoint_reason::gone);
  CHECK(s.last_error.find("410") != std::string::npos);
  CHECK(s.since != wall_time{});
  CHECK(b.balanced());
}

TEST_CASE("in turns, an event that got 410 goes to an endpoint that is not disabled") {
  for (const moving how : {moving::any, moving::unanswered}) {
    pretend_sink b{[](const request& r) { return response(r.origin == "gone" ? 410 : 200); },
                   {at("gone"), at("good")},
                   {.move_on = how}};
    b.deliver(events(20));
    CHECK(b.to.delivered() == 20);
    CHECK(requests_to(b, "good") == 20);
    CHECK(requests_to(b, "gone") >= 1);
    CHECK(b.balanced());
  }
}

TEST_CASE("410 is a permanent error like others where it does not disable") {
  endpoint e = at("a");
  e.gone_disables = false;
  pretend_sink b{[](const auto&) { return response(410); }, {e}};
  b.deliver(events(2));
  for (const auto& d : b.results) CHECK(d->reason() == stop_reason::permanent);
  CHECK(b.through.seen.size() == 2);
}

TEST_CASE("an endpoint that fails for longer than disable_after without one success is disabled, and not before") {
  endpoint e = without_breaker("a");
  e.disable_after = 1h;
  e.policy.attempts = 1;
  bool one_success = false;
  pretend_sink b{[&](const auto&) { return response(one_success ? 200 : 500); }, {e}};
  const auto each_five_minutes = [&](int n) -> task<> {
    for (int i = 0; i < n; ++i) {
      static_cast<void>(co_await b.to.deliver(event{std::to_string(i)}));
      static_cast<void>(co_await sleep_for(5min));
    }
  };
  sync_wait(b.loop, each_five_minutes(12));
  CHECK(b.to.endpoints().find("a")->state == endpoint_state::available);
  CHECK(b.to.endpoints().find("a")->failing_since != wall_time::max());
  one_success = true;
  sync_wait(b.loop, each_five_minutes(1));
  CHECK(b.to.endpoints().find("a")->failing_since == wall_time::max());
  one_success = false;
  sync_wait(b.loop, each_five_minutes(12));
  CHECK(b.to.endpoints().find("a")->state == endpoint_state::available);
  CHECK(b.through.seen.size() == 25);
  sync_wait(b.loop, each_five_minutes(2));
  CHECK(b.through.seen.size() == 26);  // the 13th of them disabled it
  CHECK(b.to.endpoints().find("a")->reason == endpoint_reason::failing);
  CHECK(has(b, "again_sink_endpoint_closings_total{endpoint=\"a\",by=\"failing\"} 1"));
}

TEST_CASE("nine failures do not disable an endpoint, however long they take") {
  endpoint e = without_breaker("a");
  e.policy.attempts = 1;
  pretend_sink b{[&](const auto&) { return response(500); }, {e}};
  const auto each_month = [&](int n) -> task<> {
    for (int i = 0; i < n; ++i) {
      static_cast<void>(co_await b.to.deliver(event{"e"}));
      static_cast<void>(co_await sleep_for(24h * 30));
    }
  };
  sync_wait(b.loop, each_month(9));
  CHECK(b.to.endpoints().find("a")->state == endpoint_state::available);
  sync_wait(b.loop, each_month(1));
  CHECK(b.to.endpoints().find("a")->state == endpoint_state::disabled);
}

// ── over a restart ──

TEST_CASE("what was known before a restart holds after it: disabled, paused by hand, and the rest of a pause") {
  pretend_sink b{[](const auto&) { return response(200); }, {at("a"), at("b"), at("c")}};
  endpoint_control& ends = b.to.endpoints();
  ends.run_on(b.loop);
  endpoint_status off{"a", endpoint_state::disabled, endpoint_reason::gone};
  off.last_error = "status 410";
  endpoint_status later{"b", endpoint_state::paused, endpoint_reason::retry_after};
  later.until = b.loop.wall_now() + 5s;
  later.failing_since = b.loop.wall_now() - 1h;
  CHECK(ends.restore(off));
  CHECK(ends.restore(later));
  CHECK(!ends.restore(endpoint_status{"x", endpoint_state::disabled}));
  CHECK(ends.find("a")->last_error == "status 410");
  CHECK(ends.find("a")->reason == endpoint_reason::gone);
  CHECK(ends.find("b")->until == later.until);
  CHECK(ends.find("b")->failing_since == later.failing_since);
  std::vector<event> all = events(2);
  all[0].only = {"b"};
  b.deliver(std::move(all));
  CHECK(b.to.delivered() == 2);
  CHECK(b.results[0]->elapsed >= 5s);
  CHECK(requests_to(b, "a") == 0);
}

// ── with a store ──

TEST_CASE("where a store keeps the events, none waits in the sink for an endpoint that is paused by hand") {
  pretend_sink b{[](const auto&) { return response(200); }, {at("a"), at("b")}, {.routing = routing::broadcast}};
  b.to.endpoints().give_back_what_waits();
  b.to.endpoints().pause("a");
  b.deliver(events(1));
  CHECK(b.only().outcomes[0].result.error().reason() == stop_reason::endpoint_paused);
  CHECK(b.only().outcomes[1].result);
  CHECK(b.only().elapsed < 1s);
}

TEST_CASE("where a store keeps the events, those beyond a share do not wait in the sink for a slow endpoint") {
  pretend_sink b{[](const request& r) { return response(200, r.origin == "slow" ? 900ms : 1ms); },
                 {at("good"), at("slow")},
                 {.routing = routing::broadcast, .in_flight = 16, .queue = 16}};
  b.to.endpoints().give_back_what_waits();
  b.deliver(events(1000));
  time_point last{};
  for (const request& r : b.through.seen)
    if (r.origin == "good") last = r.at;
  CHECK(requests_to(b, "good") == 1000);
  CHECK(last - b.through.seen[0].at < 5s);  // 12 at a time take 75 s for all
  for (const auto& d : b.results) {
    CHECK(d->outcomes[0].result);
    if (!d->outcomes[1].result) CHECK(d->outcomes[1].result.error().reason() == stop_reason::overloaded);
  }
  CHECK(b.balanced());
}
