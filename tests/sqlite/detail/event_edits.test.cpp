// SPDX-License-Identifier: MIT
// Edits of a journal that is open: by the store's own calls. tests/sqlite/editor.test.cpp has what an edit does to a resting one.
#include <again/sqlite/detail/event_edits.hpp>

#include "sqlite/store_file.hpp"

#include <again/sqlite/reader.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace again;
using namespace again_test;

namespace {

std::string retried(store_file& f, const std::string& id) {
  const auto r = sync_wait(f.loop, f.store->retry(id));
  return r ? "" : r.error().text;
}
std::string discarded(store_file& f, const std::string& id) {
  const auto r = sync_wait(f.loop, f.store->discard(id));
  return r ? "" : r.error().text;
}

}  // namespace

TEST_CASE("a store that is open sends a dead event again, and its numbers follow") {
  store_file f;
  auto t = f.test();
  t.append(numbered(1, 2));
  CHECK(t.take(1) == ids{"1"});
  CHECK(t.dead(t.claims[0]));
  CHECK(f.store->dead_events() == 1);
  f.time.advance(1ms);  // it is due after the other, also where a commit takes less than the clock can tell
  CHECK(retried(f, "1").empty());
  CHECK(f.store->dead_events() == 0);
  CHECK(f.store->unfinished() == 2);
  CHECK(t.take(5) == ids{"2", "1"});
  CHECK(t.done(t.claims[1]));
  CHECK(t.done(t.claims[2]));
  CHECK(f.store->done_events() == 2);
  const auto totals = sqlite::reader::open(f.path)->totals();
  REQUIRE(totals);
  CHECK(totals->done == 2);
  CHECK(totals->unfinished_bytes == 0);
}

TEST_CASE("a store that is open forgets a dead or a waiting event") {
  store_file f;
  auto t = f.test();
  t.append(numbered(1, 3, "k"));
  CHECK(t.take(1) == ids{"1"});
  CHECK(t.dead(t.claims[0]));
  CHECK(discarded(f, "1").empty());
  CHECK(discarded(f, "2").empty());
  CHECK(f.store->dead_events() == 0);
  CHECK(f.store->unfinished() == 1);
  CHECK(t.take(5) == ids{"3"});  // it was behind the one that is gone
}

TEST_CASE("the events that died last are found, the latest first, as many as are wanted") {
  store_file f;
  auto t = f.test();
  t.append(numbered(1, 5));
  CHECK(t.take(5).size() == 5);
  for (const std::size_t i : {3U, 0U, 4U}) {
    t.time.advance(1s);
    CHECK(t.dead(t.claims[i]));
  }
  CHECK(t.done(t.claims[1]));
  const auto found = [&](std::size_t most) {
    ids out;
    const auto got = sync_wait(f.loop, f.store->latest_dead(most));
    REQUIRE(got);
    for (const journal::event_record& r : *got) out.push_back(r.event.id);
    return out;
  };
  CHECK(found(10) == ids{"5", "1", "4"});
  CHECK(found(2) == ids{"5", "1"});
  CHECK(found(0).empty());
}

TEST_CASE("an event that is being delivered, done or unknown is not edited, and nothing changes") {
  store_file f;
  auto t = f.test();
  t.append(numbered(1, 2));
  CHECK(t.take(1) == ids{"1"});
  CHECK(retried(f, "1") == "event 1 is being delivered; wait for the end of this delivery");
  CHECK(discarded(f, "1") == "event 1 is being delivered; wait for the end of this delivery");
  CHECK(t.done(t.claims[0]));  // its lease still counts
  CHECK(retried(f, "1") == "event 1 is done: every endpoint has taken it");
  CHECK(retried(f, "9") == "there is no event 9");
  CHECK(discarded(f, "9") == "there is no event 9");
  CHECK(f.store->errors(journal::error_kind::invalid) == 5);
  CHECK(f.store->unfinished() == 1);
  CHECK(f.store->done_events() == 1);
}
