// SPDX-License-Identifier: MIT
// Endpoints of a durable sink: their states outlive the process, and no event is lost or gets nearer to its end meanwhile.
#include <again/journal/detail/endpoint_keeper.hpp>

#include <again/journal/durable_sink.hpp>
#include <again/journal/memory_store.hpp>

#include "journal/store_contract.hpp"
#include "sink/pretend_sink.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again_test;

using journal::store_call;

namespace {

using request = pretend_transport::request;
using pretended_sink = sink_over<pretend_transport>;

/// One process after another, over one store.
struct process {
  process(virtual_clock& t, run_loop& l, journal::memory_store& s, pretend_transport::decide d,
          std::vector<endpoint> ends = {at("a")}, sink_options o = {})
      : time{t},
        loop{l},
        store{s},
        through{std::move(d)},
        to{through, std::move(ends), std::move(o)},
        kept{store, to} {}

  template <class Body> void during(Body body) {
    const auto all = [&]() -> task<> {
      const context& here = co_await get_context();
      scope s{here};
      s.spawn(kept.run());
      co_await body();
      co_await kept.close(0s);
      co_await s.join();
      co_await to.close(0s);
    };
    sync_wait(loop, all());
  }
  /// Both run.
  template <class Body> void beside(process& other, Body body) {
    const auto all = [&]() -> task<> {
      const context& here = co_await get_context();
      scope s{here};
      s.spawn(kept.run());
      s.spawn(other.kept.run());
      co_await body();
      co_await kept.close(0s);
      co_await other.kept.close(0s);
      co_await s.join();
      co_await to.close(0s);
      co_await other.to.close(0s);
    };
    sync_wait(loop, all());
  }
  journal::endpoint_record stored(std::string_view name) {
    const auto all = sync_wait(loop, store.endpoints());
    for (const journal::endpoint_record& r : *all)
      if (r.status.name == name) return r;
    return {};
  }

  virtual_clock& time;
  run_loop& loop;
  journal::memory_store& store;
  pretend_transport through;
  pretended_sink to;
  durable_sink<journal::memory_store, pretended_sink> kept;
};
struct machine {
  virtual_clock time;
  run_loop loop{time, 1};
  journal::memory_store store;

  process start(pretend_transport::decide d, std::vector<endpoint> ends = {at("a")}, sink_options o = {}) {
    return process{time, loop, store, std::move(d), std::move(ends), std::move(o)};
  }
  /// Another process.
  task<> set(std::string name, endpoint_state to) {
    const auto all = co_await store.endpoints();
    for (const journal::endpoint_record& r : *all) {
      if (r.status.name != name) continue;
      const auto put =
          co_await store.put(journal::endpoint_record{endpoint_status{name, to, endpoint_reason::by_hand}, r.revision});
      CHECK(*put > 0);
    }
  }
  const journal::progress& progress(std::size_t n) const {
    auto at = store.records().begin();
    std::advance(at, static_cast<std::ptrdiff_t>(n));
    return at->second.result.progress;
  }
};
task<> store_all(process& p, std::vector<journal::new_event> events) {
  const auto stored = co_await p.kept.append(std::move(events));
  CHECK(stored);
}
task<> rest(duration d) { static_cast<void>(co_await sleep_for(d)); }

}  // namespace

TEST_CASE("410 disables an endpoint over restarts: its events wait in the store, and go when it is resumed") {
  machine m;
  {
    process first = m.start([](const request&) { return response(410); });
    first.during([&]() -> task<> {
      co_await store_all(first, numbered(1, 40));
      co_await rest(30h);
      CHECK(m.store.count(event_state::waiting) == 40);
    });
    CHECK(first.through.seen.size() <= 16);  // those that were under way when it said so
    CHECK(first.stored("a").status.state == endpoint_state::disabled);
    CHECK(first.stored("a").status.reason == endpoint_reason::gone);
    CHECK(first.stored("a").status.last_error.find("410") == 0);
    CHECK(first.kept.dead() == 0);
  }
  CHECK(m.progress(39).attempts == 0);
  CHECK(m.progress(39).deliveries == 0);
  process second = m.start([](const request&) { return response(200); });
  second.during([&]() -> task<> {
    co_await rest(5h);
    CHECK(second.through.seen.empty());
    co_await m.set("a", endpoint_state::available);
    co_await rest(2s);
    CHECK(m.store.count(event_state::done) == 40);
  });
  CHECK(second.to.endpoints().find("a")->state == endpoint_state::available);
}

