// SPDX-License-Identifier: MIT
#include <again/journal/durable_sink.hpp>

#include <again/journal/memory_store.hpp>

#include "journal/store_contract.hpp"
#include "sink/pretend_sink.hpp"

#include <again/coro/when_all.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again_test;

using journal::store_call;

namespace {

using request = pretend_transport::request;

constexpr policy once{
    .attempts = 1, .backoff = constant(10ms), .jitter = jitter::none, .attempt_timeout = 1s, .deadline = 20s};
constexpr policy in_minutes{.attempts = 4,
                            .backoff = exponential(1min, 1h),
                            .jitter = jitter::none,
                            .attempt_timeout = forever,
                            .deadline = 24h,
                            .server_delay_max = 24h,
                            .server_delay_over = over_max::cap};

endpoint one_attempt_at(std::string host) {
  endpoint e = at(std::move(host));
  e.policy = once;
  e.breaker.reset();
  return e;
}
durable_options with(policy schedule) {
  durable_options o;
  o.worker = "w";
  o.schedule = schedule;
  return o;
}

using pretended_sink = sink_over<pretend_transport>;
using durable = durable_sink<journal::memory_store, pretended_sink>;

/// A store, a sink in pretend time, and a durable sink over both.
struct fixture {
  explicit fixture(pretend_transport::decide d, durable_options o = with(in_minutes),
                   std::vector<endpoint> ends = {one_attempt_at("a")}, sink_options so = {})
      : through{std::move(d)}, to{through, std::move(ends), std::move(so)}, kept{store, to, std::move(o)} {}

  /// Runs the durable sink beside `body`, then closes it.
  template <class Body> void during(Body body, duration grace = 1h) {
    const auto all = [&]() -> task<> {
      const context& here = co_await get_context();
      scope s{here};
      s.spawn(kept.run());
      co_await body();
      co_await kept.close(grace);
      co_await s.join();
      co_await to.close(0s);
    };
    sync_wait(loop, all());
  }
  /// Appends the events, waits until none is left to do, and closes.
  void deliver(std::vector<journal::new_event> events) {
    during([&]() -> task<> {
      const auto stored = co_await kept.append(std::move(events));
      CHECK(stored);
      while (store.count(event_state::waiting) + store.count(event_state::leased) > 0) {
        const bool slept = co_await sleep_for(1s);
        if (!slept) break;
      }
    });
  }
  const journal::event_record& record(std::string id) const {
    for (const auto& [place, r] : store.records())
      if (r.event.id == id) return r;
    throw std::out_of_range{"no event " + id};
  }
  duration passed() const { return time.now() - virtual_clock::start; }
  std::vector<std::string> bodies() const {
    std::vector<std::string> all;
    for (const request& r : through.seen) all.push_back(r.body);
    return all;
  }

  virtual_clock time;
  run_loop loop{time, 1};
  journal::memory_store store;
  pretend_transport through;
  pretended_sink to;
  durable kept;
};

}  // namespace

TEST_CASE("what is appended is delivered with its key, and recorded as done") {
  fixture f{[](const request&) { return response(202); }};
  f.deliver(numbered(1, 600));
  CHECK(f.store.count(event_state::done) == 600);
  CHECK(f.through.seen.size() == 600);
  CHECK(f.kept.done() == 600);
  CHECK(f.kept.held() == 0);
  CHECK(f.kept.store_errors() == 0);
  const journal::event_record& r = f.record("7");
  CHECK(r.result.status == 202);
  CHECK(r.result.progress.attempts == 1);
  CHECK(r.result.progress.deliveries == 1);
  CHECK(r.result.reason.empty());
  std::set<std::string> keys;
  for (const request& seen : f.through.seen) keys.insert(seen.key);
  CHECK(keys.size() == 600);
  CHECK(keys.contains(r.event.key));
}

TEST_CASE("an event that the endpoint refuses is dead at once, with its reason and its error") {
  fixture f{[](const request&) { return response(422); }};
  f.deliver(numbered(1, 1));
  const journal::event_record& r = f.record("1");
  CHECK(r.state == event_state::dead);
  CHECK(r.result.status == 422);
  CHECK(r.result.reason == "permanent");
  CHECK(r.result.progress.last_error.find("422") == 0);
  CHECK(f.through.seen.size() == 1);
  CHECK(f.kept.dead() == 1);
}

