// SPDX-License-Identifier: MIT
/// \file
/// `database` and `statement`: a connection of SQLite and a prepared statement, as long as they are used; `sql_failure`: what went wrong,
/// in a sentence. One thread at a time.
#pragma once

#include <again/core/clock.hpp>
#include <again/journal/error.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <sqlite3.h>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

static_assert(SQLITE_VERSION_NUMBER >= 3037000,
              "again/sqlite.hpp needs SQLite 3.37 or later: it uses RETURNING and STRICT");

/// What leaves the functions below where SQLite cannot do what it was asked for. It does not leave this folder.
struct sql_failure {
  journal::error why;
};

/// The kind of a result code, and what to do.
inline journal::error explained(int code, const std::string& path, std::string_view what) {
  using journal::error_kind;
  const auto say = [&](error_kind kind, std::string_view do_this) {
    std::string text = path + ": ";
    text.append(what).append("; ").append(do_this);
    return journal::error{kind, std::move(text)};
  };
  switch (code & 0xff) {
    case SQLITE_FULL: return say(error_kind::full, "make room on the disk, or raise max_bytes");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return say(error_kind::corrupt, "stop, keep a copy of the file, and restore it: sqlite3 FILE .recover");
    case SQLITE_READONLY:
    case SQLITE_PERM: return say(error_kind::read_only, "make the file and its folder writable for this user");
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return say(error_kind::locked, "end the other program that has locked it");
    case SQLITE_CANTOPEN: return say(error_kind::unreachable, "check that its folder exists and may be written");
    case SQLITE_TOOBIG: return say(error_kind::invalid, "an event may have a gigabyte at most");
    case SQLITE_NOMEM: return say(error_kind::shortage, "give this process more memory");
    default: return say(error_kind::io, "look into the system's log for errors of this disk");
  }
}

class database {
 public:
  /// Throws sql_failure.
  database(const std::string& path, int flags) : path_{path} {
    const int code = sqlite3_open_v2(path.c_str(), &db_, flags | SQLITE_OPEN_NOMUTEX, nullptr);
    if (code == SQLITE_OK) {
      sqlite3_extended_result_codes(db_, 1);
      return;
    }
    sql_failure f{explained(code, path_, db_ != nullptr ? sqlite3_errmsg(db_) : "out of memory")};
    sqlite3_close_v2(db_);
    throw sql_failure{std::move(f.why)};
  }
  database(const database&) = delete;
  database& operator=(const database&) = delete;
  ~database() { sqlite3_close_v2(db_); }

  sqlite3* raw() const noexcept { return db_; }
  const std::string& path() const noexcept { return path_; }

  [[noreturn]] void fail(int code) const {
    throw sql_failure{explained(code, path_, "SQLite says: " + std::string{sqlite3_errmsg(db_)})};
  }
  void run(const char* sql) {
    if (const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK) fail(code);
  }
  void run(const std::string& sql) { run(sql.c_str()); }
  /// Ends the transaction without its changes. Does not throw: there may be none any more.
  void rollback() noexcept {
    if (in_transaction()) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  bool in_transaction() const noexcept { return sqlite3_get_autocommit(db_) == 0; }
  std::int64_t changes() const noexcept { return sqlite3_changes64(db_); }
  /// The number of the row that was inserted last.
  std::int64_t last_row() const noexcept { return sqlite3_last_insert_rowid(db_); }

 private:
  std::string path_;
  sqlite3* db_ = nullptr;
};

/// Prepared once, used many times. Parameters count from 1, columns from 0. Text and blobs that are bound live until the next `reset`.
class statement {
 public:
  statement(const database& db, const std::string& sql) : db_{db} {
    const int code = sqlite3_prepare_v3(db.raw(), sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
    if (code != SQLITE_OK) db.fail(code);
  }
  statement(const statement&) = delete;
  statement& operator=(const statement&) = delete;
  ~statement() { sqlite3_finalize(statement_); }

  /// Makes it ready for the next use; ends a transaction's hold on what it was reading.
  statement& reset() noexcept {
    sqlite3_reset(statement_);
    return *this;
  }
  statement& bind(int at, std::int64_t n) {
    check(sqlite3_bind_int64(statement_, at, n));
    return *this;
  }
  statement& bind(int at, std::string_view bytes) {
    check(
        sqlite3_bind_blob64(statement_, at, bytes.data() != nullptr ? bytes.data() : "", bytes.size(), SQLITE_STATIC));
    return *this;
  }
  statement& bind(int at, wall_time t) { return bind(at, std::int64_t{t.time_since_epoch().count()}); }
  /// True: there is a row.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    sqlite3_reset(statement_);
    db_.fail(code);
  }
  /// Runs it to its end.
  void finish() {
    while (step()) {}
    reset();
  }

  std::int64_t number(int column) const noexcept { return sqlite3_column_int64(statement_, column); }
  bool null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  int small(int column) const noexcept {
    return static_cast<int>(std::clamp<std::int64_t>(number(column), 0, std::numeric_limits<int>::max()));
  }
  wall_time time(int column) const noexcept { return wall_time{duration{number(column)}}; }
  /// Until the next step or reset.
  std::string_view bytes(int column) const {
    const void* const data = sqlite3_column_blob(statement_, column);
    const int size = sqlite3_column_bytes(statement_, column);
    return data == nullptr ? std::string_view{}
                           : std::string_view{static_cast<const char*>(data), static_cast<std::size_t>(size)};
  }

 private:
  void check(int code) const {
    if (code != SQLITE_OK) db_.fail(code);
  }
  const database& db_;
  sqlite3_stmt* statement_ = nullptr;
};

/// Resets a statement at the end of a block, also where an exception ends it: one that is left in the middle keeps the log from being
/// written back.
class reset_after {
 public:
  explicit reset_after(statement& s) noexcept : statement_{s} {}
  reset_after(const reset_after&) = delete;
  reset_after& operator=(const reset_after&) = delete;
  ~reset_after() { statement_.reset(); }

 private:
  statement& statement_;
};

/// The number that a statement gives.
inline std::int64_t number_of(const database& db, const std::string& sql) {
  statement s{db, sql};
  return s.step() ? s.number(0) : 0;
}

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
