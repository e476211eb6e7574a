// SPDX-License-Identifier: MIT
#include <again/sqlite/store.hpp>

#include "sqlite/store_file.hpp"

#include <again/core/detail/threads.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/this_context.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/wait.h>

using namespace again;
using namespace again_test;
using journal::error_kind;

namespace {

/// Another program that has locked the file: the writer waits for it.
class other_program {
 public:
  explicit other_program(const std::string& path) {
    REQUIRE(sqlite3_open(path.c_str(), &db_) == SQLITE_OK);
    sqlite3_busy_timeout(db_, 60'000);  // the writer may be tidying up
    REQUIRE(sqlite3_exec(db_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  other_program(const other_program&) = delete;
  other_program& operator=(const other_program&) = delete;
  ~other_program() { end(); }
  void end() { sqlite3_close_v2(std::exchange(db_, nullptr)); }

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace

TEST_CASE("the store over SQLite keeps the promises of a store") {
  for (const auto& promise : store_contract<sqlite::store>()) {
    SUBCASE(promise.name) {
      store_file f;
      auto t = f.test();
      promise.run(t);
    }
  }
}

TEST_CASE("everything survives a restart, and leases of a process that has ended are free at once") {
  store_file f;
  auto t = f.test();
  auto some = numbered(1, 4);
  some[3].due = t.now() + 1h;
  some[3].deadline = t.now() + 3h;
  CHECK(t.append(some) == journal::acknowledged{4, 0});
  CHECK(t.append(numbered(5, 6, "k")) == journal::acknowledged{2, 0});
  CHECK(t.take(10) == ids{"1", "2", "3", "5"});
  journal::progress p;
  p.attempts = 7;
  p.deliveries = 2;
  p.first_attempt = t.now() - 1h;
  p.last_error = "503";
  p.only = {"b"};
  CHECK(t.later(t.claims[0], 2h, p));
  CHECK(t.done(t.claims[1]));
  CHECK(t.extend({t.claims[2]}, 1000h, p) == 0);
  const journal::claim old = t.claims[2];
  f.reopen();
  auto after = f.test();
  CHECK(f.store->unfinished() == 5);
  CHECK(f.store->done_events() == 1);
  CHECK(!after.done(old));
  CHECK(after.take(10) == ids{"3", "5"});
  CHECK(after.claims[0].token.number != old.token.number);
  CHECK(after.find("3")->result.progress == p);
  CHECK(after.find("1")->result.progress == p);
  CHECK(after.find("4")->deadline == some[3].deadline);
  CHECK(after.state("2") == event_state::done);
  CHECK(after.append(numbered(1, 6)) == journal::acknowledged{0, 6});
  CHECK(after.done(after.claims[1]));
  CHECK(after.take(10) == ids{"6"});
  after.time.advance(2h + 1min);
  CHECK(after.take(10).size() == 4);
}

TEST_CASE("a second store on the same file is refused by a sentence that names the process, whatever the path") {
  store_file f;
  const std::string expected = f.path + ": is open in another process (pid " + std::to_string(::getpid()) +
                               "); end that one, or name another file";
  std::filesystem::create_symlink(f.path, f.folder.path + "/link.db");
  for (const std::string& path : {f.path, f.folder.path + "/link.db", f.folder.path + "/../" + f.path.substr(5)}) {
    const auto second = sqlite::store::open(path);
    REQUIRE(!second);
    CHECK(second.error().kind == error_kind::locked);
    CHECK(second.error().text == expected);
  }
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto second = sqlite::store::open(f.path);
    ::_exit(!second && second.error().text == expected ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  f.close();
  CHECK(sqlite::store::open(f.path).has_value());
}

TEST_CASE("other programs may read the file while it is open") {
  store_file f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 3)) == journal::acknowledged{3, 0});
  CHECK(run_sql(f.path, "SELECT count(*) FROM events") == "3");
  CHECK(run_sql(f.path, "SELECT CAST(body AS TEXT) FROM payloads WHERE seq = 2") == "body 2");
  CHECK(run_sql(f.path, "PRAGMA integrity_check") == "ok");
}

TEST_CASE("all calls that wait share one transaction, and one that fails does not harm the others") {
  store_file f;
  std::optional<other_program> busy{f.path};
  const std::uint64_t before = f.store->commits();
  int stored = 0, invalid = 0;
  const auto many = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    const auto one = [&](int i) -> task<> {
      auto events = numbered(i, i);
      if (i % 10 == 5) events.emplace_back(event{});
      const auto got = co_await f.store->append(std::move(events));
      ++(got ? stored : invalid);
      if (!got) CHECK(got.error().kind == error_kind::invalid);
    };
    for (int i = 0; i < 100; ++i) s.spawn(one(i));
    busy.reset();
    co_await s.join();
  };
  sync_wait(f.loop, many());
  CHECK(stored == 90);
  CHECK(invalid == 10);
  CHECK(f.store->unfinished() == 90);
  CHECK(run_sql(f.path, "SELECT count(*) FROM events") == "90");
  CHECK(run_sql(f.path, "SELECT events FROM totals WHERE state = 0") == "90");
  CHECK(f.store->commits() - before <= 4);  // what the writer had begun with, the rest, and two that tidy up
}

TEST_CASE("a call that breaks half-way undoes itself, and none of those that share its transaction") {
  store_file f;
  run_sql(f.path,
          "CREATE TRIGGER poison BEFORE INSERT ON events WHEN new.id = x'78' BEGIN SELECT RAISE(ABORT, 'x'); END");
  std::optional<other_program> busy{f.path};
  std::string broken;
  int stored = 0;
  const auto many = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    const auto one = [&](int i) -> task<> {
      auto events = numbered(i, i);
      if (i == 10) events.emplace_back(event{"x"});
      const auto got = co_await f.store->append(std::move(events));
      if (got)
        stored += static_cast<int>(got->stored);
      else
        broken += std::to_string(i) + ": " + std::string{name(got.error().kind)};
    };
    for (int i = 0; i < 20; ++i) s.spawn(one(i));
    s.spawn(one(3));  // known by then, also where all of it is done twice
    busy.reset();
    co_await s.join();
  };
  sync_wait(f.loop, many());
  CHECK(stored == 19);
  CHECK(broken == "10: io");
  CHECK(f.store->unfinished() == 19);
  CHECK(run_sql(f.path, "SELECT count(*) FROM events") == "19");
  CHECK(run_sql(f.path, "SELECT count(*) FROM payloads") == "19");
  CHECK(run_sql(f.path, "SELECT events FROM totals WHERE state = 0") == "19");
}

TEST_CASE("a take and an extension write nothing") {
  store_file f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 100)) == journal::acknowledged{100, 0});
  const auto before = std::filesystem::file_size(f.path + "-wal");
  CHECK(t.take(60).size() == 60);
  CHECK(t.extend(t.claims) == 0);
  CHECK(t.take(60).size() == 40);
  CHECK(std::filesystem::file_size(f.path + "-wal") == before);
  CHECK(t.state("1") == event_state::leased);
}

