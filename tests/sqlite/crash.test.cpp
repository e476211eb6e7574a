// SPDX-License-Identifier: MIT
/// \file
/// A store whose process is killed, whose files are cut short, whose disk is full: what was acknowledged is there afterwards.
#include "sqlite/store_file.hpp"

#include <again/coro/scope.hpp>
#include <again/coro/this_context.hpp>

#include <doctest/doctest.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

using namespace again;
using namespace again_test;
using journal::error_kind;

namespace {

/// What a child process says of an acknowledged call.
struct report {
  char what;  // 'a': appended, 'd': done, 'x': dead
  int id;
};

/// In the child: appends, takes and finishes for ever, a few coroutines at a time, and tells the parent of each result that it got.
[[noreturn]] void work_for_ever(const std::string& path, int to_parent, int coroutines) {
  run_loop loop;
  auto opened = sqlite::store::open(path);
  if (!opened) ::_exit(1);
  sqlite::store& store = *opened;
  int next = 0;
  const auto tell = [to_parent](char what, const std::string& id) {
    const report r{what, std::stoi(id)};
    if (::write(to_parent, &r, sizeof r) != sizeof r) ::_exit(1);
  };
  const auto one = [&](int number) -> task<> {
    for (;;) {
      const int first = next;
      next += 3;
      auto three = numbered(first, first + 2, number % 2 == 0 ? "k" : "");
      const auto stored = co_await store.append(std::move(three));
      if (!stored) ::_exit(1);
      for (int i = first; i < first + 3; ++i) tell('a', std::to_string(i));
      auto got = co_await store.take(4, journal::worker_lease{"child", 1h});
      if (!got) ::_exit(1);
      for (const journal::event_record& r : got->events) {
        const bool dead = std::stoi(r.event.id) % 5 == 0;
        bool ended = false;
        if (dead) {
          const auto result = co_await store.dead(r.claim(), journal::result{{}, 500, "permanent"});
          ended = result.has_value();
        } else {
          const auto result = co_await store.done(r.claim(), journal::result{{}, 200});
          ended = result.has_value();
        }
        if (!ended) ::_exit(1);
        tell(dead ? 'x' : 'd', r.event.id);
      }
    }
  };
  const auto all = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    for (int i = 0; i < coroutines; ++i) s.spawn(one(i));
    co_await s.join();
  };
  sync_wait(loop, all());
  ::_exit(1);
}

/// Lets a child work until it has reported so often, kills it, and gives all that it has reported.
std::vector<report> killed_after(const std::string& path, std::uint64_t reports, int coroutines) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(pipe[0]);
    work_for_ever(path, pipe[1], coroutines);
  }
  ::close(pipe[1]);
  std::vector<report> all;
  report r{};
  while (::read(pipe[0], &r, sizeof r) == sizeof r) {
    all.push_back(r);
    if (all.size() == reports) ::kill(child, SIGKILL);
  }
  ::close(pipe[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGKILL);
  return all;
}

void everything_reported_is_there(store_file& f, const std::vector<report>& reports) {
  auto t = f.test();
  for (const report& r : reports) {
    const auto found = t.find(std::to_string(r.id));
    REQUIRE(found);
    CHECK(found->event.body == "body " + std::to_string(r.id));
    if (r.what == 'd') CHECK(found->state == event_state::done);
    if (r.what == 'x') CHECK(found->state == event_state::dead);
    if (r.what == 'x') CHECK(found->result.status == 500);
  }
}

/// Whether the numbers that are kept are those of the rows.
void totals_are_right(const std::string& path) {
  CHECK(run_sql(path, "SELECT count(*) FROM totals WHERE (events, bytes) IS NOT (SELECT count(*), coalesce(sum(bytes), "
                      "0) FROM events "
                      "WHERE CASE WHEN events.state < 2 THEN 0 ELSE events.state END = totals.state)") == "0");
  CHECK(run_sql(path, "SELECT count(*) FROM events WHERE state < 2 AND order_key <> x'' AND blocked <> "
                      "EXISTS(SELECT 1 FROM events e WHERE e.order_key = events.order_key AND e.state < 2 AND e.seq < "
                      "events.seq)") == "0");
  CHECK(run_sql(path, "PRAGMA integrity_check") == "ok");
}

/// Takes and finishes all that is left; gives how many.
std::size_t finish_the_rest(store_file& f) {
  run_loop loop;  // on real time, as the child's
  store_under_test<sqlite::store> t{*f.store, loop, f.time};
  std::size_t n = 0;
  for (;;) {
    t.claims.clear();
    if (t.take(100).empty()) return n;
    for (const journal::claim& c : t.claims) n += t.done(c) ? 1U : 0U;
  }
}

}  // namespace

