// SPDX-License-Identifier: MIT
// How many attempts and connections there are at most, and what is left of them when the transport ends.
#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

/// Holds requests back until it is opened.
class barrier {
 public:
  step wait() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return open_; });
    return respond(200);
  }
  void open() {
    const std::lock_guard lock{mutex_};
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

}  // namespace

TEST_CASE("past the bound of connections and queue an attempt is refused at once, and costs the others nothing") {
  barrier held;
  misbehaving_server server{[&](const seen_request&, int) { return held.wait(); }};
  transport_options options;
  options.max_connections = 1;
  options.queue = 1;
  transport_under_test transport{options};
  started_sends sends;
  sends.start(transport, to(server, request::get("/")));
  REQUIRE(server.wait_until([](const tally& t) { return t.requests == 1; }));
  // One of these waits for the connection. Which one comes first is for the threads of the transport to say.
  sends.start(transport, to(server, request::get("/")));
  sends.start(transport, to(server, request::post("/").body(body::one_shot("x"))));
  sends.wait_for(1);
  held.open();
  std::map<std::string, int> ends;
  for (const auto& r : sends.take_all()) ++ends[kind_of(r) + (r ? "" : ", " + reach_of(r))];
  CHECK(ends == std::map<std::string, int>{{"overloaded, not_sent", 1}, {"response 200", 2}});
  CHECK(server.requests_seen() == 2);
  CHECK(server.connections_seen() == 1);
}

TEST_CASE("an attempt that waits for a connection and is no longer awaited gives its place in the queue up") {
  barrier held;
  misbehaving_server server{[&](const seen_request&, int) { return held.wait(); }};
  transport_options options;
  options.max_connections = 1;
  options.queue = 1;
  transport_under_test transport{options};
  started_sends sends;
  sends.start(transport, to(server, request::get("/")));
  REQUIRE(server.wait_until([](const tally& t) { return t.requests == 1; }));
  {
    run_loop loop;
    const context ctx{.scheduler = &loop};
    auto waiting = transport.send(to(server, request::get("/left")), 1);
    CHECK(!waiting.start({}, ctx));
  }
  sends.start(transport, to(server, request::get("/")));
  held.open();
  CHECK(sends.results() == std::vector<std::string>(2, "response 200"));
  CHECK(server.requests_seen("/left") == 0);
}

TEST_CASE("connections per origin are bounded; an attempt that waits gets one when it is free, time and again") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  transport_options options;
  options.max_connections = 2;
  options.keep_idle = 1h;
  transport_under_test transport{options};
  for (int batch = 0; batch < 3; ++batch) {
    started_sends sends;
    for (int i = 0; i < 8; ++i) sends.start(transport, to(server, request::get("/")));
    CHECK(sends.results() == std::vector<std::string>(8, "response 200"));
  }
  CHECK(server.connections_seen() == 2);
  CHECK(server.requests_seen() == 24);
}

TEST_CASE("one origin that is full does not hold up another") {
  misbehaving_server full{[](const seen_request&, int) { return hang(); }};
  misbehaving_server other{[](const seen_request&, int) { return respond(200); }};
  transport_options options = with_threads_for(2);
  options.max_connections = 1;
  transport_under_test transport{options};
  stoppable_send first{transport, to(full, request::get("/"))};
  REQUIRE(full.wait_until([](const tally& t) { return t.requests == 1; }));
  stoppable_send waiting{transport, to(full, request::get("/"))};
  CHECK(kind_of(run(transport.send(to(other, request::get("/")), 1))) == "response 200");
  CHECK(kind_of(waiting.stop()) == "cancelled");
  CHECK(kind_of(first.stop()) == "cancelled");
  CHECK(full.requests_seen() == 1);
}

TEST_CASE("destroying the transport ends attempts that run or wait for a connection") {
  misbehaving_server server{[](const seen_request&, int) { return hang(); }};
  transport_options options = with_threads_for(8);
  options.max_connections = 2;
  auto transport = std::make_unique<transport_under_test>(options);
  started_sends sends;
  for (int i = 0; i < 6; ++i) sends.start(*transport, to(server, request::get("/")));
  REQUIRE(server.wait_until([](const tally& t) { return t.requests == 2; }));
  transport.reset();
  CHECK(sends.results() == std::vector<std::string>(6, "cancelled"));
  CHECK(server.wait_until_no_connection());
  CHECK(server.requests_seen() == 2);
}

TEST_CASE("an idle connection is closed after keep_idle") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  transport_options options;
  options.keep_idle = 1ms;
  transport_under_test transport{options};
  CHECK(run(transport.send(to(server, request::get("/")), 1)));
  if (closes_idle_connections_by_itself()) {
    CHECK(server.wait_until_no_connection());
  } else {
    std::this_thread::sleep_for(2ms);
    CHECK(run(transport.send(to(server, request::get("/")), 1)));
    CHECK(server.connections_seen() == 2);
    CHECK(server.wait_until([](const tally& t) { return t.open_connections == 1; }));
  }
}

TEST_CASE("a connection is closed once it is older than keep_at_most, however busy it was") {
  misbehaving_server server{[](const seen_request&, int) { return delay(20ms, respond(200)); }};
  transport_options options;
  options.keep_at_most = 1ms;
  transport_under_test transport{options};
  for (int i = 0; i < 3; ++i) CHECK(run(transport.send(to(server, request::get("/")), 1)));
  CHECK(server.connections_seen() == 3);
}