TEST_CASE("a long wait goes back to the store, and the schedule ends it; the key stays the same") {
  fixture f{[](const request&) { return response(503); }};
  f.deliver(numbered(1, 1));
  std::vector<duration> at;
  std::set<std::string> keys;
  for (const request& seen : f.through.seen) {
    at.push_back(std::chrono::round<std::chrono::minutes>(seen.at - virtual_clock::start));
    keys.insert(seen.key);
  }
  CHECK(at == std::vector<duration>{0min, 1min, 3min, 7min});
  CHECK(keys.size() == 1);
  const journal::event_record& r = f.record("1");
  CHECK(r.state == event_state::dead);
  CHECK(r.result.reason == "attempts_exhausted");
  CHECK(r.result.progress.attempts == 4);
  CHECK(r.result.progress.deliveries == 4);
  CHECK(r.result.progress.last_attempt - r.result.progress.first_attempt >= 7min);
  CHECK(f.kept.put_off() == 3);
  CHECK(f.store.calls(store_call::later) == 3);
}

TEST_CASE("a short wait stays in memory, with the lease extended and the attempts recorded") {
  int n = 0;
  durable_options o = with(
      {.attempts = 10, .backoff = constant(8s), .jitter = jitter::none, .attempt_timeout = forever, .deadline = 1h});
  o.lease = 6s;
  fixture f{[&](const request&) { return response(++n < 4 ? 503 : 200); }, o};
  std::optional<journal::event_record> seen;
  f.during([&]() -> task<> {
    const auto stored = co_await f.kept.append(numbered(1, 1));
    CHECK(stored);
    const bool slept = co_await sleep_for(20s);
    CHECK(slept);
    seen = f.record("1");
    const bool more = co_await sleep_for(10s);
    CHECK(more);
  });
  REQUIRE(seen);
  CHECK(seen->state == event_state::leased);
  CHECK(seen->result.progress.attempts == 3);
  CHECK(seen->lease == f.record("1").lease);
  CHECK(f.store.calls(store_call::later) == 0);
  CHECK(f.store.calls(store_call::extend) >= 12);
  CHECK(f.kept.lost_leases() == 0);
  CHECK(f.record("1").state == event_state::done);
  CHECK(f.record("1").result.progress.attempts == 4);
}

TEST_CASE("a server's Retry-After of hours is the time of the next delivery") {
  int n = 0;
  fixture f{[&](const request&) {
    if (++n > 1) return response(200);
    http::response r{503};
    r.headers.add("Retry-After", "7200");
    return pretended{std::move(r)};
  }};
  f.deliver(numbered(1, 1));
  REQUIRE(f.through.seen.size() == 2);
  CHECK(f.through.seen[1].at - f.through.seen[0].at >= 2h);
  CHECK(f.through.seen[1].at - f.through.seen[0].at < 2h + 5s);
  CHECK(f.record("1").state == event_state::done);
}

TEST_CASE(
    "the deadline of an event is on the wall clock: it cuts an attempt off, and an event that is late is not sent") {
  durable_options o = with(in_minutes);
  fixture f{[](const request&) { return response(200, 900ms); }, o};
  std::vector<journal::new_event> some = numbered(1, 3);
  some[0].deadline = f.loop.wall_now() + 500ms;
  some[1].deadline = f.loop.wall_now() - 1s;
  some[2].deadline = f.loop.wall_now() + 5s;
  f.deliver(some);
  CHECK(f.record("1").state == event_state::dead);
  CHECK(f.record("1").result.reason == "deadline_reached");
  CHECK(f.record("1").result.progress.attempts == 1);
  CHECK(f.record("2").state == event_state::dead);
  CHECK(f.record("2").result.reason == "deadline_reached");
  CHECK(f.record("2").result.progress.attempts == 0);
  CHECK(f.record("3").state == event_state::done);
  CHECK(f.through.seen.size() == 2);
}

