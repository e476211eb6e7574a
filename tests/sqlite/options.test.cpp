// SPDX-License-Identifier: MIT
#include <again/sqlite/options.hpp>

#include "sqlite/store_file.hpp"

#include <again/coro/scope.hpp>
#include <again/coro/this_context.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again_test;
using journal::error_kind;

namespace {

std::vector<journal::new_event> large(int first, int last, std::size_t bytes) {
  auto all = numbered(first, last);
  for (journal::new_event& e : all) e.event.body.assign(bytes, 'x');
  return all;
}

/// Takes all and finishes them, one call each.
void finish_all(store_under_test<sqlite::store>& t) {
  t.claims.clear();
  while (!t.take(1000).empty()) {}
  const auto each = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    const auto one = [&](journal::claim c) -> task<> {
      const auto ended = co_await t.store.done(std::move(c), journal::result{});
      CHECK(ended);
    };
    for (const journal::claim& c : t.claims) s.spawn(one(c));
    co_await s.join();
  };
  sync_wait(t.loop, each());
}

}  // namespace

TEST_CASE("delivered events are discarded after their age, and their ids are new then; dead ones are kept longer") {
  store_file f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 10)) == journal::acknowledged{10, 0});
  CHECK(t.take(10).size() == 10);
  CHECK(t.dead(t.claims[0]));
  for (std::size_t i = 1; i < 9; ++i) CHECK(t.done(t.claims[i]));
  t.time.advance(23h);
  CHECK(sync_wait(f.loop, f.store->tidy()) == std::uint64_t{0});
  CHECK(t.append(numbered(1, 10)) == journal::acknowledged{0, 10});
  t.time.advance(2h);
  CHECK(!t.extend({t.claims[9]}));
  CHECK(sync_wait(f.loop, f.store->tidy()).has_value());
  CHECK(f.store->discarded() + 0 == 8);
  CHECK(t.state("1") == event_state::dead);
  CHECK(!t.find("2"));
  CHECK(t.state("10") == event_state::leased);
  CHECK(t.append(numbered(1, 10)) == journal::acknowledged{8, 2});
  CHECK(f.store->dead_events() == 1);
  CHECK(f.store->done_events() == 0);
  CHECK(f.store->unfinished() == 9);
  t.time.advance(24h * 30);
  CHECK(sync_wait(f.loop, f.store->tidy()).has_value());
  CHECK(f.store->dead_events() == 0);
  CHECK(f.store->unfinished() == 9);
}

TEST_CASE("of delivered events the newest are kept, within their bytes") {
  sqlite::options o;
  o.done.bytes = 20'000;
  store_file f{o};
  auto t = f.test();
  for (int i = 1; i <= 50; ++i) {
    CHECK(t.append(large(i, i, 1000)) == journal::acknowledged{1, 0});
    finish_all(t);
  }
  CHECK(!t.find("1"));
  CHECK(t.state("50") == event_state::done);
  CHECK(f.store->done_events() <= 20);
  CHECK(f.store->done_events() >= 18);
  CHECK(f.store->discarded() + f.store->done_events() == 50);
  f.reopen();
  CHECK(f.store->done_events() <= 20);
  CHECK(f.store->unfinished() == 0);
}

TEST_CASE("the file shrinks when events are discarded") {
  store_file f;
  auto t = f.test();
  CHECK(t.append(large(1, 2000, 4000)) == journal::acknowledged{2000, 0});
  f.close();
  const auto before = std::filesystem::file_size(f.path);
  CHECK(before > 8'000'000);
  f.open();
  auto again = f.test();
  finish_all(again);
  again.time.advance(48h);
  CHECK(sync_wait(f.loop, f.store->tidy()) == std::uint64_t{2000});
  f.close();
  CHECK(std::filesystem::file_size(f.path) < before / 50);
}

TEST_CASE("above max_bytes no event is taken in, but those inside can be delivered") {
  sqlite::options o;
  o.max_bytes = 1'000'000;
  store_file f{o};
  auto t = f.test();
  int stored = 0;
  for (;;) {
    const auto got = t.append(large(stored + 1, stored + 10, 10'000));
    if (!got) {
      CHECK(got.error().kind == error_kind::full);
      CHECK(got.error().text == "the journal has max_bytes; deliver or discard events, or raise it");
      break;
    }
    stored += 10;
    REQUIRE(stored < 200);
  }
  CHECK(stored >= 80);
  CHECK(f.store->errors(error_kind::full) == 1);
  finish_all(t);
  CHECK(f.store->done_events() == static_cast<std::uint64_t>(stored));
  t.time.advance(48h);
  CHECK(sync_wait(f.loop, f.store->tidy()).has_value());
  CHECK(t.append(large(1, 10, 10'000)) == journal::acknowledged{10, 0});
}

TEST_CASE("calls beyond the queue fail at once, and those in it are not harmed; a locked file is waited for") {
  sqlite::options o;
  o.queue = 1;
  store_file f{o};
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open(f.path.c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  int stored = 0, refused = 0;
  const auto many = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    const auto one = [&](int i) -> task<> {
      const auto got = co_await f.store->append(numbered(i, i));
      ++(got ? stored : refused);
      if (!got) CHECK(got.error().kind == error_kind::shortage);
    };
    for (int i = 0; i < 6; ++i) s.spawn(one(i));
    CHECK(refused >= 4);  // one is with the writer, one waits
    REQUIRE(sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK);
    co_await s.join();
  };
  sync_wait(f.loop, many());
  sqlite3_close(other);
  CHECK(stored + refused == 6);
  CHECK(stored >= 1);
  CHECK(f.store->unfinished() == static_cast<std::uint64_t>(stored));
}

TEST_CASE("where another program keeps the file locked, calls end with a sentence after `busy`") {
  sqlite::options o;
  o.busy = 1ms;
  store_file f{o};
  auto t = f.test();
  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open(f.path.c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  const auto got = t.append(numbered(1, 1));
  REQUIRE(!got);
  CHECK(got.error().kind == error_kind::locked);
  CHECK(got.error().text == f.path + ": SQLite says: database is locked; end the other program that has locked it");
  REQUIRE(sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(other);
  CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
}

TEST_CASE("damage in a small file is found before it is open; in a large one while it is used, and then nothing is "
          "acknowledged") {
  store_file f;
  auto t = f.test();
  CHECK(t.append(large(1, 500, 1000)) == journal::acknowledged{500, 0});
  f.close();
  {
    std::fstream file{f.path, std::ios::in | std::ios::out | std::ios::binary};
    const auto size = static_cast<std::streamoff>(std::filesystem::file_size(f.path));
    for (std::streamoff at = size / 4096 / 2 * 4096; at < size; at += 16 * 4096) {
      file.seekp(at);
      const std::string nonsense(64, '\xa5');
      file.write(nonsense.data(), static_cast<std::streamsize>(nonsense.size()));
    }
  }
  const auto refused = sqlite::store::open(f.path, f.settings);
  REQUIRE(!refused);
  CHECK(refused.error().kind == error_kind::corrupt);
  CHECK(refused.error().text.find("restore it") != std::string::npos);
  f.settings.check_first = 0;
  f.open();
  auto late = f.test();
  journal::stored_result<journal::acknowledged> got;
  do { got = late.append(numbered(501, 501)); } while (got);
  CHECK(got.error().kind == error_kind::corrupt);
  CHECK(!late.append(numbered(501, 501)));
  CHECK(f.store->errors(error_kind::corrupt) >= 2);
}
