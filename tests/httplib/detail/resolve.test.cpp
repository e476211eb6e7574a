// SPDX-License-Identifier: MIT
#include <again/httplib/detail/resolve.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using again::http::detail::cancel_switch;
using again::http::detail::lookup_memory;
using again::http::detail::resolve;
using again::http::detail::resolved;
using again::http::detail::resolver;
using namespace std::chrono_literals;

namespace {

/// A name server in pretend time: each look-up takes as long as it is told, and is counted.
class name_server {
 public:
  using steady = std::chrono::steady_clock;

  again::duration takes{};
  bool fails = true;

  resolver names(lookup_memory memory = {}) {
    return {[this](const std::string& host) {
              const std::lock_guard lock{mutex_};
              ++asked_[host];
              now_ += takes;
              if (host == "no-memory") throw std::bad_alloc{};
              if (host == "throws") throw std::runtime_error{"the zone is gone"};
              return fails ? resolved{{}, "no such host"} : resolved{{"127.0.0.1"}, {}};
            },
            1, memory,
            [this] {
              const std::lock_guard lock{mutex_};
              return now_;
            }};
  }
  void pass(again::duration d) {
    const std::lock_guard lock{mutex_};
    now_ += d;
  }
  int asked(const std::string& host) {
    const std::lock_guard lock{mutex_};
    return asked_[host];
  }

 private:
  std::mutex mutex_;
  steady::time_point now_{1h};
  std::map<std::string, int> asked_;
};

/// A look-up that ends when it is told to.
class slow_look_up {
 public:
  resolved operator()(const std::string&) {
    std::unique_lock lock{mutex_};
    ++begun_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return let_go_; });
    return {{"127.0.0.1"}, {}};
  }
  void wait_until_begun() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return begun_ > 0; });
  }
  void let_go() {
    const std::lock_guard lock{mutex_};
    let_go_ = true;
    changed_.notify_all();
  }
  int begun() {
    const std::lock_guard lock{mutex_};
    return begun_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int begun_ = 0;
  bool let_go_ = false;
};

}  // namespace

TEST_CASE("a look-up that hangs does not starve the next one, where a thread may still be had") {
  // Whether the idle thread has woken up for the first before the second is asked for is chance: both ways must do.
  for (int i = 0; i < 20; ++i) {
    std::mutex mutex;
    std::condition_variable changed;
    bool let_go = false;
    {
      resolver names{[&](const std::string& host) {
                       std::unique_lock lock{mutex};
                       if (host == "hangs") changed.wait(lock, [&] { return let_go; });
                       return resolved{{"127.0.0.1"}, {}};
                     },
                     2};
      cancel_switch stop;
      const auto patience = 20s;
      REQUIRE(resolve(names, "first", patience, stop).addresses.size() ==
              1);  // now a thread is idle, or will be in a moment
      std::this_thread::sleep_for(1ms);
      CHECK(resolve(names, "hangs", {}, stop).addresses.empty());
      CHECK(resolve(names, "works", patience, stop).addresses.size() == 1);
      {
        const std::lock_guard lock{mutex};
        let_go = true;
      }
      changed.notify_all();
      CHECK(resolve(names, "hangs", patience, stop).addresses.size() == 1);  // nothing here outlives what it refers to
    }
  }
}

TEST_CASE("a number is its own address, raised switch or not") {
  resolver names{[](const std::string&) { return resolved{}; }, 1};
  cancel_switch stop;
  static_cast<void>(stop.raise(cancel_switch::by::awaiter));
  CHECK(resolve(names, "127.0.0.1", {}, stop).addresses.size() == 1);
  CHECK(resolve(names, "::1", {}, stop).addresses.size() == 1);
}

TEST_CASE("a failed look-up is remembered for as long as it took") {
  name_server server;
  server.takes = 1s;
  resolver names = server.names();
  cancel_switch stop;
  for (int i = 0; i < 100; ++i) {
    const resolved r = resolve(names, "gone", 20s, stop);
    CHECK(r.addresses.empty());
    CHECK(r.reason == "no such host");
  }
  CHECK(server.asked("gone") == 1);
  server.pass(999ms);
  static_cast<void>(resolve(names, "gone", 20s, stop));
  CHECK(server.asked("gone") == 1);
  server.pass(1ms);
  server.fails = false;
  CHECK(resolve(names, "gone", 20s, stop).addresses.size() == 1);
  CHECK(server.asked("gone") == 2);
}

TEST_CASE("a look-up that has failed at once is made again at once, as a retry expects") {
  name_server server;
  resolver names = server.names();
  cancel_switch stop;
  CHECK(resolve(names, "gone", 20s, stop).addresses.empty());
  CHECK(resolve(names, "gone", 20s, stop).addresses.empty());
  CHECK(server.asked("gone") == 2);
}

