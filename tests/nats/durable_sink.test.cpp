// SPDX-License-Identifier: MIT
/// \file
/// Durable sinks over JetStream: several workers share one stream, and each event has one end.
#include <again/journal/durable_sink.hpp>
#include <again/nats/endpoint_editor.hpp>

#include "nats/store_on_server.hpp"
#include "sink/pretend_sink.hpp"

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/this_context.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

using namespace again;
using namespace again_test;

namespace {

endpoint patient(std::string host) {
  endpoint e = at(std::move(host));
  e.policy = {.attempts = 1, .backoff = constant(1ms), .jitter = jitter::none, .attempt_timeout = 1s, .deadline = 20s};
  e.breaker.reset();
  return e;
}
durable_options quick() {
  durable_options o;
  o.schedule = {
      .attempts = 40, .backoff = constant(5ms), .jitter = jitter::none, .attempt_timeout = forever, .deadline = 24h};
  o.short_wait = 1ms;  // every wait goes through the servers
  o.poll = 5ms;
  o.held = 30;
  return o;
}

}  // namespace

TEST_CASE("two workers deliver the events of one stream: one end each, in the order of their keys, retries wherever "
          "they fall") {
  constexpr int events_in_all = 150;
  store_on_server first, second;
  second.settings = first.settings;
  run_loop loop;
  std::map<std::string, int> sends;
  std::map<std::string, std::vector<int>> delivered;  // by order key
  const auto respond = [&](const pretend_transport::request& r) {
    const int id = std::stoi(r.body.substr(5));
    const int n = ++sends[r.body];
    if (id % 10 == 3 && n < 3) return response(503, 1ms);
    if (id % 10 != 7) delivered["k" + std::to_string(id % 5)].push_back(id);
    return response(id % 10 == 7 ? 422 : 200, 1ms);
  };
  pretend_transport to_a{respond}, to_b{respond};
  sink_over<pretend_transport> a{to_a, {patient("a")}}, b{to_b, {patient("a")}};
  durable_sink worker_a{first.store(), a, quick()}, worker_b{second.store(), b, quick()};
  const auto all = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(worker_a.run());
    s.spawn(worker_b.run());
    std::vector<journal::new_event> events = numbered(0, events_in_all - 1);
    for (std::size_t i = 0; i < events.size(); ++i) events[i].event.order_key = "k" + std::to_string(i % 5);
    const auto stored = co_await worker_a.append(std::move(events));
    CHECK(stored);
    do {
      const auto looked = co_await first.store().take(0, journal::worker_lease{"", 1s});
      CHECK(looked);
    } while (first.store().unfinished() > 0);
    co_await worker_a.close(1s);
    co_await worker_b.close(1s);
    co_await s.join();
    co_await a.close(0s);
    co_await b.close(0s);
  };
  sync_wait(loop, all());
  CHECK(worker_a.done() + worker_b.done() == events_in_all * 9 / 10);
  CHECK(worker_a.dead() + worker_b.dead() == events_in_all / 10);
  for (const auto& [key, ids] : delivered) CHECK(std::is_sorted(ids.begin(), ids.end()));
  for (const auto& [body, n] : sends) CHECK(n == (std::stoi(body.substr(5)) % 10 == 3 ? 3 : 1));
}

TEST_CASE("an endpoint that is paused by hand is paused for the next worker, until it is resumed for all") {
  store_on_server first, second;
  second.settings = first.settings;
  auto by_hand = nats::endpoint_editor::open((static_cast<void>(first.store()), first.settings));
  REQUIRE(by_hand);
  run_loop loop;
  pretend_transport through{[](const pretend_transport::request&) { return response(200, 1ms); }};
  const auto state_is = [](sink_over<pretend_transport>& s, endpoint_state wanted) -> task<> {
    while (s.endpoints().find("a")->state != wanted) static_cast<void>(co_await sleep_for(5ms));
  };
  const auto one_worker = [&](store_on_server& f, auto body) {
    sink_over<pretend_transport> to{through, {patient("a")}};
    durable_sink kept{f.store(), to, quick()};
    const auto all = [&]() -> task<> {
      const context& here = co_await get_context();
      scope s{here};
      s.spawn(kept.run());
      co_await body(to, kept);
      co_await kept.close(1s);
      co_await s.join();
      co_await to.close(0s);
    };
    sync_wait(loop, all());
  };
  one_worker(first, [&](auto& to, auto& kept) -> task<> {
    const auto stored = co_await kept.append(numbered(1, 1));
    CHECK(stored);
    while (kept.done() < 1) static_cast<void>(co_await sleep_for(5ms));
    CHECK(by_hand->set("a", endpoint_state::paused, wall_time{}));
    co_await state_is(to, endpoint_state::paused);
  });
  one_worker(second, [&](auto& to, auto& kept) -> task<> {
    co_await state_is(to, endpoint_state::paused);
    const auto early = co_await kept.append(numbered(2, 2));
    CHECK(early);
    to.endpoints().resume("a");
    while (by_hand->endpoints()->at(0).status.state != endpoint_state::available)
      static_cast<void>(co_await sleep_for(5ms));
    const auto stored = co_await kept.append(numbered(3, 3));
    CHECK(stored);
    while (kept.done() < 1) static_cast<void>(co_await sleep_for(5ms));
    // Somebody removes all states: they are written anew.
    const nats::detail::layout names{second.settings};
    nats::detail::connection c{second.settings};
    c.connect();
    static_cast<void>(c.exchange(names.purge(names.endpoints(), names.endpoint("a"))));
    while (by_hand->endpoints()->empty()) static_cast<void>(co_await sleep_for(5ms));
  });
  CHECK(through.seen.size() >= 2);
}
