// SPDX-License-Identifier: MIT
#include <again/nats/editor.hpp>

#include "nats/store_on_server.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <utility>

using namespace again;
using namespace again_test;
using journal::error_kind;

namespace {

nats::editor edit(const store_on_server& f) {
  auto opened = nats::editor::open(f.settings);
  REQUIRE(opened);
  return *std::move(opened);
}
void refused(const nats::editor::result& r, const std::string& why) {
  REQUIRE(!r);
  CHECK(r.error().kind == error_kind::invalid);
  CHECK(r.error().text == why);
}

}  // namespace

TEST_CASE("a dead event is sent again with its key and its attempts, and can die again") {
  store_on_server f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 1, "k")) == journal::acknowledged{1, 0});
  CHECK(take_some(t, 1) == ids{"1"});
  const std::string key = t.last.event.key;
  journal::progress p;
  p.attempts = 3;
  p.refused = {"a"};
  CHECK(sync_wait(f.loop, t.store.dead(t.claims[0], journal::result{p, 422, "permanent"})));
  auto by_hand = edit(f);
  CHECK(by_hand.retry("1", t.now()));
  refused(by_hand.retry("1", t.now()), "event 1 is not dead: it is with a worker, or waits until its time");
  CHECK(take_some(t, 1) == ids{"1"});
  CHECK(t.last.event.key == key);
  CHECK(t.last.event.body == "body 1");
  CHECK(t.last.result.progress.attempts == 3);
  CHECK(t.last.result.progress.only == ids{"a"});
  CHECK(t.last.result.progress.refused.empty());
  CHECK(t.dead(t.claims.back()));
  CHECK(t.state("1") == event_state::dead);
  CHECK(by_hand.retry("1", t.now()));
  CHECK(take_some(t, 1) == ids{"1"});
  CHECK(t.done(t.claims.back()));
  refused(by_hand.retry("1", t.now()), "event 1 is done: every endpoint has taken it");
  refused(by_hand.retry("2", t.now()), "there is no event 2");
}

TEST_CASE("a deadline that has passed does not end an event that is sent again") {
  store_on_server f;
  auto t = f.test();
  auto some = numbered(1, 1);
  some[0].deadline = t.now() + 1s;
  CHECK(t.append(some) == journal::acknowledged{1, 0});
  CHECK(take_some(t, 1) == ids{"1"});
  CHECK(t.dead(t.claims[0]));
  t.time.advance(2s);
  CHECK(edit(f).retry("1", t.now()));
  CHECK(take_some(t, 1) == ids{"1"});
  CHECK(t.last.deadline == journal::no_time);
}

TEST_CASE("an event is forgotten whatever its state, and its key goes on") {
  store_on_server f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 2, "k")) == journal::acknowledged{2, 0});
  CHECK(t.append(numbered(3, 4)) == journal::acknowledged{2, 0});
  take_some(t, 3);
  std::map<std::string, journal::claim> by_id;
  for (const auto& c : t.claims) by_id[c.id] = c;
  CHECK(t.later(by_id.at("1"), 1h));
  CHECK(t.done(by_id.at("3")));
  CHECK(t.dead(by_id.at("4")));
  auto by_hand = edit(f);
  for (const char* const id : {"1", "3", "4"}) {
    CHECK(by_hand.discard(id));
    CHECK(!t.find(id));
    refused(by_hand.discard(id), std::string{"there is no event "} + id);
  }
  CHECK(take_some(t, 1) == ids{"2"});
}

TEST_CASE("what is changed by hand is what the leaders have, and no copy that lags behind") {
  store_on_server f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 3)) == journal::acknowledged{3, 0});
  CHECK(take_some(t, 2) == ids{"1", "2"});
  CHECK(t.dead(t.claims[0]));
  CHECK(t.done(t.claims[1]));
  t.take(0);
  forbid_direct_reads(f.settings);
  auto by_hand = edit(f);
  CHECK(by_hand.retry("1", t.now()));
  refused(by_hand.retry("2", t.now()), "event 2 is done: every endpoint has taken it");
  refused(by_hand.retry("3", t.now()), "event 3 is not dead: it is with a worker, or waits until its time");
  refused(by_hand.retry("4", t.now()), "there is no event 4");
  for (const char* const id : {"1", "2", "3"}) CHECK(by_hand.discard(id));
  refused(by_hand.discard("1"), "there is no event 1");
}
