// SPDX-License-Identifier: MIT
#include <again/sink/sink.hpp>

#include "sink/pretend_sink.hpp"

#include <again/coro/sleep.hpp>
#include <again/webhook/sign.hpp>
#include <again/webhook/verify.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace again;
using namespace again_test;

TEST_CASE("an event is posted with its headers, its body and a key, and its caller gets the response") {
  pretend_sink b{[](const auto&) { return response(202); }, {at("a")}};
  b.deliver({event{"7", "{\"n\":7}", {{"Content-Type", "application/json"}}}});
  const delivery& d = b.only();
  REQUIRE(d);
  CHECK(d.accepted);
  CHECK(d.event.id == "7");
  CHECK(d.outcomes.size() == 1);
  CHECK(d.outcomes[0].endpoint == "a");
  CHECK(d.outcomes[0].result->status == 202);
  CHECK(d.attempts() == 1);
  REQUIRE(b.through.seen.size() == 1);
  CHECK(b.through.seen[0].target == "/in");
  CHECK(b.through.seen[0].body == "{\"n\":7}");
  CHECK(b.through.seen[0].headers.get("Content-Type") == "application/json");
  CHECK(b.through.seen[0].key == d.event.key);
  CHECK(b.through.seen[0].drain == http::drain_limits{});  // the status decides
  CHECK(d.event.key.size() == 36);
  CHECK(b.balanced());
}

TEST_CASE("a redirect that is not followed has delivered nothing, unless the endpoint accepts its status") {
  for (const int status : {300, 301, 302, 303, 304, 307, 308}) {
    pretend_sink b{[status](const auto&) { return response(status); }, {at("a")}};
    b.deliver({event{"1"}});
    CHECK_FALSE(b.only());
    CHECK(b.only().reason() == stop_reason::permanent);
    CHECK(b.only().failed()->result.error().error()->status() == status);
    CHECK(b.through.seen.size() == 1);
    endpoint lenient = at("a");
    lenient.accept = {status};
    pretend_sink a{[status](const auto&) { return response(status); }, {lenient}};
    a.deliver({event{"1"}});
    CHECK(a.only());
  }
}

TEST_CASE(
    "the Idempotency-Key, given or made, is the same on every attempt and at every endpoint, and can be switched off") {
  const auto down = [](const pretend_transport::request& r) {
    return r.origin == "c" ? response(200) : breaks(error_kind::closed, reach::maybe_sent);
  };
  pretend_sink b{down, {at("a"), at("b"), at("c")}};
  b.deliver({event{"1"}});
  REQUIRE(b.through.seen.size() == 3);
  CHECK(std::set<std::string>{b.through.seen[0].key, b.through.seen[1].key, b.through.seen[2].key}.size() == 1);
  event given{"2"};
  given.key = "mine";
  pretend_sink g{[](const auto&) { return response(200); }, {at("a")}};
  g.deliver({given});
  CHECK(g.through.seen[0].key == "mine");
  pretend_sink none{[](const auto&) { return breaks(error_kind::closed, reach::maybe_sent); },
                    {at("a")},
                    {.idempotency_keys = false}};
  none.deliver({event{"3"}});
  CHECK(none.through.seen.size() == 1);
  CHECK(!none.through.seen[0].headers.contains("Idempotency-Key"));
  CHECK(none.only().reason() == stop_reason::not_replayable);
}

TEST_CASE("round robin: events take turns, and a retry goes past an endpoint that does not respond") {
  const auto dead = [](const pretend_transport::request& r) {
    return r.origin == "dead" ? breaks(error_kind::refused, reach::not_sent) : response(200);
  };
  pretend_sink b{dead, {at("dead"), at("x"), at("y")}};
  b.deliver(events(30));
  std::map<std::string, int> requests;
  for (const auto& r : b.through.seen) ++requests[r.origin];
  for (const auto& d : b.results) {
    REQUIRE(*d);
    CHECK(d->outcomes[0].endpoint != "dead");
  }
  CHECK(requests["dead"] == 10);
  CHECK(requests["x"] + requests["y"] == 30);
  CHECK(b.balanced());
}

