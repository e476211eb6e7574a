// SPDX-License-Identifier: MIT
#include <again/sqlite/editor.hpp>

#include "sqlite/store_file.hpp"

#include <again/sqlite/reader.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>

using namespace again;
using namespace again_test;
using journal::error_kind;

namespace {

/// The store is closed for an edit, and opened again.
template <class Edit> void edited(store_file& f, Edit edit) {
  f.close();
  {
    auto opened = sqlite::editor::open(f.path);
    REQUIRE(opened);
    edit(*opened);
  }
  f.open();
}
std::string text(const sqlite::editor::result& r) { return r ? "" : r.error().text; }

}  // namespace

TEST_CASE("a dead event is sent again at once, with its attempts kept, at the endpoints that have not taken it") {
  store_file f;
  auto t = f.test();
  auto one = numbered(1, 1);
  one[0].deadline = t.now() + 1h;
  t.append(std::move(one));
  CHECK(t.take(1).size() == 1);
  journal::progress p;
  p.attempts = 3;
  p.deliveries = 2;
  p.only = {"b"};
  p.refused = {"c", "d"};
  const auto dead = sync_wait(f.loop, f.store->dead(t.claims[0], journal::result{p, 422, "permanent"}));
  CHECK(dead);
  t.time.advance(2h);
  edited(f, [&](sqlite::editor& e) { CHECK(e.retry("1", t.now())); });
  auto after = f.test();
  CHECK(f.store->unfinished() == 1);
  CHECK(f.store->dead_events() == 0);
  CHECK(after.take(5) == ids{"1"});
  CHECK(after.last.deadline == journal::no_time);
  CHECK(after.last.result.reason.empty());
  p.only = {"b", "c", "d"};
  p.refused.clear();
  CHECK(after.last.result.progress == p);
  CHECK(after.done(after.claims[0]));
}

TEST_CASE("a waiting event is due at once, and one that is done is refused") {
  store_file f;
  auto t = f.test();
  auto some = numbered(1, 2);
  some[0].due = t.now() + 10h;
  t.append(some);
  CHECK(t.take(5) == ids{"2"});
  CHECK(t.done(t.claims[0]));
  edited(f, [&](sqlite::editor& e) {
    CHECK(e.retry("1", t.now()));
    CHECK(text(e.retry("2", t.now())) == "event 2 is done: every endpoint has taken it");
    CHECK(text(e.retry("3", t.now())) == "there is no event 3");
    CHECK(e.retry("3", t.now()).error().kind == error_kind::invalid);
  });
  CHECK(f.test().take(5) == ids{"1"});
}

TEST_CASE("the order of a key holds for events that are sent again") {
  store_file f;
  auto t = f.test();
  t.append(numbered(1, 3, "k"));
  CHECK(t.take(5) == ids{"1"});
  CHECK(t.dead(t.claims[0]));
  edited(f, [&](sqlite::editor& e) { CHECK(e.retry("1", t.now())); });
  auto after = f.test();
  CHECK(after.take(5) == ids{"2"});  // it was at the front meanwhile
  CHECK(after.done(after.claims[0]));
  CHECK(after.take(5) == ids{"1"});
  CHECK(after.done(after.claims[1]));
  CHECK(after.take(5) == ids{"3"});
}

TEST_CASE("a discarded event is gone, is known no more, and lets the next one of its key go") {
  store_file f;
  auto t = f.test();
  t.append(numbered(1, 2, "k"));
  t.append(numbered(3, 4));
  CHECK(t.take(1) == ids{"1"});
  CHECK(t.take(1) == ids{"3"});
  CHECK(t.dead(t.claims[1]));
  edited(f, [&](sqlite::editor& e) {
    CHECK(e.discard("1"));
    CHECK(e.discard("3"));
    CHECK(text(e.discard("1")) == "there is no event 1");
  });
  auto after = f.test();
  CHECK(f.store->unfinished() == 2);
  CHECK(f.store->dead_events() == 0);
  CHECK(after.take(5) == ids{"2", "4"});
  CHECK(after.append(numbered(1, 1)) == journal::acknowledged{1, 0});
  const auto totals = sqlite::reader::open(f.path)->totals();
  CHECK(totals->dead_bytes == 0);
}

TEST_CASE("a journal that another process has open is not changed") {
  store_file f;
  const auto second = sqlite::editor::open(f.path);
  REQUIRE(!second);
  CHECK(second.error().kind == error_kind::locked);
}
