// SPDX-License-Identifier: MIT
// A client that owns its transport, over sockets: against a server that misbehaves on purpose.
#include <again/coro/run_loop.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/retry.hpp>

#include "support/misbehaving_server.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;

namespace {

constexpr policy four{
    .attempts = 4, .backoff = constant(1ms), .jitter = jitter::none, .attempt_timeout = 5s, .deadline = 20s};

}  // namespace

TEST_CASE("the methods send what they say") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  client api{server.url("")};
  REQUIRE(run(api.get("/1")));
  REQUIRE(run(api.head("/2")));
  REQUIRE(run(api.post("/3", "a")));
  REQUIRE(run(api.put("/4", "b")));
  REQUIRE(run(api.patch("/5", "c")));
  REQUIRE(run(api.delete_("/6")));
  REQUIRE(run(api.options("/7")));
  std::string seen;
  for (const seen_request& r : server.requests()) seen += r.method + " " + r.target + " " + r.body + ";";
  CHECK(seen == "GET /1 ;HEAD /2 ;POST /3 a;PUT /4 b;PATCH /5 c;DELETE /6 ;OPTIONS /7 ;");
}

TEST_CASE("the server sees as many requests as attempts were made, and the last error reaches the caller") {
  misbehaving_server server{[](const seen_request& r, int nth) {
    if (r.target == "/dead") return respond(503);
    return nth < 3 ? (nth == 1 ? reset() : respond(503)) : respond(200).body("at last");
  }};
  client api{server.url("")};
  const auto dead = run(retry(four, api.get("/dead")));
  REQUIRE(!dead);
  CHECK(dead.error().reason() == stop_reason::attempts_exhausted);
  CHECK(dead.error().attempts() == 4);
  CHECK(dead.error().error()->status() == 503);
  CHECK(server.requests_seen("/dead") == 4);
  const auto alive = run(retry(four, api.get("/alive")));
  REQUIRE(alive);
  CHECK(alive->body == "at last");
  CHECK(server.requests_seen("/alive") == 3);
}

TEST_CASE("an attempt's timeout is a failed attempt, the deadline is the end") {
  misbehaving_server server{[](const seen_request&, int) { return hang(); }};
  client api{server.url("")};
  policy p = four;
  p.attempts = 2;
  p.attempt_timeout = 300ms;  // long enough for a request to arrive on a machine that is busy
  const auto timed = run(retry(p, api.get("/slow")));
  REQUIRE(!timed);
  CHECK(timed.error().reason() == stop_reason::attempts_exhausted);
  CHECK(timed.error().error()->kind() == error_kind::timeout);
  CHECK(timed.error().error()->reach() == reach::maybe_sent);
  CHECK(server.requests_seen("/slow") == 2);
  p.attempt_timeout = forever;
  p.deadline = 300ms;
  const auto late = run(retry(p, api.get("/late")));
  REQUIRE(!late);
  CHECK(late.error().reason() == stop_reason::deadline_reached);
  CHECK(server.requests_seen("/late") == 1);
  CHECK(server.wait_until_no_connection());
}

TEST_CASE("many at once from one thread, over few connections") {
  misbehaving_server server{[](const seen_request& r, int) { return respond(200).body(r.target); }};
  client api{server.url(""), {}, {.max_connections = 8}};
  auto one = [&](int i) -> task<bool> {
    const std::string target = "/" + std::to_string(i);
    auto r = co_await retry(four, api.get(target));
    co_return r && r->body == target;
  };
  std::vector<task<bool>> all;
  for (int i = 0; i < 200; ++i) all.push_back(one(i));
  const auto results = run(when_all(std::move(all)));
  int good = 0;
  for (const auto& r : results) good += r ? 1 : 0;
  CHECK(good == 200);
  CHECK(server.requests_seen() == 200);
  CHECK(server.connections_seen() <= 8);
}

TEST_CASE("destroying a client while a coroutine awaits: the coroutine gets its result") {
  misbehaving_server server{{hang()}};
  auto api = std::make_unique<client>(server.url(""));
  auto op = api->get("/");
  run_loop loop;
  auto send = op();
  const context ctx{.scheduler = &loop};
  struct flag {
    run_loop* loop;
    static void finish(void* self) noexcept { static_cast<flag*>(self)->loop->finish(); }
  } over{&loop};
  REQUIRE(!send.start({&flag::finish, &over}, ctx));
  REQUIRE(server.wait_until([](const tally& t) { return t.requests == 1; }));
  api.reset();
  loop.run();
  const auto r = send.take();
  REQUIRE(!r);
  CHECK(r.error().kind() == error_kind::cancelled);
}

