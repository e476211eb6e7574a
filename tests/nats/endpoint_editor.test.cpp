// SPDX-License-Identifier: MIT
/// \file
/// States of endpoints over JetStream: a record has one writer at a time, and all processes see the last one.
#include <again/nats/endpoint_editor.hpp>

#include "journal/endpoint_contract.hpp"
#include "nats/store_on_server.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again_test;
using journal::error_kind;
using nats::endpoint_editor;

namespace {

endpoint_editor edit(const store_on_server& f) {
  auto opened = endpoint_editor::open(f.settings);
  REQUIRE(opened);
  return *std::move(opened);
}
std::vector<journal::endpoint_record> seen_by(const endpoint_editor& e) {
  auto got = e.endpoints();
  REQUIRE(got);
  return *std::move(got);
}

}  // namespace

TEST_CASE("the store over JetStream keeps the states of endpoints, also for the next process") {
  store_on_server f;
  auto t = f.test();
  const journal::endpoint_record a = keeps_endpoint_records(t);
  f.close();
  auto again = f.test();
  const auto all = sync_wait(f.loop, again.store.endpoints());
  REQUIRE(all);
  REQUIRE(all->size() == 2);
  CHECK(all->at(0) == a);
  CHECK(all->at(1).status == endpoint_status{"b"});
}

TEST_CASE("of two processes that change the same record one alone does") {
  store_on_server first, second;
  second.settings = first.settings;
  auto a = first.test(), b = second.test();
  const std::uint64_t revision = put(a, endpoint_status{"x"}, 0);
  CHECK(put(b, endpoint_status{"x"}, 0) == 0);
  const std::uint64_t next = put(b, endpoint_status{"x", endpoint_state::paused}, revision);
  CHECK(next > revision);
  CHECK(put(a, endpoint_status{"x", endpoint_state::disabled}, revision) == 0);
  const auto all = sync_wait(first.loop, first.store().endpoints());
  REQUIRE(all);
  CHECK(*all == std::vector{journal::endpoint_record{endpoint_status{"x", endpoint_state::paused}, next}});
}

TEST_CASE("names of any bytes are told apart, and one that no subject can hold is refused") {
  store_on_server f;
  auto t = f.test();
  for (const char* const name : {"http://h/a.b *>", "http://h/\"a\"", "\xff", ""})
    CHECK(put(t, endpoint_status{name}, 0) > 0);
  CHECK(seen_by(edit(f)).size() == 4);
  CHECK(seen_by(edit(f))[1].status.name == "http://h/\"a\"");
  const auto long_one =
      sync_wait(f.loop, t.store.put(journal::endpoint_record{endpoint_status{std::string(2049, 'a')}}));
  REQUIRE(!long_one);
  CHECK(long_one.error().kind == error_kind::invalid);
  CHECK(long_one.error().text == "the name of an endpoint has more than 2048 bytes; use a shorter one");
}

TEST_CASE("an endpoint is changed beside a store that is open") {
  store_on_server f;
  auto t = f.test();
  endpoint_status failing{"a", endpoint_state::disabled, endpoint_reason::failing};
  failing.last_error = "status 500";
  const std::uint64_t first = put(t, failing, 0);
  auto beside = edit(f);
  const wall_time now = t.now();
  CHECK(beside.set("a", endpoint_state::paused, now));
  const auto seen = sync_wait(f.loop, t.store.endpoints());
  REQUIRE(seen);
  REQUIRE(seen->size() == 1);
  CHECK(seen->at(0).status.state == endpoint_state::paused);
  CHECK(seen->at(0).status.reason == endpoint_reason::by_hand);
  CHECK(seen->at(0).status.since == now);
  CHECK(seen->at(0).status.last_error == "status 500");
  CHECK(put(t, endpoint_status{"a"}, first) == 0);
  CHECK(beside.set("a", endpoint_state::available, t.now()));
  CHECK(seen_by(beside)[0].status.state == endpoint_state::available);
  CHECK(seen_by(beside)[0].status.last_error.empty());
  const auto unknown = beside.set("b", endpoint_state::paused, t.now());
  REQUIRE(!unknown);
  CHECK(unknown.error().kind == error_kind::invalid);
  CHECK(unknown.error().text == "stream " + f.settings.stream + "_endpoints: no endpoint is called b");
}

TEST_CASE("a journal of an older program gets the stream of the endpoints from one that delivers, and from no other") {
  store_on_server f;
  f.open();
  f.close();
  const std::string stream = f.settings.stream + "_endpoints";
  CHECK(asked(f.settings, "$JS.API.STREAM.DELETE." + stream).find("\"success\":true") != std::string::npos);
  auto beside = edit(f);
  const auto none = beside.endpoints();
  REQUIRE(!none);
  CHECK(none.error().kind == error_kind::unreachable);
  CHECK(none.error().text == "there is no stream " + stream + "; restore it, or let a program make it anew");
  f.open();
  CHECK(seen_by(beside).empty());
}

TEST_CASE("a message that is no state of an endpoint is named") {
  store_on_server f;
  auto t = f.test();
  CHECK(asked(f.settings, f.settings.stream + ".endpoint.YQ", "{}").find("\"seq\":1") != std::string::npos);
  const auto got = sync_wait(f.loop, t.store.endpoints());
  REQUIRE(!got);
  CHECK(got.error().kind == error_kind::corrupt);
  CHECK(got.error().text ==
        "stream " + f.settings.stream + "_endpoints: message 1 is no state of an endpoint; remove it");
}