TEST_CASE("order per key holds; a poisoned key keeps its own events alone") {
  std::map<std::string, int> seen;
  fixture f{[&](const request& r) { return response(r.body == "body 1" && ++seen[r.body] < 3 ? 503 : 200); }};
  std::vector<journal::new_event> all = numbered(1, 5, "poisoned");
  for (journal::new_event& e : numbered(11, 15, "healthy")) all.push_back(std::move(e));
  for (journal::new_event& e : numbered(21, 25)) all.push_back(std::move(e));
  f.deliver(all);
  CHECK(f.store.count(event_state::done) == 15);
  std::vector<std::string> poisoned, healthy;
  for (const request& r : f.through.seen) {
    const int number = std::stoi(r.body.substr(5));
    if (number < 10) poisoned.push_back(r.body);
    if (number > 10 && number < 20) healthy.push_back(r.body);
    if (number > 10) CHECK(r.at - virtual_clock::start < 5s);
  }
  CHECK(poisoned == std::vector<std::string>{"body 1", "body 1", "body 1", "body 2", "body 3", "body 4", "body 5"});
  CHECK(healthy == std::vector<std::string>{"body 11", "body 12", "body 13", "body 14", "body 15"});
  CHECK(f.through.seen.back().at - virtual_clock::start < 4min);
}

TEST_CASE("a broadcast goes again only to those that have not taken it, and one that refused makes it dead") {
  std::map<std::string, int> seen;
  fixture f{[&](const request& r) {
              const int n = ++seen[r.origin];
              return response(r.origin == "a" ? 200 : r.origin == "b" && n < 3 ? 503 : r.origin == "c" ? 422 : 200);
            },
            with(in_minutes),
            {one_attempt_at("a"), one_attempt_at("b"), one_attempt_at("c")},
            {.routing = routing::broadcast}};
  f.deliver(numbered(1, 1));
  CHECK(seen["a"] == 1);
  CHECK(seen["b"] == 3);
  CHECK(seen["c"] == 1);
  const journal::event_record& r = f.record("1");
  CHECK(r.state == event_state::dead);
  CHECK(r.result.reason == "permanent");
  CHECK(r.result.progress.refused == std::vector<std::string>{"c"});
  CHECK(r.result.progress.only.empty());
  CHECK(r.result.progress.attempts == 5);
}

TEST_CASE("an event for an endpoint that does not exist is dead, and says so") {
  fixture f{[](const request&) { return response(200); }};
  std::vector<journal::new_event> some = numbered(1, 2);
  some[0].event.only = {"none"};
  f.deliver(some);
  CHECK(f.record("1").state == event_state::dead);
  CHECK(f.record("1").result.reason == "again::sink: no endpoint is called none");
  CHECK(f.record("2").state == event_state::done);
}

TEST_CASE("no more events are leased than are held at most") {
  durable_options o = with(in_minutes);
  o.held = 7;
  std::size_t most = 0;
  fixture* self = nullptr;
  fixture f{[&](const request&) {
              most = std::max(most, self->store.count(event_state::leased));
              return response(200, 10ms);
            },
            o};
  self = &f;
  f.deliver(numbered(1, 100));
  CHECK(most == 7);
  CHECK(f.through.most_running == 7);
  CHECK(f.store.count(event_state::done) == 100);
}

TEST_CASE("what others have stored is found by the poll, or at once after wake") {
  fixture f{[](const request&) { return response(200); }};
  f.during([&]() -> task<> {
    bool slept = co_await sleep_for(500ms);
    auto stored = co_await f.store.append(numbered(1, 1));
    CHECK(stored);
    slept = co_await sleep_for(600ms);
    CHECK(f.record("1").state == event_state::done);
    stored = co_await f.store.append(numbered(2, 2));
    CHECK(stored);
    f.kept.wake();
    slept = co_await sleep_for(2ms);
    CHECK(slept);
    CHECK(f.record("2").state == event_state::done);
  });
}