TEST_CASE("a shortage of ours is no mark against an endpoint: its circuit breaker stays closed") {
  for (const error_kind kind : {error_kind::shortage, error_kind::refused}) {
    std::map<std::string, int> attempts;
    pretend_sink b{[&](const pretend_transport::request& r) {
                     return ++attempts[r.body] == 1 ? breaks(kind, reach::not_sent) : response(200);
                   },
                   {at("only")}};
    std::vector<event> all;
    for (int i = 0; i < 30; ++i) all.emplace_back(std::to_string(i), std::to_string(i));
    b.deliver(std::move(all));
    for (const auto& d : b.results) CHECK(*d);
    CHECK((b.time.now() - virtual_clock::start < 1s) == (kind == error_kind::shortage));
    CHECK(b.balanced());
  }
}

TEST_CASE("a failed attempt moves the retry on, or only one without a response, as the options say") {
  const auto busy = [](const pretend_transport::request& r) { return response(r.origin == "busy" ? 503 : 200); };
  pretend_sink stay{busy, {at("busy"), at("x")}, {.move_on = moving::unanswered}};
  stay.deliver({event{"1"}});
  CHECK(stay.through.seen.size() == 3);
  CHECK(stay.only().outcomes[0].endpoint == "busy");
  CHECK(stay.only().reason() == stop_reason::attempts_exhausted);
  pretend_sink go{busy, {at("busy"), at("x")}};
  go.deliver({event{"1"}});
  CHECK(go.only());
  CHECK(go.only().outcomes[0].endpoint == "x");
  CHECK(go.only().attempts() == 2);
}

TEST_CASE("broadcast: one endpoint fails for good, one for a while, one takes it; the result has three outcomes") {
  int flaky = 0;
  pretend_sink b{[&](const pretend_transport::request& r) {
                   return r.origin == "no"      ? response(422)
                          : r.origin == "flaky" ? response(++flaky < 3 ? 503 : 200)
                                                : response(201);
                 },
                 {at("no"), at("flaky"), at("yes")},
                 {.routing = routing::broadcast}};
  b.deliver({event{"1"}});
  const delivery& d = b.only();
  CHECK(!d);
  REQUIRE(d.outcomes.size() == 3);
  CHECK(d.outcomes[0].endpoint == "no");
  REQUIRE(!d.outcomes[0].result);
  CHECK(d.outcomes[0].result.error().reason() == stop_reason::permanent);
  CHECK(d.outcomes[0].result.error().error()->status() == 422);
  CHECK(d.outcomes[0].attempts == 1);
  REQUIRE(d.outcomes[1].result);
  CHECK(d.outcomes[1].attempts == 3);
  CHECK(d.outcomes[1].trace.size() == 3);
  REQUIRE(d.outcomes[2].result);
  CHECK(d.outcomes[2].result->status == 201);
  CHECK(d.attempts() == 5);
  CHECK(d.reason() == stop_reason::permanent);
  CHECK(b.to.failed() == 1);
  CHECK(b.balanced());
}

TEST_CASE("choose: one endpoint, several, or a mistake that deliver throws") {
  pretend_sink b{[](const auto&) { return response(200); },
                 {at("a"), at("b"), at("c")},
                 {.choose = [](const event& e) -> std::vector<std::size_t> {
                   if (e.id == "all") return {0, 1, 2};
                   if (e.id == "none") return {};
                   if (e.id == "wild") return {3};
                   return {1};
                 }}};
  b.deliver({event{"b"}, event{"all"}});
  CHECK(b.results[0]->outcomes[0].endpoint == "b");
  CHECK(b.results[1]->outcomes.size() == 3);
  CHECK_THROWS_AS((void)sync_wait(b.loop, b.to.deliver(event{"none"})), std::invalid_argument);
  CHECK_THROWS_AS((void)sync_wait(b.loop, b.to.deliver(event{"wild"})), std::out_of_range);
  CHECK(b.to.accepted() == 2);
  CHECK(b.balanced());
}