TEST_CASE("a lease is as it was where the call that would end it is undone") {
  store_file f;
  auto t = f.test();
  CHECK(t.append(numbered(1, 4)) == journal::acknowledged{4, 0});
  CHECK(t.take(3) == ids{"1", "2", "3"});
  run_sql(f.path, "CREATE TRIGGER poison BEFORE UPDATE ON events WHEN new.state = 2 AND new.id = x'32' BEGIN "
                  "SELECT RAISE(ABORT, 'x'); END");
  std::optional<other_program> busy{f.path};
  std::string ended, taken;
  const auto many = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    const auto finish = [&](journal::claim c) -> task<> {
      const std::string id = c.id;
      const auto got = co_await f.store->done(std::move(c), journal::result{});
      ended += id + (got ? " " : "! ");
    };
    const auto take = [&]() -> task<> {
      const auto got = co_await f.store->take(9, journal::worker_lease{"w", 90s});
      REQUIRE(got);
      for (const journal::event_record& r : got->events) taken += r.event.id + " ";
    };
    for (const journal::claim& c : t.claims) s.spawn(finish(c));
    s.spawn(take());
    busy.reset();
    co_await s.join();
  };
  sync_wait(f.loop, many());
  CHECK(ended == "1 2! 3 ");
  CHECK(taken == "4 ");
  CHECK(t.state("2") == event_state::leased);
  CHECK(t.take(9).empty());
  CHECK(f.store->unfinished() == 2);
  run_sql(f.path, "DROP TRIGGER poison");
  CHECK(t.done(t.claims[1]));
  CHECK(f.store->unfinished() == 1);
}

TEST_CASE("stopping a call that waits ends it at once; one that has begun gives its true result") {
  store_file f;
  std::optional<other_program> busy{f.path};
  std::optional<journal::stored_result<journal::acknowledged>> begun, waiting;
  const auto both = [&]() -> task<> {
    const context& here = co_await get_context();
    scope first{here}, second{here};
    const auto one = [&](auto& to, int i) -> task<> { to = co_await f.store->append(numbered(i, i)); };
    first.spawn(one(begun, 1));
    while (f.store->waiting() > 0) again::detail::yield_thread();
    second.spawn(one(waiting, 2));
    CHECK(f.store->waiting() == 1);
    first.request_stop();
    second.request_stop();
    CHECK(f.store->waiting() == 0);
    co_await second.join();
    CHECK(!begun);
    busy.reset();
    co_await first.join();
  };
  sync_wait(f.loop, both());
  REQUIRE(waiting);
  CHECK(waiting->error().kind == error_kind::cancelled);
  REQUIRE(begun);
  CHECK(*begun == journal::acknowledged{1, 0});
  auto t = f.test();
  CHECK(t.find("1"));
  CHECK(!t.find("2"));
}