TEST_CASE("a store that fails acknowledges nothing; what is leased is delivered, and recorded when it is back") {
  fixture f{[](const request&) { return response(200, 900ms); }};
  f.during([&]() -> task<> {
    auto stored = co_await f.kept.append(numbered(1, 10));
    CHECK(stored);
    bool slept = co_await sleep_for(500ms);
    f.store.fail_all(journal::error_kind::unreachable);
    stored = co_await f.kept.append(numbered(11, 12));
    REQUIRE(!stored);
    CHECK(stored.error().kind == journal::error_kind::unreachable);
    slept = co_await sleep_for(1min);
    CHECK(f.through.seen.size() == 10);
    CHECK(f.store.count(event_state::done) == 0);
    CHECK(f.kept.held() == 10);
    f.store.mend();
    slept = co_await sleep_for(10s);
    CHECK(slept);
    CHECK(f.store.count(event_state::done) == 10);
  });
  CHECK(f.through.seen.size() == 10);
  CHECK(f.kept.store_errors() > 10);
  CHECK(f.kept.done() == 10);
  CHECK(f.kept.lost_leases() == 0);
  CHECK(f.store.count(event_state::waiting) == 0);
}

TEST_CASE("a result whose way back was cut off is recorded once") {
  fixture f{[](const request& r) { return response(r.body == "body 2" ? 400 : 200); }};
  f.store.fail(store_call::done, 1, journal::error_kind::io, true);
  f.store.fail(store_call::dead, 1, journal::error_kind::io, true);
  f.store.fail(store_call::take, 1, journal::error_kind::io);
  f.deliver(numbered(1, 3));
  CHECK(f.store.count(event_state::done) == 2);
  CHECK(f.store.count(event_state::dead) == 1);
  CHECK(f.kept.done() == 2);
  CHECK(f.kept.dead() == 1);
  CHECK(f.through.seen.size() == 3);
}

TEST_CASE("a take whose way back was cut off costs a lease, and no event") {
  fixture f{[](const request&) { return response(200); }};
  CHECK(sync_wait(f.loop, f.store.append(numbered(1, 3))));
  f.store.fail(store_call::take, 1, journal::error_kind::unreachable, true);
  f.deliver({});
  CHECK(f.store.count(event_state::done) == 3);
  CHECK(f.through.seen.size() == 3);
  CHECK(f.passed() >= 30s);
}

TEST_CASE("a lease that another worker has got ends the delivery, and its result is dropped") {
  durable_options o = with(in_minutes);
  o.lease = 3s;
  fixture f{[](const request&) { return response(200, 900ms); }, o};
  f.during([&]() -> task<> {
    const auto stored = co_await f.kept.append(numbered(1, 2));
    CHECK(stored);
    bool slept = co_await sleep_for(100ms);
    f.store.crash();  // another worker is quicker
    const auto other = co_await f.store.take(1, journal::worker_lease{"other", 1h});
    REQUIRE(other);
    CHECK(other->events.size() == 1);
    slept = co_await sleep_for(1s);
    CHECK(slept);
    CHECK(f.kept.lost_leases() >= 1);
    CHECK(f.record("1").state == event_state::leased);
    CHECK(f.record("1").lease.worker == "other");
    const auto ended = co_await f.store.done(other->events[0].claim(), journal::result{});
    CHECK(ended);
    slept = co_await sleep_for(10s);
  });
  CHECK(f.record("1").state == event_state::done);
  CHECK(f.record("2").state == event_state::done);
}

TEST_CASE("a lease that was lost is noticed before a short wait: nothing more is sent") {
  fixture f{[](const request&) { return response(503, 500ms); }, with({.attempts = 5,
                                                                       .backoff = constant(2s),
                                                                       .jitter = jitter::none,
                                                                       .attempt_timeout = forever,
                                                                       .deadline = 1h})};
  f.during([&]() -> task<> {
    const auto stored = co_await f.kept.append(numbered(1, 1));
    CHECK(stored);
    bool slept = co_await sleep_for(100ms);
    f.store.crash();
    const auto other = co_await f.store.take(1, journal::worker_lease{"other", 1h});
    REQUIRE(other);
    slept = co_await sleep_for(9s);
    CHECK(slept);
    CHECK(f.through.seen.size() == 1);
    CHECK(f.kept.lost_leases() == 1);
    CHECK(f.kept.held() == 0);
    CHECK(f.record("1").lease.worker == "other");
    CHECK(f.record("1").result.progress == journal::progress{});
  });
}