TEST_CASE("each endpoint has its own policy, headers and rules") {
  endpoint patient = at("patient"), strict = at("strict");
  patient.policy.attempts = 5;
  patient.headers.add("Authorization", "Bearer p");
  strict.rules.statuses = {};
  pretend_sink b{[](const auto&) { return response(503); }, {patient, strict}, {.routing = routing::broadcast}};
  b.deliver({event{"1"}});
  CHECK(b.only().outcomes[0].attempts == 5);
  CHECK(b.only().outcomes[1].attempts == 1);
  for (const auto& r : b.through.seen) CHECK(r.headers.contains("Authorization") == (r.origin == "patient"));
}

TEST_CASE("an endpoint signs each attempt: its id is the event's key, and the bytes are those that were handed in") {
  const auto secret = webhook::secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  REQUIRE(secret);
  endpoint signing = at("a");
  signing.each_attempt = webhook::signer{*secret};
  signing.policy.backoff = constant(5s);
  pretend_sink b{[n = 0](const auto&) mutable { return response(++n < 3 ? 503 : 202); },
                 {signing, at("b")},
                 {.choose = [](const event&) { return std::vector<std::size_t>{0, 1}; }}};
  b.deliver({event{"7", "{ \"n\" : 7 }"}});
  REQUIRE(b.only());
  std::set<std::string> timestamps;
  for (const auto& r : b.through.seen) {
    if (r.origin == "b") {
      CHECK_FALSE(r.headers.contains("webhook-signature"));
      continue;
    }
    const auto message = webhook::verify(*secret, r.headers, "{ \"n\" : 7 }", b.time.wall_now());
    REQUIRE(message);
    CHECK(message->id == b.only().event.key);
    timestamps.emplace(r.headers.get("webhook-timestamp"));
  }
  CHECK(timestamps.size() == 2);
}

TEST_CASE("an attempt that its endpoint's hook refuses is not sent, and the event has a final result") {
  endpoint refusing = at("a");
  refusing.each_attempt = [](const http::attempt_info&, http::headers&) { return std::optional{http::invalid{"no"}}; };
  pretend_sink b{[](const auto&) { return response(202); }, {refusing}};
  b.deliver({event{"1"}});
  CHECK_FALSE(b.only());
  CHECK(b.only().reason() == stop_reason::permanent);
  CHECK(b.only().failed()->result.error().error()->kind() == error_kind::invalid_request);
  CHECK(b.through.seen.empty());
}

TEST_CASE("no more events are under way than allowed, in all and at each endpoint, and each gets its result") {
  int most_a = 0, now_a = 0;
  pretend_sink b{[](const pretend_transport::request& r) { return response(200, r.origin == "a" ? 70ms : 10ms); },
                 {at("a", 2), at("b", 3)},
                 {.in_flight = 4, .queue = 3}};
  b.deliver(events(100));
  CHECK(b.through.most_running == 4);
  // At no moment do more than two requests to a overlap.
  std::vector<std::pair<time_point, int>> edges;
  for (const auto& r : b.through.seen) {
    if (r.origin != "a") continue;
    edges.emplace_back(r.at, 1);
    edges.emplace_back(r.at + 70ms, -1);
  }
  std::sort(edges.begin(), edges.end());
  for (const auto& [when, change] : edges) most_a = std::max(most_a, now_a += change);
  CHECK(most_a == 2);
  CHECK(b.finished.size() == 100);
  CHECK(b.balanced());
}

TEST_CASE("in a full sink deliver waits, and try_deliver gives overloaded and the event back") {
  pretend_sink b{[](const auto&) { return response(200, 1s); }, {at("a")}, {.in_flight = 1, .queue = 2}};
  std::optional<delivery> refused;
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    for (event& e : events(5)) b.hand_in(s, std::move(e));
    CHECK(b.to.accepted() == 3);
    CHECK(b.to.queued() == 2);
    CHECK(b.to.in_flight() == 1);
    CHECK(b.to.in_flight_at(0) == 1);
    refused = co_await b.to.try_deliver(event{"late", "body"});
    co_await s.join();
    delivery later = co_await b.to.try_deliver(std::move(refused->event));
    CHECK(later);
  };
  sync_wait(b.loop, scenario());
  CHECK(refused->reason() == stop_reason::overloaded);
  CHECK(!refused->accepted);
  CHECK(b.to.refused() == 1);
  CHECK(b.finished == std::vector<std::string>{"0", "1", "2", "3", "4"});
  CHECK(b.to.delivered() == 6);
  CHECK(b.balanced());
}