TEST_CASE("events that were taken by a call that was destroyed are given back, whether it waited, ran or had ended") {
  enum class when { waiting, running, ended };
  for (const when destroyed_while : {when::waiting, when::running, when::ended}) {
    store_file f;
    auto t = f.test();
    CHECK(t.append(numbered(1, 3)) == journal::acknowledged{3, 0});
    std::optional<other_program> busy{f.path};
    const auto destroyed = [&]() -> task<> {
      const context& here = co_await get_context();
      {
        scope s{here};
        const auto one = [&]() -> task<> {
          const auto got = co_await f.store->take(10, journal::worker_lease{"gone", 1h});
          CHECK(!got);
        };
        s.spawn(one());
        while (f.store->waiting() > 0) again::detail::yield_thread();
        if (destroyed_while == when::waiting) s.spawn(one());
        if (destroyed_while == when::ended) {
          const std::uint64_t before = f.store->calls();
          busy.reset();
          while (f.store->calls() == before) again::detail::yield_thread();
        }
      }
      CHECK(f.store->waiting() <= (destroyed_while == when::ended ? 1U : 0U));
      busy.reset();
    };
    sync_wait(f.loop, destroyed());
    CHECK(t.find("1"));  // behind that call, and in front of what gives the events back
    CHECK(t.find("1"));
    CHECK(t.take(10).size() == 3);
  }
}

TEST_CASE("a store may end while a call is still there, which then says so") {
  store_file f;
  auto late = f.store->append(numbered(1, 1));
  f.close();
  const auto got = sync_wait(f.loop, std::move(late));
  REQUIRE(!got);
  CHECK(got.error().kind == error_kind::cancelled);
  CHECK(got.error().text == "the store was closed");
}

TEST_CASE("loops of several threads share a store, and each event is finished once") {
  store_file f;
  struct worker {
    store_file* file;
    int number;
    std::atomic<int> finished{0};
    std::unique_ptr<again::detail::thread> runs{};
    void run() {
      run_loop loop;
      store_under_test<sqlite::store> t{*file->store, loop, file->time};
      for (int i = 0; i < 50; ++i) {
        const int first = number * 1000 + i * 2;
        if (!sync_wait(loop, file->store->append(numbered(first, first + 1, "key " + std::to_string(i % 3))))) return;
        auto got = sync_wait(loop, file->store->take(3, journal::worker_lease{std::to_string(number), 1h}));
        if (!got) return;
        for (const journal::event_record& r : got->events)
          finished += sync_wait(loop, file->store->done(r.claim(), journal::result{})) ? 1 : 0;
      }
    }
  };
  std::vector<std::unique_ptr<worker>> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(std::make_unique<worker>(&f, i + 1));
    all.back()->runs = std::make_unique<again::detail::thread>([](void* w) noexcept { static_cast<worker*>(w)->run(); },
                                                               all.back().get());
  }
  std::uint64_t finished = 0;
  for (auto& w : all) {
    w->runs->join();
    finished += static_cast<std::uint64_t>(w->finished.load());
  }
  CHECK(f.store->unfinished() + f.store->done_events() == 300);
  CHECK(f.store->done_events() == finished);
}

TEST_CASE("ten thousand events: appended in batches, taken, finished one by one in shared transactions") {
  store_file f;
  auto t = f.test();
  const std::uint64_t before = f.store->commits();
  const auto all = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    const auto add = [&](int first) -> task<> {
      const auto got = co_await f.store->append(numbered(first, first + 99));
      CHECK(got == journal::acknowledged{100, 0});
    };
    for (int i = 0; i < 100; ++i) s.spawn(add(i * 100));
    co_await s.join();
    const auto finish = [&](journal::claim c) -> task<> {
      const auto ended = co_await f.store->done(std::move(c), journal::result{});
      CHECK(ended);
    };
    for (;;) {
      const auto got = co_await f.store->take(500, journal::worker_lease{"w", 1h});
      REQUIRE(got);
      if (got->events.empty()) co_return;
      for (const journal::event_record& r : got->events) s.spawn(finish(r.claim()));
      co_await s.join();
    }
  };
  sync_wait(f.loop, all());
  CHECK(f.store->done_events() == 10'000);
  CHECK(f.store->commits() - before < 1'000);
  f.close();
  CHECK(run_sql(f.path, "PRAGMA integrity_check") == "ok");
}