TEST_CASE(
    "a failed look-up is remembered for two seconds at most, or as long as it is told, and a good one not at all") {
  for (const auto& [memory, bound] : {std::pair<lookup_memory, again::duration>{{}, 2s}, {{.at_most = 5s}, 5s}}) {
    name_server server;
    server.takes = 30s;
    resolver names = server.names(memory);
    cancel_switch stop;
    static_cast<void>(resolve(names, "gone", 20s, stop));
    server.pass(bound - 1ns);
    static_cast<void>(resolve(names, "gone", 20s, stop));
    CHECK(server.asked("gone") == 1);
    server.pass(1ns);
    server.fails = false;
    static_cast<void>(resolve(names, "gone", 20s, stop));
    static_cast<void>(resolve(names, "gone", 20s, stop));
    CHECK(server.asked("gone") == 3);
  }
  name_server server;
  server.takes = 30s;
  resolver names = server.names({.at_most = 0s});
  cancel_switch stop;
  for (int i = 0; i < 3; ++i) static_cast<void>(resolve(names, "gone", 20s, stop));
  CHECK(server.asked("gone") == 3);
}

TEST_CASE("what is remembered is bounded: of more names the one whose time ends first is forgotten") {
  name_server server;
  resolver names = server.names({.at_most = 1h, .names = 2});
  cancel_switch stop;
  for (const auto& [host, takes] : {std::pair{"first", 100s}, {"second", 60s}, {"third", 10s}}) {
    server.takes =
        takes;  // the first one is remembered until 200 s, the second one until 220 s, the third one until 180 s
    static_cast<void>(resolve(names, host, 20s, stop));
  }
  server.takes = 0s;
  for (const auto& [host, asked] : {std::pair{"second", 1}, {"third", 1}, {"first", 2}}) {
    static_cast<void>(resolve(names, host, 20s, stop));
    CHECK(server.asked(host) == asked);
  }
}

TEST_CASE("a look-up that throws has failed; one for which we have no memory says nothing of the name") {
  name_server server;
  server.takes = 1s;
  resolver names = server.names();
  cancel_switch stop;
  for (int i = 0; i < 2; ++i) CHECK(resolve(names, "throws", 20s, stop).reason == "the zone is gone");
  CHECK(server.asked("throws") == 1);
  for (int i = 0; i < 2; ++i) {
    const resolved r = resolve(names, "no-memory", 20s, stop);
    CHECK(r.own_shortage);
    CHECK(r.reason == "no memory");
  }
  CHECK(server.asked("no-memory") == 2);
}

TEST_CASE("all who wait for a name share one look-up, and one that leaves takes nothing from the others") {
  slow_look_up slow;
  resolver names{[&](const std::string& host) { return slow(host); }, 4};
  cancel_switch leaving;
  std::vector<cancel_switch> staying(8);
  std::vector<resolved> results(staying.size());
  resolved left;
  std::vector<std::thread> waiters;
  waiters.emplace_back([&] { left = resolve(names, "name", 1h, leaving); });
  for (std::size_t i = 0; i < staying.size(); ++i)
    waiters.emplace_back([&, i] { results[i] = resolve(names, "name", 1h, staying[i]); });
  slow.wait_until_begun();
  static_cast<void>(leaving.raise(cancel_switch::by::awaiter));
  waiters.front().join();
  CHECK(left.reason == "stopped");
  for (int i = 0; i < 100; ++i) {
    cancel_switch hasty;
    CHECK(resolve(names, "name", 0s, hasty).addresses.empty());
  }
  CHECK(slow.begun() == 1);
  slow.let_go();
  for (std::size_t i = 1; i < waiters.size(); ++i) waiters[i].join();
  for (const resolved& r : results) CHECK(r.addresses.size() == 1);
}

TEST_CASE("a name server that was silent to one is not waited for by those with no more patience, until it responds") {
  slow_look_up slow;
  resolver names{[&](const std::string& host) { return slow(host); }, 1};
  cancel_switch stop;
  std::thread first{[&] { static_cast<void>(resolve(names, "name", 1h, stop)); }};
  slow.wait_until_begun();
  CHECK(resolve(names, "name", 1ms, stop).reason == "no response in time");
  CHECK(resolve(names, "name", 1ms, stop).reason == "no response in time");  // at once
  resolved patient;
  std::thread other{[&] { patient = resolve(names, "name", 1h, stop); }};
  slow.let_go();
  other.join();
  first.join();
  CHECK(patient.addresses.size() == 1);
  CHECK(resolve(names, "name", 20s, stop).addresses.size() == 1);
}
