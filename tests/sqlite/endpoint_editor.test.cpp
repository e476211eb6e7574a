// SPDX-License-Identifier: MIT
#include <again/sqlite/endpoint_editor.hpp>

#include "journal/endpoint_contract.hpp"
#include "sqlite/store_file.hpp"

#include <again/sqlite/store.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>

using namespace again;
using namespace again_test;
using journal::error_kind;
using sqlite::endpoint_editor;

TEST_CASE("the store in a file keeps the states of endpoints, also after it was opened again") {
  store_file f;
  auto t = f.test();
  keeps_endpoints(t);
  f.close();
  f.open();
  const auto all = sync_wait(f.loop, f.store->endpoints());
  REQUIRE(all);
  REQUIRE(all->size() == 2);
  CHECK(all->at(0).status.name == "a");
  CHECK(all->at(0).revision == 8);
  CHECK(all->at(1).status.name == "b");
}

TEST_CASE("an endpoint is changed beside a store that is open, and in a journal at rest") {
  store_file f;
  auto t = f.test();
  CHECK(put(t, endpoint_status{"a"}, 0) == 1);
  {
    auto beside = endpoint_editor::open(f.path);
    REQUIRE(beside);
    const wall_time then = t.now();  // it goes on while the store is asked
    CHECK(beside->set("a", endpoint_state::paused, then));
    const auto seen = sync_wait(f.loop, f.store->endpoints());
    REQUIRE(seen);
    CHECK(seen->at(0).status.state == endpoint_state::paused);
    CHECK(seen->at(0).status.reason == endpoint_reason::by_hand);
    CHECK(seen->at(0).status.since == then);
    CHECK(seen->at(0).revision == 2);
    CHECK(put(t, endpoint_status{"a"}, 1) == 0);
  }
  // The events that wait are due when it is resumed, and the open store sees that.
  REQUIRE(t.append(numbered(1, 2)));
  CHECK(t.take(2).size() == 2);
  journal::progress p;
  p.last_error = "endpoint_paused";
  CHECK(t.later(t.claims[0], 1h, p));
  CHECK(t.later(t.claims[1], 1h));
  auto beside = endpoint_editor::open(f.path);
  REQUIRE(beside);
  CHECK(beside->set("a", endpoint_state::available, t.now()));
  CHECK(t.take(2) == ids{"1"});
  f.close();
  CHECK(beside->set("a", endpoint_state::disabled, t.now()));
  const auto all = beside->endpoints();
  REQUIRE(all);
  CHECK(all->at(0).status.state == endpoint_state::disabled);
}

TEST_CASE("an endpoint that the journal does not know, and a file that is none, have a sentence") {
  store_file f;
  auto beside = endpoint_editor::open(f.path);
  REQUIRE(beside);
  const auto unknown = beside->set("a", endpoint_state::paused, wall_time{});
  REQUIRE(!unknown);
  CHECK(unknown.error().kind == error_kind::invalid);
  CHECK(unknown.error().text.find("no endpoint is called a") != std::string::npos);
  const auto missing = endpoint_editor::open(f.path + "-other");
  REQUIRE(!missing);
  CHECK(missing.error().kind == error_kind::unreachable);
  f.close();
  CHECK(run_sql(f.path, "PRAGMA user_version = 99").empty());
  const auto newer = endpoint_editor::open(f.path);
  REQUIRE(!newer);
  CHECK(newer.error().kind == error_kind::version);
}
