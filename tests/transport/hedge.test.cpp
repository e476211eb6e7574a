// SPDX-License-Identifier: MIT
// Hedged sends over sockets: which request is sent twice, and how the slower attempt ends.
#include <again/protection/hedge.hpp>

#include <again/coro/task.hpp>
#include <again/protection/pipe.hpp>

#include "support/misbehaving_server.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;
using again_test::client;

namespace {

constexpr again::hedging soon{.delay = 30ms};

// Connected sockets of clients to that port on this machine, as the kernel counts them now.
int client_sockets_to(int port) {
  char wanted[16];
  std::snprintf(wanted, sizeof wanted, "0100007F:%04X", static_cast<unsigned>(port));
  std::ifstream table{"/proc/self/net/tcp"};
  REQUIRE(table);
  std::string line;
  std::getline(table, line);
  int count = 0;
  while (std::getline(table, line)) {
    std::istringstream row{line};
    std::string number, local, remote, state;
    row >> number >> local >> remote >> state;
    count += remote == wanted && state == "01";  // ESTABLISHED
  }
  return count;
}

step slow_response() { return delay(300ms, respond(200)); }

}  // namespace

TEST_CASE("a silent server is asked once more; the slower attempt's connection is closed, not kept") {
  misbehaving_server server{{hang(), respond(200).body("second")}};
  client api{server.url()};
  const auto response = run(again::hedge(soon, api.get("/quote")));
  REQUIRE(response);
  CHECK(response->body == "second");
  CHECK(server.requests_seen() == 2);
  bool closed = false;  // the server notices within its own time
  for (int i = 0; i < 200 && !closed; ++i) {
    closed = server.counts().open_connections <= 1;
    if (!closed) std::this_thread::sleep_for(10ms);
  }
  CHECK(closed);
}

TEST_CASE("the slower attempt's socket is closed before the awaiting coroutine goes on") {
  std::atomic<int> open_while_both_run{0};
  std::atomic<int> port{0};
  misbehaving_server server{[&](const seen_request&, int nth) {
    if (nth == 1) return hang();
    open_while_both_run = client_sockets_to(port);
    return respond(200).body("second");
  }};
  port = server.port();
  client api{server.url()};
  auto op = again::hedge(soon, api.get("/quote"));
  auto caller = [&]() -> again::task<int> {
    const auto response = co_await op;
    const int still_open = client_sockets_to(port);  // the very first thing that it does
    CHECK(response.has_value());
    co_return still_open;
  };
  CHECK(run(caller()) == 1);  // the winner's, which is kept for the next request
  CHECK(open_while_both_run == 2);
  CHECK(server.wait_until([](const tally& t) { return t.open_connections <= 1; }));
}

TEST_CASE("a POST without a key is never hedged, however slow the response; with a key it is") {
  SUBCASE("without") {
    misbehaving_server server{{slow_response(), slow_response()}};
    client api{server.url()};
    auto order = api.post("/orders", again::http::body{"{}"});
    CHECK_FALSE(order.repeatable());
    CHECK(run(again::hedge(soon, order)));
    CHECK(server.requests_seen() == 1);
  }
  SUBCASE("with") {
    misbehaving_server server{{hang(), respond(200)}};
    client api{server.url()};
    auto order = api.send(request::post("/orders").body(again::http::body{"{}"}).idempotency_key_auto());
    CHECK(order.repeatable());
    CHECK(run(again::hedge(soon, order)));
    CHECK(server.requests_seen() == 2);
  }
  SUBCASE("without, through a pipe of combinators") {
    misbehaving_server server{{slow_response(), slow_response()}};
    client api{server.url()};
    again::breaker breaker;
    auto op =
        api.post("/orders", again::http::body{"{}"}) | again::timeout(5s) | again::guard(breaker) | again::hedge(soon);
    CHECK(run(op));
    CHECK(server.requests_seen() == 1);
  }
}