TEST_CASE("a long attempt whose lease is lost is stopped") {
  durable_options o = with(in_minutes);
  o.lease = 300ms;
  endpoint patient = one_attempt_at("a");
  patient.policy.attempt_timeout = 20s;
  fixture f{[](const request&) { return response(200, 10s); }, o, {patient}};
  f.during([&]() -> task<> {
    const auto stored = co_await f.kept.append(numbered(1, 1));
    CHECK(stored);
    bool slept = co_await sleep_for(50ms);
    f.store.crash();
    const auto other = co_await f.store.take(1, journal::worker_lease{"other", 1h});
    REQUIRE(other);
    CHECK(f.through.running == 1);
    slept = co_await sleep_for(200ms);
    CHECK(slept);
    CHECK(f.through.running == 0);
    CHECK(f.kept.lost_leases() == 1);
  });
}

TEST_CASE("our own event that we take once more, as its lease had ended, is not sent twice") {
  durable_options o = with(in_minutes);
  o.lease = 300ms;
  fixture f{[](const request&) { return response(200, 900ms); }, o};
  f.store.fail(store_call::extend, 2, journal::error_kind::unreachable);
  f.deliver(numbered(1, 1));
  CHECK(f.through.seen.size() == 1);
  CHECK(f.record("1").state == event_state::done);
  CHECK(f.kept.lost_leases() == 0);
}

TEST_CASE("close waits for what is under way, takes nothing more, and gives the rest back at the end of its grace") {
  fixture f{[](const request& r) { return response(200, r.body == "body 1" ? 500ms : 950ms); }};
  f.during(
      [&]() -> task<> {
        const auto stored = co_await f.kept.append(numbered(1, 2));
        CHECK(stored);
        const bool slept = co_await sleep_for(100ms);
        CHECK(slept);
      },
      600ms);
  CHECK(f.passed() >= 700ms);
  CHECK(f.passed() < 750ms);
  CHECK(f.record("1").state == event_state::done);
  CHECK(f.record("2").state == event_state::waiting);
  CHECK(f.record("2").due <= f.loop.wall_now());
  CHECK(f.record("2").result.progress.attempts == 1);
  CHECK(f.kept.given_back() == 1);
  CHECK(f.kept.held() == 0);
}

TEST_CASE("a stop request gives everything back at once, also what waits for its next delivery") {
  fixture f{[](const request& r) { return response(r.body == "body 1" ? 503 : 200, r.body == "body 2" ? 900ms : 1ms); },
            with({.attempts = 10,
                  .backoff = constant(9s),
                  .jitter = jitter::none,
                  .attempt_timeout = forever,
                  .deadline = 1h})};
  const auto all = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(f.kept.run());
    const auto stored = co_await f.kept.append(numbered(1, 3));
    CHECK(stored);
    const bool slept = co_await sleep_for(500ms);
    CHECK(slept);
    s.request_stop();
    co_await s.join();
  };
  sync_wait(f.loop, all());
  CHECK(f.passed() < 510ms);
  CHECK(f.record("1").state == event_state::waiting);
  CHECK(f.record("1").due - virtual_clock::default_wall >= 9s);
  CHECK(f.record("1").result.progress.attempts == 1);
  CHECK(f.record("2").state == event_state::waiting);
  CHECK(f.record("2").due <= f.loop.wall_now());
  CHECK(f.record("3").state == event_state::done);
  CHECK(f.kept.given_back() == 2);
  sync_wait(f.loop, f.to.close(0s));
}

TEST_CASE("a store that does not come back is given up at the end, and the leases end by themselves") {
  fixture f{[](const request&) { return response(200, 100ms); }};
  f.during(
      [&]() -> task<> {
        const auto stored = co_await f.kept.append(numbered(1, 3));
        CHECK(stored);
        const bool slept = co_await sleep_for(50ms);
        CHECK(slept);
        f.store.fail_all(journal::error_kind::unreachable);
      },
      1s);
  CHECK(f.passed() >= 6s);
  CHECK(f.passed() < 7s);
  CHECK(f.kept.unrecorded() == 3);
  CHECK(f.kept.held() == 0);
  CHECK(f.store.count(event_state::leased) == 3);
}