TEST_CASE("order per key: the next event of a key waits for the final result of the one before; other keys go on") {
  int failures = 0;
  pretend_sink b{[&](const pretend_transport::request& r) {
                   return r.body == "slow" && ++failures < 3 ? response(503) : response(200);
                 },
                 {at("a"), at("b")},
                 {.order = ordering::per_key}};
  std::vector<event> all;
  for (const char* const id : {"k1", "k2", "k3", "other"}) {
    event e{id, std::string{id} == "k1" ? "slow" : "fast"};
    e.order_key = std::string{id} == "other" ? "o" : "k";
    all.push_back(std::move(e));
  }
  b.deliver(std::move(all));
  CHECK(b.finished == std::vector<std::string>{"other", "k1", "k2", "k3"});
  CHECK(b.balanced());
}

TEST_CASE("order per endpoint: one at a time, in the order of acceptance") {
  int n = 0;
  const auto uneven = [&n](const auto&) {
    ++n;
    return response(n % 3 == 0 ? 200 : 503, n % 2 == 0 ? 9ms : 1ms);
  };
  pretend_sink b{uneven, {at("a")}, {.order = ordering::per_endpoint}};
  b.deliver(events(20));
  CHECK(b.through.most_running == 1);
  std::vector<std::string> expected;
  for (const event& e : events(20)) expected.push_back(e.id);
  CHECK(b.finished == expected);
}

TEST_CASE("order per endpoint: a retry stays at its endpoint, so that no other event overtakes it") {
  pretend_sink b{[](const pretend_transport::request& r) {
                   return r.origin == "dead" ? breaks(error_kind::refused, reach::not_sent) : response(200);
                 },
                 {at("dead"), at("fine")},
                 {.order = ordering::per_endpoint}};
  b.deliver(events(4));
  for (const auto& d : b.results) {
    CHECK(d->ok() == (d->outcomes[0].endpoint == "fine"));
    CHECK(d->attempts() == (d->ok() ? 1 : 3));
  }
  CHECK(b.finished == std::vector<std::string>{"1", "3", "0", "2"});
  CHECK(b.balanced());
}

TEST_CASE("close refuses new events, waits for accepted ones, and cancels those that do not finish in time") {
  for (const duration takes : {duration{2s}, duration{1h}}) {
    pretend_sink b{[=](const auto&) { return response(200, takes); }, {at("a", 2)}, {.in_flight = 2, .queue = 2}};
    const auto scenario = [&]() -> task<> {
      const context& here = co_await get_context();
      scope s{here};
      for (event& e : events(6)) b.hand_in(s, std::move(e));
      const bool slept = co_await sleep_for(100ms);
      CHECK(slept);
      co_await b.to.close(900ms);
      for (std::size_t i = 0; i < b.results.size(); ++i) CHECK_MESSAGE(b.results[i].has_value(), i);
      delivery after = co_await b.to.deliver(event{"after"});
      CHECK(after.reason() == stop_reason::cancelled_before_start);
      CHECK(!after.accepted);
      co_await b.to.close(0s);
      co_await s.join();
    };
    sync_wait(b.loop, scenario());
    CHECK(b.to.accepted() == 4);
    CHECK(b.to.refused() == 3);
    CHECK(b.to.failed() == 4);
    CHECK(b.results[0]->reason() == stop_reason::cancelled_in_attempt);
    CHECK(b.results[3]->reason() == stop_reason::cancelled_before_start);
    CHECK(b.results[3]->accepted);
    CHECK(!b.results[5]->accepted);
    CHECK(b.balanced());
  }
  pretend_sink quick{[](const auto&) { return response(200, 300ms); }, {at("a", 2)}, {.in_flight = 2, .queue = 2}};
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    for (event& e : events(4)) quick.hand_in(s, std::move(e));
    co_await quick.to.close(5s);
    CHECK(quick.time.now() - quick.through.seen[0].at == 600ms);  // not the whole 5 s
    co_await s.join();
  };
  sync_wait(quick.loop, scenario());
  CHECK(quick.to.delivered() == 4);
  CHECK(quick.balanced());
}