namespace {

struct hop {
  std::string method, target, body, authorization;
};
std::vector<hop> hops(const misbehaving_server& server) {
  std::vector<hop> out;
  for (const seen_request& r : server.requests()) {
    const std::string* a = r.header("Authorization");
    out.push_back({r.method, r.target, r.body, a ? *a : ""});
  }
  return out;
}
client following(const misbehaving_server& server, int n = 5) {
  client_options o;
  o.max_redirects = n;
  return client{server.url(""), o};
}

}  // namespace

TEST_CASE("a redirect is a response unless redirects are wished") {
  misbehaving_server server{[](const seen_request&, int) { return respond(302, {{"Location", "/there"}}); }};
  client api{server.url("")};
  const auto r = run(api.get("/"));
  REQUIRE(r);
  CHECK(r->status == 302);
  CHECK(server.requests_seen() == 1);
}

TEST_CASE("redirects are followed as RFC 9110 15.4 has it: 303 by GET, 301 and 302 of a POST too, 307 and 308 with the "
          "body") {
  for (const auto& [status, method] : std::vector<std::pair<int, std::string>>{
           {301, "GET"}, {302, "GET"}, {303, "GET"}, {307, "POST"}, {308, "POST"}}) {
    CAPTURE(status);
    const int s = status;
    misbehaving_server server{[s](const seen_request& r, int) {
      return r.target == "/a/from" ? respond(s, {{"Location", "to?x"}}) : respond(200).body("here");
    }};
    client api = following(server);
    const auto r = run(api.send(
        request::post("/a/from").header("Content-Type", "text/plain").body("b").header("Authorization", "me")));
    REQUIRE(r);
    CHECK(r->body == "here");
    CHECK(r->redirects == 1);
    CHECK(r->url.target == "/a/to?x");
    const auto seen = hops(server);
    REQUIRE(seen.size() == 2);
    CHECK(seen[1].method == method);
    CHECK(seen[1].target == "/a/to?x");
    CHECK(seen[1].body == (method == "POST" ? "b" : ""));
    CHECK((server.request(1).header("Content-Type") != nullptr) == (method == "POST"));
    CHECK(seen[1].authorization == "me");
  }
}

TEST_CASE("header fields that may hold credentials do not go to another origin") {
  misbehaving_server other{{respond(200)}};
  misbehaving_server server{{respond(307, {{"Location", other.url("/x")}})}};
  client api = following(server);
  REQUIRE(run(api.send(request::get("/").header("Authorization", "me").header("Cookie", "c").header("X-Mine", "1"))));
  const auto seen = other.request(0);
  CHECK(seen.header("Authorization") == nullptr);
  CHECK(seen.header("Cookie") == nullptr);
  CHECK(seen.header("X-Mine") == nullptr);  // it may hold one too
}

TEST_CASE("too many redirects, and one that leads nowhere, are errors that hold the response") {
  misbehaving_server server{[](const seen_request& r, int) {
    return respond(302, {{"Location", r.target == "/bad" ? "ftp://x/" : "/round"}});
  }};
  client api = following(server, 3);
  const auto round = run(retry(four, api.get("/")));
  REQUIRE(!round);
  CHECK(round.error().attempts() == 1);
  CHECK(round.error().error()->kind() == error_kind::redirects);
  CHECK(round.error().error()->response()->status == 302);
  CHECK(server.requests_seen() == 4);
  const auto unusable = run(api.get("/bad"));
  REQUIRE(!unusable);
  CHECK(unusable.error().kind() == error_kind::redirects);
  CHECK(server.requests_seen() == 5);
}

TEST_CASE("the bound on a whole attempt is one for all of its redirects") {
  misbehaving_server server{[](const seen_request& r, int) {
    return delay(70ms, r.target == "/" ? respond(302, {{"Location", "/there"}}) : respond(200));
  }};
  client_options options;
  options.limits.total = 100ms;
  options.max_redirects = 1;
  client api{server.url(""), options};
  const auto r = run(api.get("/"));
  REQUIRE(!r);
  CHECK(r.error().kind() == error_kind::timeout);
}
