// SPDX-License-Identifier: MIT
// What one endpoint may take: its share of the places, its rate, its retry budget.
#include <again/sink/detail/endpoint_gate.hpp>

#include "sink/pretend_sink.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace again;
using namespace again_test;

namespace {

using request = pretend_transport::request;

endpoint without_breaker(std::string host) {
  endpoint e = at(std::move(host));
  e.breaker.reset();
  return e;
}
std::vector<time_point> times(const pretend_sink& b, std::string_view origin) {
  std::vector<time_point> all;
  for (const request& r : b.through.seen)
    if (r.origin == origin) all.push_back(r.at);
  return all;
}

}  // namespace

// ── places ──

TEST_CASE("in turns, a slow endpoint leaves places to the others, which finish without waiting for it") {
  pretend_sink b{[](const request& r) { return response(200, r.origin == "slow" ? 900ms : 1ms); },
                 {at("good"), at("slow")},
                 {.in_flight = 16, .queue = 1000}};
  b.deliver(events(1000));
  CHECK(b.to.failed() == 0);
  // An equal share is 8, and half of the other's stays free: 12 at most.
  CHECK(times(b, "slow").size() == 12);
  CHECK(times(b, "good").back() - times(b, "good").front() < 500ms);
  CHECK(b.balanced());
}

TEST_CASE("to all, a slow endpoint does not take the places of the others") {
  pretend_sink b{[](const request& r) { return response(200, r.origin == "slow" ? 900ms : 1ms); },
                 {at("slow"), at("good")},
                 {.routing = routing::broadcast, .in_flight = 4, .queue = 36}};
  b.deliver(events(40));
  CHECK(b.to.failed() == 0);
  CHECK(times(b, "good").back() - times(b, "good").front() < 500ms);
}

TEST_CASE("an endpoint that is used alone has most of the places, and all of them where the others are closed") {
  pretend_sink b{[&](const request&) { return response(200, 100ms); }, {at("a"), at("b")}, {.in_flight = 16}};
  std::vector<event> all = events(160);
  for (event& e : all) e.only = {"a"};
  b.deliver(all);
  CHECK(b.through.most_running == 12);
  b.to.endpoints().disable("b");
  b.deliver(all);
  CHECK(b.through.most_running == 16);
}

// ── rate ──

TEST_CASE("a rate bounds the attempts at an endpoint, retries included, and leaves the others alone") {
  endpoint paced = without_breaker("paced");
  paced.rate = rates{.per_second = 10, .burst = 5};
  paced.policy.attempts = 2;
  paced.policy.deadline = 60s;
  pretend_sink b{
      [n = 0](const request& r) mutable { return response(r.origin == "paced" && ++n % 5 == 0 ? 500 : 200); },
      {paced, at("free")},
      {.routing = routing::broadcast, .in_flight = 16, .queue = 100}};
  b.deliver(events(100));
  CHECK(b.to.failed() == 0);
  const std::vector<time_point> sent = times(b, "paced");
  CHECK(sent.size() > 100);
  for (std::size_t i = 0; i + 5 < sent.size(); ++i) CHECK(sent[i + 5] - sent[i] >= 100ms);  // a burst, then a turn
  CHECK(sent.back() - sent.front() == (sent.size() - 5) * 100ms);
  CHECK(times(b, "free").back() - times(b, "free").front() < 1s);
  CHECK(b.loop.timers() == 0);
  CHECK(b.balanced());
}

TEST_CASE("in turns, what the rate of one endpoint keeps back goes to another") {
  endpoint paced = at("paced");
  paced.rate = rates{.per_second = 1, .burst = 1};
  pretend_sink b{[](const request&) { return response(200); }, {paced, at("free")}};
  b.deliver(events(500));
  CHECK(times(b, "paced").size() == 1);
  CHECK(times(b, "free").size() == 499);
}

// ── budget ──

TEST_CASE("by default an endpoint that fails the first attempt of every event gets every event") {
  std::set<std::string> known;
  pretend_sink b{[&](const request& r) { return response(known.insert(r.body).second ? 500 : 200, 1ms); },
                 {without_breaker("a")}};
  std::vector<event> all = events(2000);
  for (event& e : all) e.body = e.id;
  b.deliver(std::move(all));
  CHECK(b.to.failed() == 0);
  CHECK(b.through.seen.size() == 4000);
}

TEST_CASE("retries beyond the budget wait, and end at their deadline with the last error; first attempts go on") {
  endpoint dead = without_breaker("a");
  dead.budget = budgets::ratio{.share = 0.5, .floor_per_second = 1};
  dead.policy.deadline = 5s;
  pretend_sink b{[](const request&) { return response(500, 1ms); }, {dead}, {.queue = 1000}};
  b.deliver(events(1000));
  CHECK(b.to.delivered() == 0);
  std::size_t exhausted = 0;
  for (const auto& d : b.results) {
    CHECK(d->failed()->result.error().error()->status() == 500);
    exhausted += d->reason() == stop_reason::budget_exhausted ? 1U : 0U;
    if (d->reason() == stop_reason::budget_exhausted) CHECK(d->elapsed >= 5s);
  }
  CHECK(exhausted > 500);
  CHECK(b.through.seen.size() <= 1000 + 500 + 20);
  CHECK(b.time.now() - b.through.seen[0].at < 6s);
  CHECK(b.loop.timers() == 0);
  CHECK(b.balanced());
}

TEST_CASE("an attempt at an endpoint where the event was not sent before costs nothing of its budget") {
  endpoint good = without_breaker("good"), dead = without_breaker("dead");
  good.budget = dead.budget = budgets::ratio{.share = 0, .floor_per_second = 0};
  pretend_sink b{[](const request& r) { return response(r.origin == "dead" ? 500 : 200); }, {good, dead}};
  b.deliver(events(100));
  CHECK(b.to.delivered() == 100);
  CHECK(times(b, "dead").size() == 50);
}

TEST_CASE("without a budget every attempt of the policy is made") {
  endpoint dead = without_breaker("a");
  dead.budget.reset();
  pretend_sink b{[](const request&) { return response(500, 1ms); }, {dead}};
  b.deliver(events(1000));
  CHECK(b.through.seen.size() == 3000);
}