TEST_CASE("one delivery alone is stopped by its token, or bounded by its deadline") {
  pretend_sink b{[](const auto&) { return response(200, 500ms); }, {at("a")}};
  inplace_stop_source stop;
  const auto scenario = [&]() -> task<> {
    const auto stopper = [&]() -> task<> {
      (void)co_await sleep_for(100ms);
      stop.request_stop();
    };
    auto [stopped, bounded, good, done] = co_await when_all(b.to.deliver(event{"stopped"}).stop(stop.get_token()),
                                                            b.to.deliver(event{"bounded"}).within(200ms),
                                                            b.to.deliver(event{"good"}).within(1min), stopper);
    CHECK(stopped.reason() == stop_reason::cancelled_in_attempt);
    CHECK(bounded.reason() == stop_reason::deadline_reached);
    CHECK(good);
  };
  sync_wait(b.loop, scenario());
  CHECK(b.time.now() - virtual_clock::start == 500ms);
  CHECK(b.balanced());
}

TEST_CASE("a caller that is stopped or destroyed ends its own event and no other; the event is counted and has a dead "
          "letter") {
  temporary_file file;
  dead_letter_file dead{file.path};
  pretend_sink b{[](const auto&) { return response(200, 500ms); }, {at("a")}, {.dead_letters = &dead}};
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope good{here};
    b.hand_in(good, event{"good"});
    {
      scope stopped{here};
      b.hand_in(stopped, event{"stopped"});
      const bool slept = co_await sleep_for(100ms);
      CHECK(slept);
      stopped.request_stop();
      co_await stopped.join();
      b.results.emplace_back();
    }
    {
      scope destroyed{here};
      b.hand_in(destroyed, event{"destroyed"});
    }
    CHECK(b.to.failed() == 2);
    CHECK(b.to.in_flight() == 1);
    co_await good.join();
  };
  sync_wait(b.loop, scenario());
  CHECK(b.balanced());  // the attempt that was destroyed is one that the endpoint may have seen
  CHECK((metrics_page{}.add(b.to).text().find("\nagain_sink_delivery_duration_seconds_count 3\n")) !=
        std::string::npos);
  CHECK(b.results[1]->reason() == stop_reason::cancelled_in_attempt);
  CHECK(b.to.delivered() == 1);
  CHECK(b.to.accepted() == 3);
  CHECK(b.to.in_flight() == 0);
  const auto lines = file.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find(R"("id":"stopped")") != std::string::npos);
  CHECK(lines[1].find(R"("id":"destroyed")") != std::string::npos);
}

TEST_CASE("a caller that is destroyed while it waits for room counts as refused, and its event has a dead letter") {
  temporary_file file;
  dead_letter_file dead{file.path};
  pretend_sink b{
      [](const auto&) { return response(200, 500ms); }, {at("a")}, {.in_flight = 1, .queue = 0, .dead_letters = &dead}};
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope good{here};
    b.hand_in(good, event{"good"});
    {
      scope destroyed{here};
      b.hand_in(destroyed, event{"waiting"});
      const bool slept = co_await sleep_for(100ms);
      CHECK(slept);
    }
    const delivery refused = co_await b.to.try_deliver(event{"given back"});
    CHECK(!refused);
    co_await good.join();
  };
  sync_wait(b.loop, scenario());
  CHECK(b.to.accepted() == 1);
  CHECK(b.to.refused() == 2);
  const auto lines = file.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find(R"("id":"waiting")") != std::string::npos);
  CHECK(b.balanced());
}

