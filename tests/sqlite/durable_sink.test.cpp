// SPDX-License-Identifier: MIT
/// \file
/// The durable sink over SQLite: what the sink, the store and a crash make together.
#include <again/journal/durable_sink.hpp>

#include "sink/pretend_sink.hpp"
#include "sqlite/store_file.hpp"

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/this_context.hpp>

#include <doctest/doctest.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <sys/wait.h>

using namespace again;
using namespace again_test;

namespace {

using request = pretend_transport::request;

endpoint patient(std::string host) {
  endpoint e = at(std::move(host));
  e.policy = {.attempts = 1, .backoff = constant(10ms), .jitter = jitter::none, .attempt_timeout = 1s, .deadline = 20s};
  e.breaker.reset();
  return e;
}
durable_options quick() {
  durable_options o;
  o.schedule = {
      .attempts = 40, .backoff = constant(20ms), .jitter = jitter::none, .attempt_timeout = forever, .deadline = 24h};
  o.short_wait = 1ms;  // every wait goes through the store
  o.poll = 5ms;
  o.held = 40;
  return o;
}

/// Whether an event fails: the first three times, always, or never.
int status_of(int id, int sends) { return id % 10 == 3 && sends < 3 ? 503 : id % 10 == 7 ? 422 : 200; }

/// What the child says: 'a' of an event that was acknowledged, 's' of one that is sent, with its key.
struct report {
  char what;
  int id;
  std::array<char, 37> key;
};

constexpr int events_in_all = 200;

/// In the child: appends the events, which may be there already, and delivers all.
[[noreturn]] void deliver_all(const std::string& path, int to_parent) {
  run_loop loop;
  auto opened = sqlite::store::open(path);
  if (!opened) ::_exit(1);
  const auto tell = [to_parent](char what, int id, const std::string& key) {
    report r{what, id, {}};
    std::memcpy(r.key.data(), key.data(), std::min<std::size_t>(key.size(), 36));
    if (::write(to_parent, &r, sizeof r) != sizeof r) ::_exit(1);
  };
  std::map<int, int> sends;
  pretend_transport through{[&](const request& r) {
    const int id = std::stoi(r.body.substr(5));
    tell('s', id, r.key);
    return response(status_of(id, sends[id]++), 2ms);
  }};
  sink_over<pretend_transport> to{through, {patient("a")}};
  durable_sink kept{*opened, to, quick()};
  const auto all = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(kept.run());
    for (int first = 0; first < events_in_all; first += 10) {
      auto ten = numbered(first, first + 9, first % 20 == 0 ? "k" + std::to_string(first % 3) : "");
      const auto stored = co_await kept.append(std::move(ten));
      if (!stored) ::_exit(1);
      for (int i = first; i < first + 10; ++i) tell('a', i, "");
    }
    while (opened->unfinished() > 0) {
      const bool slept = co_await sleep_for(1ms);
      if (!slept) ::_exit(1);
    }
    co_await kept.close(1s);
    co_await s.join();
    co_await to.close(0s);
  };
  sync_wait(loop, all());
  ::_exit(0);
}

/// All reports; true: the child has finished.
bool run_child(const std::string& path, std::uint64_t kill_after, std::vector<report>& all) {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(pipe[0]);
    deliver_all(path, pipe[1]);
  }
  ::close(pipe[1]);
  report r{};
  for (std::uint64_t n = 0; ::read(pipe[0], &r, sizeof r) == sizeof r;) {
    all.push_back(r);
    if (++n == kill_after) ::kill(child, SIGKILL);
  }
  ::close(pipe[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE((WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0));
  return WIFEXITED(status);
}

}  // namespace

TEST_CASE("killed again and again: every event has its end, one key on all of its sends, and only what was leased is "
          "sent twice") {
  random_stream random{3};
  for (int round = 0; round < 3; ++round) {
    store_file f;
    f.close();
    std::vector<report> all;
    std::uint64_t kills = 0;
    while (!run_child(f.path, kills < 6 ? 1 + random.bits() % 150 : 0, all)) ++kills;
    CHECK(kills >= 2);
    f.open();
    CHECK(f.store->unfinished() == 0);
    CHECK(f.store->done_events() == events_in_all * 9 / 10);
    CHECK(f.store->dead_events() == events_in_all / 10);
    std::map<int, std::string> keys;
    std::map<int, int> sends;
    std::uint64_t more = 0;
    for (const report& r : all) {
      if (r.what != 's') continue;
      ++sends[r.id];
      const std::string key{r.key.data()};
      CHECK(keys.try_emplace(r.id, key).first->second == key);
    }
    auto t = f.test();
    for (int i = 0; i < events_in_all; ++i) {
      const auto found = t.find(std::to_string(i));
      REQUIRE(found);
      CHECK(found->state == (status_of(i, 9) == 200 ? event_state::done : event_state::dead));
      CHECK(found->event.key == keys[i]);
      CHECK(found->result.progress.attempts <= sends[i]);
      CHECK(found->result.progress.first_attempt <= found->result.progress.last_attempt);
      more += static_cast<std::uint64_t>(sends[i] - found->result.progress.attempts);
    }
    CHECK(more <= kills * quick().held);  // sends that no record counts: those that were leased when it was killed
  }
}

TEST_CASE("in pretend time a schedule of days takes moments, also over SQLite") {
  store_file f;
  pretend_transport through{[](const request&) { return response(503); }};
  sink_over<pretend_transport> to{through, {patient("a")}};
  durable_options o;
  o.schedule = {.attempts = 8,
                .backoff = fixed(5s, 5min, 30min, 2h, 5h, 10h, 14h),
                .jitter = jitter::none,
                .attempt_timeout = forever,
                .deadline = 72h};
  o.poll = 1h;
  durable_sink kept{*f.store, to, o};
  const auto all = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    s.spawn(kept.run());
    const auto stored = co_await kept.append(numbered(1, 20));
    CHECK(stored);
    while (f.store->unfinished() > 0) {
      const bool slept = co_await sleep_for(10min);
      if (!slept) break;
    }
    co_await kept.close(1s);
    co_await s.join();
    co_await to.close(0s);
  };
  sync_wait(f.loop, all());
  CHECK(f.store->dead_events() == 20);
  CHECK(through.seen.size() == 160);
  CHECK(f.time.now() - virtual_clock::start > 31h);
  CHECK(kept.put_off() == 20 * 6);
  CHECK(kept.dead() == 20);
}
