// SPDX-License-Identifier: MIT
#include <again/sqlite/reader.hpp>

#include "sqlite/store_file.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace again;
using namespace again_test;
using journal::error_kind;

namespace {

std::vector<std::string> seen(const sqlite::reader& r, sqlite::payloads p = sqlite::payloads::left_out) {
  std::vector<std::string> all;
  const auto read = r.each(
      [&](const journal::event_record& e) {
        all.push_back(e.event.id + " " + std::string{name(e.state)} + " " + e.event.body);
        return true;
      },
      p);
  REQUIRE(read);
  return all;
}

}  // namespace

TEST_CASE("a reader sees the events of a journal that a store has open, and later those that came meanwhile") {
  store_file f;
  auto t = f.test();
  auto some = numbered(1, 4);
  some[3].due = t.now() + 1h;
  some[0].event.headers.add("A", "b");
  t.append(some);
  const wall_time came = t.find("1")->created;
  t.time.advance(1s);
  CHECK(t.take(3).size() == 3);
  CHECK(t.done(t.claims[0]));
  CHECK(t.dead(t.claims[1]));
  auto opened = sqlite::reader::open(f.path);
  REQUIRE(opened);
  CHECK(seen(*opened) == std::vector<std::string>{"1 done ", "2 dead ", "3 waiting ", "4 waiting "});
  CHECK(seen(*opened, sqlite::payloads::included) ==
        std::vector<std::string>{"1 done body 1", "2 dead body 2", "3 waiting body 3", "4 waiting body 4"});
  const auto found = opened->find("1");
  REQUIRE((found && *found));
  CHECK((*found)->event.headers.contains("A"));
  CHECK(opened->find("9").value() == std::nullopt);
  const auto totals = opened->totals();
  REQUIRE(totals);
  CHECK(totals->waiting == 2);
  CHECK(totals->done == 1);
  CHECK(totals->dead == 1);
  CHECK(totals->oldest == came);
  CHECK(totals->next_due == came);
  CHECK(totals->done_bytes > 0);
  t.append(numbered(5, 5));
  CHECK(seen(*opened).size() == 5);
}

TEST_CASE("a reader may stop in the middle, and the writer goes on meanwhile") {
  store_file f;
  auto t = f.test();
  t.append(numbered(1, 500));
  auto opened = sqlite::reader::open(f.path);
  REQUIRE(opened);
  int n = 0;
  const auto read = opened->each([&](const journal::event_record&) {
    if (++n == 2) CHECK(t.append(numbered(1000, 1001)) == journal::acknowledged{2, 0});
    return n < 300;
  });
  CHECK(read);
  CHECK(n == 300);
  CHECK(opened->totals()->waiting == 502);
}

TEST_CASE("a resting journal can be read, also one whose process was killed, and is as before afterwards") {
  store_file f;
  f.test().append(numbered(1, 3));
  const std::string copy = f.folder.path + "/copy.db";
  std::filesystem::copy_file(f.path, copy);  // as a kill leaves them: what was stored is in the log
  std::filesystem::copy_file(f.path + "-wal", copy + "-wal");
  f.close();
  for (const std::string& path : {f.path, copy}) {
    CAPTURE(path);
    {
      auto opened = sqlite::reader::open(path);
      REQUIRE(opened);
      CHECK(seen(*opened).size() == 3);
    }
    auto again_open = sqlite::store::open(path);
    REQUIRE(again_open);
    CHECK(again_open->unfinished() == 3);
  }
}

TEST_CASE("what is no journal is refused by a sentence, and nothing is made") {
  temporary_folder folder;
  const std::string path = folder.path + "/x";
  const auto complaint = [&] {
    const auto opened = sqlite::reader::open(path);
    REQUIRE(!opened);
    return std::string{name(opened.error().kind)} + ": " + opened.error().text.substr(path.size() + 2);
  };
  CHECK(complaint() == "unreachable: there is no journal; name a file that exists");
  CHECK(std::filesystem::is_empty(folder.path));
  run_sql(path, "CREATE TABLE t(x)");
  CHECK(complaint() == "version: is no journal; name another file");
  std::filesystem::remove(path);
  std::ofstream{path} << std::string(8192, 'x');
  CHECK(complaint().find("corrupt: ") == 0);
  store_file f;
  f.close();
  run_sql(f.path, "PRAGMA user_version = 99");
  const auto newer = sqlite::reader::open(f.path);
  REQUIRE(!newer);
  CHECK(newer.error().text.find("its format is 99, this program knows 2; use the newer program") != std::string::npos);
}