TEST_CASE("an event that names its endpoints goes to each of them, whatever the routing") {
  pretend_sink b{[](const pretend_transport::request& r) { return response(r.origin == "b" ? 400 : 200); },
                 {at("a"), at("b"), at("c")}};
  event e{"1"};
  e.only = {"a", "b"};
  b.deliver({e});
  const delivery& d = b.only();
  CHECK(!d);
  REQUIRE(d.outcomes.size() == 2);
  CHECK(d.outcomes[0].endpoint == "a");
  CHECK(d.outcomes[0].result);
  CHECK(d.outcomes[1].endpoint == "b");
  CHECK(!d.outcomes[1].result);
}

TEST_CASE("the dead letter of an event that was never begun, or was chosen for some endpoints, names its endpoints") {
  temporary_file file;
  dead_letter_file dead{file.path};
  pretend_sink b{[](const auto&) { return response(400); },
                 {at("a"), at("b"), at("c")},
                 {.choose = [](const event& e) -> std::vector<std::size_t> {
                    return e.id == "one" ? std::vector<std::size_t>{2} : std::vector<std::size_t>{0, 1};
                  },
                  .dead_letters = &dead}};
  b.deliver({event{"one"}});
  CHECK(b.only().event.only.empty());
  sync_wait(b.loop, b.to.close(0s));
  b.deliver({event{"two"}});
  const auto lines = file.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find(R"("only":["c"])") != std::string::npos);
  CHECK(lines[1].find(R"("only":["a","b"])") != std::string::npos);
}

TEST_CASE("an event that is not delivered has its dead letter before its caller has the result; that of a broadcast "
          "names the endpoints that did not take it") {
  temporary_file file;
  dead_letter_file dead{file.path};
  pretend_sink b{[](const pretend_transport::request& r) { return response(r.origin == "no" ? 400 : 200); },
                 {at("no"), at("yes")},
                 {.routing = routing::broadcast, .dead_letters = &dead}};
  b.deliver({event{"1", "{\"a\":1}", {{"X", "y"}}}});
  CHECK(b.only().dead_letter == dead_letter::written);
  CHECK(b.to.dead_letters_written() == 1);
  const auto lines = file.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].starts_with(R"({"id":"1","key":")" + b.only().event.key +
                             R"(","headers":[["X","y"]],"body":"{\"a\":1}","only":["no"],)"));

  event again_to_no{"1", "{}"};
  again_to_no.only = {"no"};
  const auto before = b.through.seen.size();
  b.deliver({again_to_no});
  CHECK(b.through.seen.size() == before + 1);
  event nowhere{"2"};
  nowhere.only = {"elsewhere"};
  CHECK_THROWS_AS((void)sync_wait(b.loop, b.to.deliver(nowhere)), std::invalid_argument);
}

TEST_CASE("a dead letter that cannot be written is counted as lost, and the result says so") {
  dead_letter_file full{"/dev/full"};
  pretend_sink b{[](const auto&) { return response(400); }, {at("a")}, {.dead_letters = &full}};
  b.deliver(events(3));
  CHECK(b.only().dead_letter == dead_letter::lost);
  CHECK(b.to.dead_letters_lost() == 3);
  CHECK(b.to.dead_letters_written() == 0);
  CHECK(full.problem() == "/dev/full: No space left on device");
}

TEST_CASE("the metrics page has the numbers by endpoint and by reason") {
  pretend_sink b{
      [](const pretend_transport::request& r) { return r.body == "bad" ? response(400) : response(200, 40ms); },
      {at("a")}};
  b.deliver({event{"1", "bad"}, event{"2", "good"}});
  const std::string page = metrics_page{}.add(b.to).text();
  for (const char* const line :
       {"again_sink_events_accepted_total 2", "again_sink_events_delivered_total 1",
        "again_sink_events_failed_total{reason=\"permanent\"} 1",
        "again_sink_attempts_total{endpoint=\"a\",outcome=\"ok\"} 1",
        "again_sink_attempts_total{endpoint=\"a\",outcome=\"answered\"} 1", "again_sink_queue_length 0",
        "again_sink_attempt_duration_seconds_count{endpoint=\"a\"} 2",
        "again_sink_delivery_duration_seconds_bucket{le=\"0.05\"} 2"}) {
    CHECK_MESSAGE(("\n" + page).find("\n" + std::string{line} + "\n") != std::string::npos, line);
  }
}

