// SPDX-License-Identifier: MIT
/// \file
/// A folder for a journal, removed at the end; a store in it, and how to look at the file with SQLite itself.
#pragma once

#include <again/sqlite/store.hpp>

#include "journal/store_contract.hpp"

#include <again/coro/run_loop.hpp>
#include <again/coro/virtual_clock.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

namespace again_test {

class temporary_folder {
 public:
  temporary_folder() : path{"/tmp/again-journal-XXXXXX"} { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

inline mode_t mode_of(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 ? about.st_mode & 0777U : 0;
}

/// Runs SQL on a file, with a connection of its own. Gives the first value of the first row.
inline std::string run_sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  sqlite3_busy_timeout(db, 5000);
  std::string first;
  const auto keep = [](void* to, int n, char** values, char**) {
    auto& out = *static_cast<std::string*>(to);
    if (n > 0 && values[0] != nullptr && out.empty()) out = values[0];
    return 0;
  };
  char* problem = nullptr;
  const int code = sqlite3_exec(db, sql.c_str(), keep, &first, &problem);
  if (code != SQLITE_OK) first = problem != nullptr ? problem : "error";
  sqlite3_free(problem);
  sqlite3_close(db);
  return first;
}

/// A store in a folder of its own.
struct store_file {
  explicit store_file(sqlite::options o = {}) : settings{o} { open(); }

  void open() {
    auto opened = sqlite::store::open(path, settings);
    REQUIRE_MESSAGE(opened, (opened ? std::string{} : opened.error().text));
    store.emplace(std::move(*opened));
  }
  void close() { store.reset(); }
  void reopen() {
    close();
    open();
  }
  store_under_test<sqlite::store> test() { return {*store, loop, time}; }

  temporary_folder folder;
  std::string path = folder.path + "/events.db";
  sqlite::options settings;
  virtual_clock time;
  run_loop loop{time, 1};
  std::optional<sqlite::store> store;
};

}  // namespace again_test