TEST_CASE("a process that is killed at any moment has lost nothing that it acknowledged") {
  random_stream random{7};
  for (int round = 0; round < 5; ++round) {
    store_file f;
    f.close();
    std::vector<report> reports;
    for (int life = 0; life < 3; ++life) {
      for (const report& r : killed_after(f.path, 1 + random.bits() % 300, 1 + round % 4)) reports.push_back(r);
    }
    f.open();
    everything_reported_is_there(f, reports);
    totals_are_right(f.path);
    finish_the_rest(f);
    CHECK(f.store->unfinished() == 0);
    f.close();
    totals_are_right(f.path);
  }
}

TEST_CASE("a log that is cut short or overwritten at any byte loses the newest transactions alone") {
  store_file f;
  f.close();
  const std::vector<report> reports =
      killed_after(f.path, 300, 1);  // one after the other: in the order of the transactions
  const std::string whole = f.folder.path + "/whole", log = "/events.db-wal";
  std::filesystem::create_directory(whole);
  for (const char* name : {"/events.db", "/events.db-wal"}) std::filesystem::copy(f.folder.path + name, whole + name);
  const auto size = std::filesystem::file_size(whole + log);
  REQUIRE(size > 100'000);
  random_stream random{8};
  std::size_t most = 0;
  for (int cut = 0; cut < 24; ++cut) {
    for (const char* name : {"/events.db", "/events.db-wal", "/events.db-shm"})
      std::filesystem::remove(f.folder.path + name);
    for (const char* name : {"/events.db", "/events.db-wal"}) std::filesystem::copy(whole + name, f.folder.path + name);
    const std::uint64_t at = cut == 0 ? size : cut == 1 ? 0 : random.bits() % size;
    if (cut % 2 == 0) {
      std::filesystem::resize_file(f.folder.path + log, at);
    } else {
      const int fd = ::open((f.folder.path + log).c_str(), O_WRONLY);
      const std::string torn(512, static_cast<char>(cut));
      CHECK(::pwrite(fd, torn.data(), torn.size(), static_cast<off_t>(at)) == 512);
      ::close(fd);
    }
    f.open();
    auto t = f.test();
    std::size_t there = 0;
    bool gap = false;
    for (const report& r : reports) {
      const auto found = t.find(std::to_string(r.id));
      const bool kept = found && (r.what == 'a' || finished(found->state));
      if (kept && r.what == 'a') CHECK(!gap);
      gap = gap || !kept;
      there += kept ? 1U : 0U;
    }
    most = there > most ? there : most;
    if (cut == 0) CHECK(there == reports.size());
    CHECK(f.store->errors(error_kind::corrupt) == 0);
    f.close();
    totals_are_right(f.path);
  }
  CHECK(most == reports.size());
}

TEST_CASE("all files of a journal are for their owner alone") {
  const mode_t before = ::umask(0);
  store_file f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
  for (const char* suffix : {"", "-wal", "-shm", ".lock"}) CHECK(mode_of(f.path + suffix) == 0600);
  ::umask(before);
}

TEST_CASE("a place where no journal can be is refused by a sentence that says what to do") {
  const temporary_folder folder;
  const auto refusal = [](const std::string& path) {
    const auto opened = sqlite::store::open(path);
    REQUIRE(!opened);
    return opened.error();
  };
  SUBCASE("no folder") {
    const auto e = refusal(folder.path + "/none/events.db");
    CHECK(e.kind == error_kind::unreachable);
    CHECK(e.text ==
          folder.path + "/none/events.db: No such file or directory; make the folder " + folder.path + "/none/ first");
  }
  SUBCASE("a folder") {
    CHECK(refusal(folder.path).text == folder.path + ": is a folder; name a file in it");
    CHECK(!std::filesystem::exists(folder.path + ".lock"));
  }
  SUBCASE("no name") {
    const bool before = std::filesystem::exists(".lock");
    CHECK(refusal("").text == "'' names no file; name one");
    CHECK(std::filesystem::exists(".lock") == before);
    CHECK(refusal(folder.path + "/none/").text == "'" + folder.path + "/none/' names no file; name one");
    CHECK(refusal(folder.path + "/none/").kind == error_kind::unreachable);
  }
  const std::string path = folder.path + "/events.db";
  SUBCASE("not a database") {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
    CHECK(::write(fd, std::string(5000, 'x').data(), 5000) == 5000);
    ::close(fd);
    const auto e = refusal(path);
    CHECK(e.kind == error_kind::corrupt);
    CHECK(e.text.find("file is not a database") != std::string::npos);
  }
  SUBCASE("the database of another program") {
    CHECK(run_sql(path, "CREATE TABLE t(a)").empty());
    const auto e = refusal(path);
    CHECK(e.kind == error_kind::version);
    CHECK(e.text == path + ": is a database of another program; name another file");
    CHECK(run_sql(path, "SELECT count(*) FROM sqlite_schema") == "1");
  }
  SUBCASE("a newer version") {
    CHECK(sqlite::store::open(path).has_value());
    CHECK(run_sql(path, "PRAGMA user_version = 99").empty());
    const auto e = refusal(path);
    CHECK(e.kind == error_kind::version);
    CHECK(e.text == path + ": was written by a newer version of this program (its format is 99, this program knows 1); "
                           "use the newer one");
  }
}

TEST_CASE("a file that may not be written is refused") {
  store_file f;
  f.close();
  for (const bool folder_too : {false, true}) {
    std::filesystem::permissions(f.path, std::filesystem::perms{0444});
    std::filesystem::permissions(f.path + ".lock", std::filesystem::perms{folder_too ? 0444U : 0666U});
    std::filesystem::permissions(f.folder.path, std::filesystem::perms{folder_too ? 0555U : 0777U});
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(2);  // root may write everything
      const auto opened = sqlite::store::open(f.path);
      ::_exit(!opened && opened.error().kind == error_kind::read_only && opened.error().text.find(f.path) == 0 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
}

TEST_CASE("a file that was removed or replaced acknowledges nothing") {
  for (const std::string what : {"", "-wal"}) {
    for (const bool replaced : {false, true}) {
      store_file f;
      auto t = f.test();
      CHECK(t.append(numbered(1, 1)) == journal::acknowledged{1, 0});
      std::filesystem::rename(f.path + what, f.path + what + ".away");
      if (replaced) std::filesystem::copy(f.path + what + ".away", f.path + what);
      for (int i = 0; i < 2; ++i) {
        const auto got = t.append(numbered(2, 2));
        REQUIRE(!got);
        CHECK(got.error().kind == error_kind::unreachable);
        CHECK(got.error().text ==
              f.path +
                  ": was removed or replaced while it was open; put it back, or start this program again with another");
      }
      CHECK(f.store->errors(error_kind::unreachable) >= 2);
      std::filesystem::rename(f.path + what + ".away", f.path + what);
      CHECK(t.append(numbered(2, 2)) == journal::acknowledged{1, 0});
    }
  }
}

TEST_CASE("where writing fails, calls fail and nothing is acknowledged that is not there; afterwards it goes on") {
  store_file f;
  f.close();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    f.open();
    auto t = f.test();
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 400'000;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int stored = 0, refused = 0;
    std::set<int> missing;
    for (int i = 0; i < 200; ++i) {
      const auto got = t.append(numbered(i, i));
      ++(got ? stored : refused);
      if (!got) missing.insert(i);
      if (!got && got.error().kind != error_kind::io && got.error().kind != error_kind::full) ::_exit(2);
    }
    limit.rlim_cur = RLIM_INFINITY;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    if (stored == 0 || refused == 0) ::_exit(3);
    for (const int i : missing)
      if (!t.append(numbered(i, i))) ::_exit(4);
    f.reopen();
    auto after = f.test();
    for (int i = 0; i < 200; ++i)
      if (!after.find(std::to_string(i))) ::_exit(5);
    ::_exit(f.store->unfinished() == 200 ? 0 : 6);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE(
    "a full disk: calls fail with a sentence, what was stored is there, and where there is room again it goes on") {
  const temporary_folder disk;
  if (::mount("none", disk.path.c_str(), "tmpfs", 0, "size=1m") != 0) {
    MESSAGE("left out: no permission to mount a small disk");
    return;
  }
  {
    const std::string path = disk.path + "/events.db", ballast = disk.path + "/ballast";
    virtual_clock time;
    run_loop loop{time, 1};
    std::optional<sqlite::store> store{*sqlite::store::open(path)};
    int stored = 0;
    {
      store_under_test<sqlite::store> t{*store, loop, time};
      for (;;) {
        const auto got = t.append(numbered(stored, stored + 4));
        if (!got) {
          CHECK(got.error().kind == error_kind::full);
          CHECK(got.error().text.find("make room on the disk") != std::string::npos);
          break;
        }
        stored += 5;
        REQUIRE(stored < 20'000);
      }
      CHECK(!t.append(numbered(stored, stored + 4)));
      CHECK(store->errors(error_kind::full) >= 2);
      CHECK(store->unfinished() == static_cast<std::uint64_t>(stored));
    }
    CHECK(::mount("none", disk.path.c_str(), "tmpfs", MS_REMOUNT, "size=8m") == 0);
    store_under_test<sqlite::store> t{*store, loop, time};
    CHECK(t.append(numbered(stored, stored + 4)) == journal::acknowledged{5, 0});
    store.reset();
    auto opened = sqlite::store::open(path);
    REQUIRE(opened);
    CHECK(opened->unfinished() == static_cast<std::uint64_t>(stored) + 5);
    store_under_test<sqlite::store> again{*opened, loop, time};
    for (int i = 0; i < stored + 5; i += 50) CHECK(again.find(std::to_string(i)));
  }
  CHECK(::umount(disk.path.c_str()) == 0);
}