TEST_CASE("two sinks on one metrics page differ in a label, and no sample is there twice") {
  pretend_sink a{[](const auto&) { return response(200); }, {at("x")}, {.name = "orders"}},
      b{[](const auto&) { return response(200); }, {at("x")}, {.name = "audit"}};
  a.deliver({event{"1"}});
  const std::string page = metrics_page{}.add(a.to).add(b.to).text();
  std::set<std::string> seen;
  for (std::size_t from = 0; from < page.size();) {
    const std::size_t end = page.find('\n', from);
    const std::string line = page.substr(from, end - from);
    if (line[0] != '#') CHECK_MESSAGE(seen.insert(line.substr(0, line.rfind(' '))).second, line);
    from = end + 1;
  }
  CHECK(page.find("again_sink_events_accepted_total{sink=\"orders\"} 1\n") != std::string::npos);
  CHECK(page.find("again_sink_events_accepted_total{sink=\"audit\"} 0\n") != std::string::npos);
  CHECK(page.find("again_sink_attempts_total{sink=\"orders\",endpoint=\"x\",outcome=\"ok\"} 1\n") != std::string::npos);
}

TEST_CASE("ten thousand events with faults of every kind: each has one result, and no timer or send is left over") {
  std::uint64_t state = 7;
  const auto roll = [&state] { return (state = state * 6364136223846793005U + 1442695040888963407U) >> 40U; };
  pretend_sink b{[&](const auto&) {
                   if (roll() % 5 != 0) return response(200, 3ms);
                   switch (roll() % 6) {
                     case 0: return breaks(error_kind::refused, reach::not_sent);
                     case 1: return breaks(error_kind::reset, reach::maybe_sent);
                     case 2: return breaks(error_kind::truncated, reach::answered);
                     case 3: return response(503);
                     case 4: return response(400);
                     default: return response(200, 2s);  // past the attempt's timeout
                   }
                 },
                 {at("a"), at("b"), at("c")}};
  b.deliver(events(10'000));
  CHECK(b.finished.size() == 10'000);
  CHECK(std::set<std::string>(b.finished.begin(), b.finished.end()).size() == 10'000);
  CHECK(b.to.delivered() > 9'000);
  CHECK(b.to.failed() > 100);
  CHECK(b.balanced());
  CHECK(b.loop.timers() == 0);
  CHECK(b.through.running == 0);
  std::size_t attempts = 0;
  for (const auto& d : b.results) attempts += static_cast<std::size_t>(d->attempts());
  CHECK(attempts == b.through.seen.size());
}

TEST_CASE("the constructor refuses contradictory options with a sentence") {
  pretend_transport t{[](const auto&) { return response(200); }};
  CHECK_THROWS_WITH_AS((sink_over<pretend_transport>{t, {}}), "again::sink: a sink needs an endpoint",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS((sink_over<pretend_transport>{t, {at("a"), at("a")}}),
                       "again::sink: two endpoints are called a; give them names", std::invalid_argument);
  CHECK_THROWS_WITH_AS((sink_over<pretend_transport>{t, {at("a", 0)}}), "again::sink: a: in_flight must be at least 1",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS((sink_over<pretend_transport>{t, {at("a")}, {.in_flight = 0}}),
                       "again::sink: in_flight must be at least 1", std::invalid_argument);
}

#ifndef NDEBUG
TEST_CASE("a sink that is destroyed with deliveries under way ends the program with a message") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // not the test's own handler
    ::close(STDERR_FILENO);
    virtual_clock time;
    run_loop loop{time, 1};
    pretend_transport through{[](const auto&) { return response(200, 1s); }};
    auto to = std::make_unique<sink_over<pretend_transport>>(through, std::vector<endpoint>{at("a")});
    const auto one = [&]() -> task<> { const delivery d = co_await to->deliver(event{"1"}); };
    const auto scenario = [&]() -> task<> {
      const context& here = co_await get_context();
      scope s{here};
      s.spawn(one());
      const bool slept = co_await sleep_for(100ms);
      CHECK(slept);
      to.reset();
      co_await s.join();
    };
    sync_wait(loop, scenario());
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
}
#endif
