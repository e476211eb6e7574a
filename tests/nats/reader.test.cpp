// SPDX-License-Identifier: MIT
#include <again/nats/reader.hpp>

#include "nats/store_on_server.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again_test;
using journal::error_kind;

TEST_CASE("a reader sees events of every state, while a worker has the journal") {
  store_on_server f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 5)) == journal::acknowledged{5, 0});
  CHECK(take_some(t, 4) == ids{"1", "2", "3", "4"});
  journal::progress p;
  p.attempts = 2;
  p.last_error = "503";
  CHECK(t.later(t.claims[0], 1h, p));
  CHECK(sync_wait(f.loop, t.store.dead(t.claims[1], journal::result{p, 422, "permanent"})));
  CHECK(t.done(t.claims[2]));
  t.take(0);
  auto opened = nats::reader::open(f.settings);
  REQUIRE(opened);
  std::vector<std::string> seen;
  CHECK(opened->each([&](const journal::event_record& r) {
    seen.push_back(std::string{name(r.state)} + " " + r.event.id + " " + r.event.body + " " +
                   std::to_string(r.result.progress.attempts));
    return true;
  }));
  CHECK(seen == std::vector<std::string>{"waiting 1 body 1 2", "waiting 4 body 4 0", "waiting 5 body 5 0",
                                         "dead 2 body 2 2", "done 3  0"});
  std::size_t calls = 0;
  CHECK(opened->each([&](const journal::event_record&) { return ++calls < 2; }));
  CHECK(calls == 2);
  const auto dead = opened->find("2");
  REQUIRE(dead);
  REQUIRE(*dead);
  CHECK((*dead)->result == journal::result{p, 422, "permanent"});
  const auto none = opened->find("9");
  REQUIRE(none);
  CHECK(!*none);
  const auto totals = opened->totals();
  REQUIRE(totals);
  CHECK(totals->unfinished == 3);
  CHECK(totals->never_taken == 1);
  CHECK(totals->dead == 1);
  CHECK(totals->states == 3);
  CHECK(totals->replicas == 1);
  CHECK(totals->bytes > 0);
}

TEST_CASE("what is shown is what the leaders have, and no copy that lags behind") {
  store_on_server f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 3)) == journal::acknowledged{3, 0});
  CHECK(take_some(t, 3) == ids{"1", "2", "3"});
  CHECK(t.dead(t.claims[0]));
  CHECK(t.done(t.claims[1]));
  t.take(0);
  forbid_direct_reads(f.settings);
  auto opened = nats::reader::open(f.settings);
  REQUIRE(opened);
  ids seen;
  CHECK(opened->each([&](const journal::event_record& r) {
    seen.push_back(std::string{name(r.state)} + " " + r.event.id);
    return true;
  }));
  CHECK(seen == ids{"waiting 3", "dead 1", "done 2"});
  for (const auto& [id, state] :
       {std::pair{"1", event_state::dead}, {"2", event_state::done}, {"3", event_state::waiting}}) {
    const auto found = opened->find(id);
    REQUIRE(found);
    REQUIRE(*found);
    CHECK((*found)->state == state);
  }
  CHECK(t.state("1") == event_state::dead);
}

TEST_CASE("a reader makes no stream") {
  store_on_server f;
  for (int i = 0; i < 2; ++i) {
    auto opened = nats::reader::open(f.settings);
    REQUIRE(!opened);
    CHECK(opened.error().kind == error_kind::unreachable);
    CHECK(opened.error().text ==
          "there is no stream " + f.settings.stream + "; restore it, or let a program make it anew");
  }
}
