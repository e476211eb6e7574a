// SPDX-License-Identifier: MIT
/// \file
/// The tables of a journal, and how a file of an older version becomes one of this version.
///
/// | table | what is in it |
/// |---|---|
/// | `events` | what changes: state, due time, progress. Small rows, so that a result writes few pages |
/// | `payloads` | what never changes: header fields and body, by the `seq` of the event |
/// | `totals` | how many events and bytes there are by state (0: unfinished), so that nothing is counted at the start |
/// | `meta` | one row: how often the journal was opened, from which lease numbers are made |
/// | `endpoints` | the states of endpoints (`endpoint_state`, `endpoint_reason`); each change makes `revision` larger |
///
/// States are those of `journal::event_state` but `leased` (`lease_book`): a leased event waits. Older programs wrote that one; the next
/// start sets it back. `worker` and `lease` say who has recorded what is there. `blocked`: an earlier event of the same order key is unfinished. Times are nanoseconds since
/// 1970. The indices are partial: they hold unfinished events, so that finished ones cost nothing but room.
#pragma once

#include <again/journal/error.hpp>
#include <again/sqlite/detail/database.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

/// "agjo": tells a journal from other files of SQLite.
inline constexpr std::int64_t application_id = 0x61676a6f;

/// Step n makes version n + 1 of version n. Version 0 is an empty file. A step that was released never changes.
inline constexpr const char* schema_steps[] = {
    R"(
CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  state INTEGER NOT NULL,
  blocked INTEGER NOT NULL,
  order_key BLOB NOT NULL,
  idempotency_key BLOB NOT NULL,
  only_at BLOB NOT NULL,
  created INTEGER NOT NULL,
  due INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  worker BLOB NOT NULL DEFAULT x'',
  lease INTEGER NOT NULL DEFAULT 0,
  leased_until INTEGER NOT NULL DEFAULT 0,
  finished INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  deliveries INTEGER NOT NULL DEFAULT 0,
  first_attempt INTEGER NOT NULL DEFAULT 9223372036854775807,
  last_attempt INTEGER NOT NULL DEFAULT 9223372036854775807,
  last_error BLOB NOT NULL DEFAULT x'',
  still_at BLOB NOT NULL DEFAULT x'',
  refused_by BLOB NOT NULL DEFAULT x'',
  status INTEGER NOT NULL DEFAULT 0,
  reason BLOB NOT NULL DEFAULT x'',
  bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE payloads(seq INTEGER PRIMARY KEY, headers BLOB NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE totals(state INTEGER PRIMARY KEY, events INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
INSERT INTO totals VALUES(0, 0, 0), (2, 0, 0), (3, 0, 0);
CREATE TABLE meta(one INTEGER PRIMARY KEY, opened INTEGER NOT NULL) STRICT;
INSERT INTO meta VALUES(1, 0);
CREATE UNIQUE INDEX events_by_id ON events(id);
CREATE INDEX events_ready ON events(due, seq) WHERE state = 0 AND blocked = 0;
CREATE INDEX events_leased ON events(leased_until) WHERE state = 1;
CREATE INDEX events_in_order ON events(order_key, seq) WHERE state < 2 AND order_key <> x'';
CREATE INDEX events_finished ON events(state, finished) WHERE state >= 2;
)",
    R"(
CREATE TABLE endpoints(
  name BLOB PRIMARY KEY,
  state INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  last_error BLOB NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  failing_since INTEGER NOT NULL,
  revision INTEGER NOT NULL
) STRICT;
)",
};

/// Throws sql_failure where the file is no journal, or not of the version that this program knows: for those who change nothing.
inline void require_current(const database& db) {
  const auto refuse = [&db](const std::string& what) {
    throw sql_failure{journal::error{journal::error_kind::version, db.path() + ": " + what}};
  };
  const auto known = static_cast<std::int64_t>(std::size(schema_steps));
  const std::int64_t version = number_of(db, "PRAGMA user_version");
  if (number_of(db, "PRAGMA application_id") != application_id) refuse("is no journal; name another file");
  if (version != known)
    refuse("its format is " + std::to_string(version) + ", this program knows " + std::to_string(known) +
           (version > known ? "; use the newer program" : "; let a program that delivers open it once"));
}

/// Brings the file to the version of the last step, all or nothing. Throws sql_failure: it is no journal, or a newer one.
inline void migrate(database& db, std::span<const char* const> steps) {
  const auto refuse = [&db](const std::string& what) {
    throw sql_failure{journal::error{journal::error_kind::version, db.path() + ": " + what}};
  };
  const auto newest = static_cast<std::int64_t>(steps.size());
  const std::int64_t version = number_of(db, "PRAGMA user_version");
  const bool empty = number_of(db, "SELECT count(*) FROM sqlite_schema") == 0;
  if (!empty && number_of(db, "PRAGMA application_id") != application_id)
    refuse("is a database of another program; name another file");
  if (version > newest)
    refuse("was written by a newer version of this program (its format is " + std::to_string(version) +
           ", this program knows " + std::to_string(newest) + "); use the newer one");
  if (version == newest) return;
  db.run("BEGIN EXCLUSIVE");
  try {
    for (std::int64_t v = version; v < newest; ++v) db.run(steps[static_cast<std::size_t>(v)]);
    db.run("PRAGMA application_id = " + std::to_string(application_id));
    db.run("PRAGMA user_version = " + std::to_string(newest));
    db.run("COMMIT");
  } catch (...) {
    db.rollback();
    throw;
  }
}

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
