// SPDX-License-Identifier: MIT
#include <again/sqlite/detail/schema.hpp>

#include <doctest/doctest.h>

#include <array>
#include <span>
#include <string>

using namespace again;
using namespace again::sqlite::detail;

namespace {
constexpr std::array<const char*, 3> steps{"CREATE TABLE a(x); INSERT INTO a VALUES(1)",
                                           "ALTER TABLE a ADD y DEFAULT 2", "UPDATE a SET y = 3"};
std::span<const char* const> first(std::size_t n) { return std::span{steps}.first(n); }
}  // namespace

TEST_CASE("a file of any older version becomes one of this version, and keeps what is in it") {
  for (std::size_t from = 0; from <= 3; ++from) {
    database db{":memory:", SQLITE_OPEN_READWRITE};
    if (from > 0) migrate(db, first(from));
    migrate(db, first(3));
    CHECK(number_of(db, "PRAGMA user_version") == 3);
    CHECK(number_of(db, "SELECT x * 10 + y FROM a") == 13);
    CHECK(number_of(db, "PRAGMA application_id") == application_id);
    migrate(db, first(3));
    CHECK(number_of(db, "SELECT count(*) FROM a") == 1);
  }
}

TEST_CASE("a step that fails leaves the file as it was") {
  database db{":memory:", SQLITE_OPEN_READWRITE};
  migrate(db, first(1));
  const std::array<const char*, 3> broken{steps[0], steps[1], "UPDATE none SET y = 3"};
  CHECK_THROWS_AS(migrate(db, broken), sql_failure);
  CHECK(number_of(db, "PRAGMA user_version") == 1);
  CHECK(number_of(db, "SELECT count(*) FROM pragma_table_info('a')") == 1);
  migrate(db, first(2));
  CHECK(number_of(db, "SELECT y FROM a") == 2);
}

TEST_CASE("every step of the schema so far can be made, and its indices are used by what is asked of them") {
  database db{":memory:", SQLITE_OPEN_READWRITE};
  migrate(db, schema_steps);
  CHECK(number_of(db, "SELECT count(*) FROM totals") == 3);
  CHECK(number_of(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name LIKE 'events_%'") == 5);
}

TEST_CASE("a journal of the first version gets the table of endpoints, and keeps its events") {
  database db{":memory:", SQLITE_OPEN_READWRITE};
  migrate(db, std::span{schema_steps}.first(1));
  db.run("INSERT INTO events(id, state, blocked, order_key, idempotency_key, only_at, created, due, deadline, bytes) "
         "VALUES(x'31', 0, 0, x'', x'6b', x'', 1, 2, 3, 4)");
  CHECK(number_of(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'endpoints'") == 0);
  CHECK_THROWS_AS(require_current(db), sql_failure);
  migrate(db, schema_steps);
  CHECK_NOTHROW(require_current(db));
  CHECK(number_of(db, "SELECT count(*) FROM endpoints") == 0);
  CHECK(number_of(db, "SELECT deadline FROM events WHERE id = x'31'") == 3);
}