TEST_CASE("another process pauses and resumes an endpoint: at the next poll its events wait, and go on") {
  machine m;
  process p =
      m.start([](const request&) { return response(200); }, {at("a"), at("b")}, {.routing = routing::broadcast});
  p.during([&]() -> task<> {
    co_await rest(1ms);
    co_await m.set("a", endpoint_state::paused);
    co_await rest(2s);
    CHECK(p.to.endpoints().find("a")->reason == endpoint_reason::by_hand);
    co_await store_all(p, numbered(1, 1000));
    co_await rest(2s);
    CHECK(p.kept.held() == 0);  // they hold no lease
    CHECK(p.through.seen.size() == 1000);
    CHECK(m.store.count(event_state::waiting) == 1000);
    co_await m.set("a", endpoint_state::available);
    co_await rest(5s);
    CHECK(m.store.count(event_state::done) == 1000);
  });
  CHECK(p.through.seen.size() == 2000);
}

TEST_CASE("an endpoint that is paused or disabled in the program is so after a restart") {
  machine m;
  {
    process first = m.start([](const request&) { return response(200); }, {at("a"), at("b")});
    first.during([&]() -> task<> {
      co_await rest(1ms);
      first.to.endpoints().pause("a");
      first.to.endpoints().disable("b");
      co_await rest(1ms);
    });
  }
  process second = m.start([](const request&) { return response(200); }, {at("a"), at("b")});
  second.during([&]() -> task<> {
    co_await store_all(second, numbered(1, 3));
    co_await rest(1h);
    CHECK(m.store.count(event_state::waiting) == 3);
    second.to.endpoints().resume("b");
    co_await rest(1min);
    CHECK(m.store.count(event_state::done) == 3);
  });
  CHECK(second.through.seen.size() == 3);
  CHECK(second.through.seen[0].origin == "b");
  CHECK(second.stored("a").status.state == endpoint_state::paused);
  CHECK(second.stored("b").status.state == endpoint_state::available);
}

TEST_CASE("what an endpoint has asked for is obeyed over a restart; a short pause is not written") {
  const auto busy = [](const char* retry_after) {
    pretended p = response(503);
    p.result->headers.add("Retry-After", retry_after);
    return p;
  };
  endpoint patient = at("a");
  patient.rules.max_retry_after = 1h;
  patient.policy.server_delay_max = 1h;
  for (const char* const asked : {"5", "1800"}) {
    machine m;
    {
      process first = m.start([&](const request&) { return busy(asked); }, {patient});
      first.during([&]() -> task<> {
        co_await store_all(first, numbered(1, 1));
        co_await rest(1s);
      });
      CHECK(first.stored("a").status.state == (asked[0] == '5' ? endpoint_state::available : endpoint_state::paused));
    }
    const time_point restart = m.time.now();
    process second = m.start([](const request&) { return response(200); }, {patient});
    second.during([&]() -> task<> {
      co_await store_all(second, numbered(2, 2));
      co_await rest(2h);
    });
    REQUIRE(!second.through.seen.empty());
    const duration waited = second.through.seen[0].at - restart;
    if (asked[0] == '5') {
      CHECK(waited < 1s);
    } else {
      CHECK(waited > 1790s);
    }
  }
}

TEST_CASE("the deadline of an event ends its wait for an endpoint that is disabled") {
  machine m;
  process p = m.start([](const request&) { return response(200); });
  p.during([&]() -> task<> {
    co_await rest(1ms);
    p.to.endpoints().disable("a");
    auto one = numbered(1, 1);
    one[0].deadline = p.loop.wall_now() + 10min;
    co_await store_all(p, std::move(one));
    co_await rest(11min);
    CHECK(m.store.count(event_state::dead) == 1);
  });
  CHECK(m.progress(0).last_error.find("endpoint_disabled") == 0);
  CHECK(p.through.seen.empty());
}

TEST_CASE("an endpoint that fails over restarts is disabled when the time is over, and one success forgets it") {
  machine m;
  endpoint e = at("a");
  e.disable_after = 10h;
  for (int run = 0; run < 3; ++run) {
    process p = m.start([](const request&) { return response(500); }, {e});
    p.during([&]() -> task<> {
      if (run == 0) co_await store_all(p, numbered(1, 1));
      co_await rest(4h);
    });
    CHECK(p.stored("a").status.state == (run < 2 ? endpoint_state::available : endpoint_state::disabled));
    CHECK(p.stored("a").status.failing_since < p.loop.wall_now() - 3h);
  }
}

TEST_CASE("a change that another process makes at the same moment is not overwritten") {
  machine m;
  process p = m.start([](const request&) { return response(200); });
  p.during([&]() -> task<> {
    co_await rest(1ms);
    co_await m.set("a", endpoint_state::disabled);
    p.to.endpoints().pause("a");  // written with a revision that is too old
    co_await rest(5s);
  });
  CHECK(p.stored("a").status.state == endpoint_state::disabled);
  CHECK(p.to.endpoints().find("a")->state == endpoint_state::disabled);
}