TEST_CASE("closing the sink ends it, too, and nothing is lost") {
  fixture f{[](const request&) { return response(200, 100ms); }};
  const auto all = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(f.kept.run());
    const auto stored = co_await f.kept.append(numbered(1, 3));
    CHECK(stored);
    const bool slept = co_await sleep_for(50ms);
    CHECK(slept);
    co_await f.to.close(0s);
    co_await s.join();
  };
  sync_wait(f.loop, all());
  CHECK(f.store.count(event_state::waiting) == 3);
  CHECK(f.kept.given_back() == 3);
}

TEST_CASE("a run that is destroyed leaves leases, which another durable sink takes when they end") {
  fixture f{[](const request&) { return response(200, 500ms); }};
  const auto destroyed = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(f.kept.run());
    const auto stored = co_await f.kept.append(numbered(1, 3));
    CHECK(stored);
    const bool slept = co_await sleep_for(50ms);
    CHECK(slept);
  };
  sync_wait(f.loop, destroyed());
  CHECK(f.store.count(event_state::leased) == 3);
  CHECK(f.kept.held() == 0);
  durable second{f.store, f.to, with(in_minutes)};
  const auto again_and_done = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(second.run());
    const bool slept = co_await sleep_for(40s);
    CHECK(slept);
    co_await second.close(1s);
    co_await s.join();
    co_await f.to.close(0s);
  };
  sync_wait(f.loop, again_and_done());
  CHECK(f.store.count(event_state::done) == 3);
  CHECK(second.done() == 3);
}

TEST_CASE("two workers share a store: every event is delivered, and each is recorded once") {
  durable_options o = with(
      {.attempts = 3, .backoff = constant(2s), .jitter = jitter::none, .attempt_timeout = forever, .deadline = 1h});
  o.held = 50;
  o.poll = 10ms;
  fixture f{[](const request& r) { return response(r.body.back() == '7' ? 503 : 200, 30ms); }, o};
  o.worker = "second";
  o.schedule.backoff = constant(1min);
  durable second{f.store, f.to, o};
  f.during([&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(second.run());
    const auto stored = co_await f.kept.append(numbered(1, 500));
    CHECK(stored);
    while (f.store.count(event_state::waiting) + f.store.count(event_state::leased) > 0) {
      const bool slept = co_await sleep_for(1s);
      if (!slept) break;
    }
    co_await second.close(1s);
    co_await s.join();
  });
  CHECK(f.store.count(event_state::dead) == 50);
  CHECK(f.store.count(event_state::done) == 450);
  CHECK(f.kept.done() + second.done() == 450);
  CHECK(f.kept.dead() + second.dead() == 50);
  CHECK(second.done() > 0);
  CHECK(f.kept.done() > 0);
  CHECK(f.through.seen.size() == 450 + 150);
}

TEST_CASE("a durable sink that makes no sense is refused, and so is a second run") {
  fixture f{[](const request&) { return response(200); }};
  durable_options o;
  o.held = 0;
  CHECK_THROWS_WITH_AS((durable{f.store, f.to, o}), "again::durable_sink: held must be at least 1",
                       std::invalid_argument);
  const auto all = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(f.kept.run());
    bool refused = false;
    try {
      co_await f.kept.run();
    } catch (const std::logic_error&) { refused = true; }
    CHECK(refused);
    static_cast<void>(co_await when_all(f.kept.close(0s), f.kept.close(1s)));
    co_await s.join();
    co_await f.kept.close(0s);  // again: nothing to do
    co_await f.to.close(0s);
  };
  sync_wait(f.loop, all());
}

TEST_CASE("its numbers are on a page of metrics") {
  fixture f{[](const request&) { return response(200); }};
  f.deliver(numbered(1, 2));
  const std::string page = metrics_page{}.add(f.kept).text();
  CHECK(page.find("again_journal_appended_total 2\n") != std::string::npos);
  CHECK(page.find("again_journal_events_total{end=\"done\"} 2\n") != std::string::npos);
  CHECK(page.find("again_journal_held 0\n") != std::string::npos);
}