TEST_CASE("of two processes over one store neither ends what an endpoint has asked the other one for") {
  machine m;
  process first = m.start([](const request&) { return response(200); });
  process second = m.start([](const request&) { return response(200); });
  const auto both_are = [&](endpoint_state s) {
    return first.to.endpoints().find("a")->state == s && second.to.endpoints().find("a")->state == s;
  };
  first.beside(second, [&]() -> task<> {
    co_await rest(1ms);
    endpoint_status asked{"a", endpoint_state::paused, endpoint_reason::retry_after};
    asked.until = m.loop.wall_now() + 30s;
    first.to.endpoints().restore(asked);
    co_await rest(2s);
    CHECK(both_are(endpoint_state::paused));
    co_await rest(27s);
    CHECK(both_are(endpoint_state::paused));
    co_await rest(3s);
    CHECK(both_are(endpoint_state::available));
  });
  CHECK(first.stored("a").status.state == endpoint_state::available);
}

TEST_CASE("since when an endpoint fails is written by the process that has seen it, and kept by the others") {
  machine m;
  process first = m.start([](const request&) { return response(200); });
  process second = m.start([](const request&) { return response(200); });
  first.beside(second, [&]() -> task<> {
    co_await rest(1ms);
    endpoint_status failing{"a"};
    failing.failing_since = m.loop.wall_now() - 5min;
    first.to.endpoints().restore(failing);
    co_await rest(2s);
    const auto then = co_await m.store.endpoints();
    CHECK(then->at(0).status.failing_since == failing.failing_since);
    co_await rest(1min);
    const auto later = co_await m.store.endpoints();
    CHECK(*later == *then);
    first.to.endpoints().restore(endpoint_status{"a"});  // a success
    co_await rest(2s);
    const auto last = co_await m.store.endpoints();
    CHECK(last->at(0).status.failing_since == wall_time::max());
  });
}

TEST_CASE("nothing is sent as long as the states cannot be read; then all is as it was") {
  machine m;
  {
    process first = m.start([](const request&) { return response(200); });
    first.during([&]() -> task<> {
      co_await rest(1ms);
      first.to.endpoints().disable("a");
      co_await rest(1ms);
      co_await store_all(first, numbered(1, 1));
    });
  }
  m.store.fail(store_call::endpoints, 5, journal::error_kind::io);
  process second = m.start([](const request&) { return response(200); });
  second.during([&]() -> task<> { co_await rest(1min); });
  CHECK(second.through.seen.empty());
  CHECK(second.kept.store_errors() == 5);
  CHECK(second.to.endpoints().find("a")->state == endpoint_state::disabled);
}

TEST_CASE("a look at the states that the end cuts off is no fault of the store") {
  machine m;
  m.store.delay(100ms);
  for (const duration length : {50ms, 150ms, 1150ms, 1250ms}) {
    process p = m.start([](const request&) { return response(200); });
    p.during([&]() -> task<> { co_await rest(length); });
    CHECK(p.kept.store_errors() == 0);
  }
}

TEST_CASE("a store that keeps no states, and a sink that has none, deliver as before") {
  struct plain_store {
    journal::memory_store& of;
    auto append(std::vector<journal::new_event> e) { return of.append(std::move(e)); }
    auto take(std::size_t n, journal::worker_lease l) { return of.take(n, std::move(l)); }
    auto extend(std::vector<journal::extension> e, duration d) { return of.extend(std::move(e), d); }
    auto later(journal::claim c, wall_time t, journal::progress p) { return of.later(std::move(c), t, std::move(p)); }
    auto done(journal::claim c, journal::result r) { return of.done(std::move(c), std::move(r)); }
    auto dead(journal::claim c, journal::result r) { return of.dead(std::move(c), std::move(r)); }
    auto find(std::string id) { return of.find(std::move(id)); }
  };
  static_assert(journal::store<plain_store> && !journal::endpoint_store<plain_store>);
  machine m;
  plain_store store{m.store};
  pretend_transport through{[](const request&) { return response(200); }};
  pretended_sink to{through, {at("a")}};
  durable_sink<plain_store, pretended_sink> kept{store, to};
  const auto all = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(kept.run());
    const auto stored = co_await kept.append(numbered(1, 3));
    CHECK(stored);
    co_await rest(1s);
    co_await kept.close(1s);
    co_await s.join();
    co_await to.close(0s);
  };
  sync_wait(m.loop, all());
  CHECK(m.store.count(event_state::done) == 3);
  CHECK(m.store.calls(store_call::endpoints) == 0);
}
