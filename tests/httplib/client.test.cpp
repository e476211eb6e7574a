// SPDX-License-Identifier: MIT
#include <again/http/client.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry.hpp>

#include "support/misbehaving_server.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;

namespace {

/// A transport that responds from a script and remembers what it was given.
class scripted {
 public:
  class send_type {
   public:
    using result_type = send_result;
    explicit send_type(send_result r) : result_{std::move(r)} {}
    send_type(const send_type&) = delete;
    send_type& operator=(const send_type&) = delete;
    bool start(continuation, const context&) noexcept { return true; }
    send_result take() { return std::move(result_); }
    static std::exception_ptr exception() noexcept { return nullptr; }

   private:
    send_result result_;
  };

  explicit scripted(std::deque<send_result> script) : script_{std::move(script)} {}
  send_type send(std::shared_ptr<const outgoing> what, int number) {
    sent.emplace_back(what->request.fields(number));
    numbers.push_back(number);
    if (script_.empty()) return send_type{response{599}};
    send_result r = std::move(script_.front());
    script_.pop_front();
    return send_type{std::move(r)};
  }

  std::vector<http::headers> sent;
  std::vector<int> numbers;

 private:
  std::deque<send_result> script_;
};
static_assert(transport<scripted>);
static_assert(fallible_operation<send_operation<scripted>>);

const origin example{scheme::http, "example.com", 80};
send_result broken(error_kind k, reach r) { return unexpected<send_failure>{send_failure{k, r, "as scripted"}}; }

constexpr policy four{
    .attempts = 4, .backoff = constant(1ms), .jitter = jitter::none, .attempt_timeout = 5s, .deadline = 20s};

template <class Op> auto retried(Op op) {
  virtual_clock pretend;
  run_loop loop{pretend};
  return sync_wait(loop, retry(four, std::move(op)));
}

}  // namespace

TEST_CASE("2xx and 3xx are values, every other status is an error that holds the whole response") {
  for (const int status : {200, 201, 204, 299, 301, 304, 399}) {
    scripted through{{response{status}}};
    client_over api{through, example};
    const auto r = sync_wait(api.get("/"));
    REQUIRE(r);
    CHECK(r->status == status);
  }
  for (const int status : {400, 404, 429, 500, 503}) {
    scripted through{{response{status, {{"X", "y"}}, "why"}}};
    client_over api{through, example};
    const auto r = sync_wait(api.get("/"));
    REQUIRE(!r);
    CHECK(r.error().kind() == error_kind::status);
    CHECK(r.error().status() == status);
    REQUIRE(r.error().response());
    CHECK(r.error().response()->body == "why");
    CHECK(r.error().response()->headers.get("X") == "y");
    CHECK(r.error().reach() == reach::answered);
  }
}

TEST_CASE("an accepted status is a response, for that request alone") {
  scripted through{{response{404}, response{404}}};
  client_over api{through, example};
  CHECK(sync_wait(api.send(request::get("/").accept(404))));
  CHECK(!sync_wait(api.get("/")));
}

TEST_CASE("a request that is not valid is not sent") {
  scripted through{{}};
  client_over api{through, example};
  for (const request& bad :
       {request::get("no-slash"), request::get("/a b"), request::get("/").header("X", "a\r\nEvil: 1"),
        request{method{"GE T"}, "/"}, request::get("/").header("Content-Length", "1")}) {
    auto op = api.send(bad);
    const auto r = retried(op);
    REQUIRE(!r);
    CHECK(r.error().reason() == stop_reason::permanent);
    CHECK(r.error().error()->kind() == error_kind::invalid_request);
    CHECK(r.error().error()->reach() == reach::not_sent);
    CHECK(r.error().attempts() == 1);
  }
}

TEST_CASE("default headers of one name go along all together, or not at all") {
  scripted through{{response{200}, response{200}}};
  client_over api{through, example, {.headers = {{"Accept", "text/plain"}, {"Accept", "text/html"}}}};
  REQUIRE(sync_wait(api.get("/")));
  REQUIRE(sync_wait(api.send(request::get("/").header("accept", "image/png"))));
  CHECK(through.sent[0].all("Accept") == std::vector<std::string_view>{"text/plain", "text/html"});
  CHECK(through.sent[1].all("Accept") == std::vector<std::string_view>{"image/png"});
}

TEST_CASE("a body that can be had once is not for two sends at a time") {
  scripted through{{}};
  client_over api{through, example};
  CHECK(api.put("/", "x").repeatable());
  CHECK(!api.put("/", body::one_shot("x")).repeatable());
}

TEST_CASE("default headers go along unless the request has its own") {
  scripted through{{response{200}, response{200}}};
  client_over api{through, example, {.headers = {{"Authorization", "Bearer x"}, {"Accept", "text/plain"}}}};
  REQUIRE(sync_wait(api.send(request::get("/").header("accept", "image/png"))));
  REQUIRE(sync_wait(api.get("/")));
  CHECK(through.sent[0].all("Accept") == std::vector<std::string_view>{"image/png"});
  CHECK(through.sent[0].get("Authorization") == "Bearer x");
  CHECK(through.sent[1].get("Accept") == "text/plain");
  CHECK(through.sent[1].get("User-Agent") == "again");
}

TEST_CASE(
    "the Idempotency-Key is made once per operation: the same for all attempts and copies, another for another send") {
  scripted through{{response{503}, response{503}, response{200}, response{200}, response{200}}};
  client_over api{through, example};
  auto order = api.send(request::post("/orders").body("{}").idempotency_key_auto());
  const auto copy = order;
  REQUIRE(retried(order));
  REQUIRE(retried(copy));
  REQUIRE(retried(api.send(request::post("/orders").body("{}").idempotency_key_auto())));
  REQUIRE(through.sent.size() == 5);
  const auto key = through.sent[0].get("Idempotency-Key");
  CHECK(key.size() == 38);
  for (int i = 1; i < 4; ++i) CHECK(through.sent[static_cast<std::size_t>(i)].get("Idempotency-Key") == key);
  CHECK(through.sent[4].get("Idempotency-Key") != key);
  CHECK(order.request().idempotency_key() == key.substr(1, 36));
}

TEST_CASE("attempts are numbered from 1, on the wire if wished") {
  scripted through{{response{503}, response{503}, response{200}}};
  client_over api{through, example};
  REQUIRE(retried(api.send(request::get("/").attempt_header("X-Attempt"))));
  CHECK(through.numbers == std::vector<int>{1, 2, 3});
  CHECK(through.sent[2].get("X-Attempt") == "3");
}

TEST_CASE("what may be repeated follows reach, method and key") {
  const auto attempts = [](request r, error_kind k, reach far) {
    scripted through{{broken(k, far), response{200}}};
    client_over api{through, example};
    const auto result = retried(api.send(std::move(r)));
    return result ? "again" : std::string{name(result.error().reason())};
  };
  CHECK(attempts(request::get("/"), error_kind::reset, reach::maybe_sent) == "again");
  CHECK(attempts(request::post("/"), error_kind::reset, reach::maybe_sent) == "not_replayable");
  CHECK(attempts(request::post("/").idempotency_key("k"), error_kind::reset, reach::maybe_sent) == "again");
  CHECK(attempts(request::post("/"), error_kind::refused, reach::not_sent) == "again");
  CHECK(attempts(request::get("/"), error_kind::tls_verify, reach::not_sent) == "permanent");
}

TEST_CASE("the rules of a client are those it was given") {
  scripted through{{response{500}}};
  client_over api{through, example, {.rules = rules::none}};
  const auto r = retried(api.get("/"));
  REQUIRE(!r);
  CHECK(r.error().reason() == stop_reason::permanent);
}

TEST_CASE("a response that was cut short is in the error") {
  scripted through{{unexpected<send_failure>{
      send_failure{error_kind::truncated, reach::answered, "cut", response{200, {}, "half"}}}}};
  client_over api{through, example};
  const auto r = sync_wait(api.get("/"));
  REQUIRE(!r);
  CHECK(r.error().kind() == error_kind::truncated);
  CHECK(r.error().response()->body == "half");
}

TEST_CASE("the methods send what they say") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  client api{server.url("")};
  REQUIRE(sync_wait(api.get("/1")));
  REQUIRE(sync_wait(api.head("/2")));
  REQUIRE(sync_wait(api.post("/3", "a")));
  REQUIRE(sync_wait(api.put("/4", "b")));
  REQUIRE(sync_wait(api.patch("/5", "c")));
  REQUIRE(sync_wait(api.delete_("/6")));
  REQUIRE(sync_wait(api.options("/7")));
  std::string seen;
  for (const seen_request& r : server.requests()) seen += r.method + " " + r.target + " " + r.body + ";";
  CHECK(seen == "GET /1 ;HEAD /2 ;POST /3 a;PUT /4 b;PATCH /5 c;DELETE /6 ;OPTIONS /7 ;");
}

TEST_CASE("a bad URL is refused with a reason: thrown, or returned") {
  CHECK_THROWS_WITH_AS(client{"127.0.0.1:8080"},
                       "again::http::client: a URL begins with http:// or https:// (position 0)",
                       std::invalid_argument);
  CHECK_THROWS_AS(client{"http://host/path"}, std::invalid_argument);
  try {
    client{"http://u:secret@h"};
    FAIL("a password in a URL was taken");
  } catch (const std::invalid_argument& e) {
    CHECK(std::string_view{e.what()}.find("secret") == std::string_view::npos);
  }
  const auto bad = client::open("ftp://x");
  REQUIRE(!bad);
  CHECK(bad.error().reason() == "only http:// and https:// are supported");
  misbehaving_server server{{respond(200)}};
  auto good = client::open(server.url(""));
  REQUIRE(good);
  client moved = std::move(*good);
  CHECK(sync_wait(moved.get("/")));
}

TEST_CASE("the server sees as many requests as attempts were made, and the last error reaches the caller") {
  misbehaving_server server{[](const seen_request& r, int nth) {
    if (r.target == "/dead") return respond(503);
    return nth < 3 ? (nth == 1 ? reset() : respond(503)) : respond(200).body("at last");
  }};
  client api{server.url("")};
  const auto dead = sync_wait(retry(four, api.get("/dead")));
  REQUIRE(!dead);
  CHECK(dead.error().reason() == stop_reason::attempts_exhausted);
  CHECK(dead.error().attempts() == 4);
  CHECK(dead.error().error()->status() == 503);
  CHECK(server.requests_seen("/dead") == 4);
  const auto alive = sync_wait(retry(four, api.get("/alive")));
  REQUIRE(alive);
  CHECK(alive->body == "at last");
  CHECK(server.requests_seen("/alive") == 3);
}

TEST_CASE("an attempt's timeout is a failed attempt, the deadline is the end") {
  misbehaving_server server{[](const seen_request&, int) { return hang(); }};
  client api{server.url("")};
  policy p = four;
  p.attempts = 2;
  p.attempt_timeout = 40ms;
  const auto timed = sync_wait(retry(p, api.get("/slow")));
  REQUIRE(!timed);
  CHECK(timed.error().reason() == stop_reason::attempts_exhausted);
  CHECK(timed.error().error()->kind() == error_kind::timeout);
  CHECK(timed.error().error()->reach() == reach::maybe_sent);
  CHECK(server.requests_seen("/slow") == 2);
  p.attempt_timeout = forever;
  p.deadline = 60ms;
  const auto late = sync_wait(retry(p, api.get("/late")));
  REQUIRE(!late);
  CHECK(late.error().reason() == stop_reason::deadline_reached);
  CHECK(server.requests_seen("/late") == 1);
  CHECK(server.wait_until_no_connection());
}

TEST_CASE("many at once from one thread, over few connections") {
  misbehaving_server server{[](const seen_request& r, int) { return respond(200).body(r.target); }};
  client api{server.url(""), {}, {.workers = 8}};
  auto one = [&](int i) -> task<bool> {
    const std::string target = "/" + std::to_string(i);
    auto r = co_await retry(four, api.get(target));
    co_return r && r->body == target;
  };
  std::vector<task<bool>> all;
  for (int i = 0; i < 200; ++i) all.push_back(one(i));
  const auto results = sync_wait(when_all(std::move(all)));
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
  const auto r = sync_wait(api.get("/"));
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
    const auto r = sync_wait(api.send(
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

TEST_CASE("credentials do not go to another origin") {
  misbehaving_server other{{respond(200)}};
  misbehaving_server server{{respond(307, {{"Location", other.url("/x")}})}};
  client api = following(server);
  REQUIRE(
      sync_wait(api.send(request::get("/").header("Authorization", "me").header("Cookie", "c").header("X-Mine", "1"))));
  const auto seen = other.request(0);
  CHECK(seen.header("Authorization") == nullptr);
  CHECK(seen.header("Cookie") == nullptr);
  CHECK(seen.header("X-Mine") != nullptr);
}

TEST_CASE("too many redirects, and one that leads nowhere, are errors that hold the response") {
  misbehaving_server server{[](const seen_request& r, int) {
    return respond(302, {{"Location", r.target == "/bad" ? "ftp://x/" : "/round"}});
  }};
  client api = following(server, 3);
  const auto round = sync_wait(retry(four, api.get("/")));
  REQUIRE(!round);
  CHECK(round.error().attempts() == 1);
  CHECK(round.error().error()->kind() == error_kind::redirects);
  CHECK(round.error().error()->response()->status == 302);
  CHECK(server.requests_seen() == 4);
  const auto nowhere = sync_wait(api.get("/bad"));
  REQUIRE(!nowhere);
  CHECK(nowhere.error().kind() == error_kind::redirects);
  CHECK(server.requests_seen() == 5);
}

TEST_CASE("a redirect from https to http is not followed") {
  scripted through{{response{302, {{"Location", "http://example.com/"}}}}};
  client_over api{through, origin{scheme::https, "example.com", 443}, {.max_redirects = 5}};
  const auto r = sync_wait(api.get("/"));
  REQUIRE(!r);
  CHECK(r.error().detail() == "the redirect leads from https to http");
  CHECK(through.sent.size() == 1);
}

TEST_CASE("after a redirect the request has been seen, however far the last hop got") {
  scripted through{{response{303, {{"Location", "/result"}}}, broken(error_kind::refused, reach::not_sent)}};
  client_over api{through, example, {.max_redirects = 5}};
  const auto r = retried(api.post("/order", "x"));
  REQUIRE(!r);
  CHECK(r.error().reason() == stop_reason::not_replayable);
  CHECK(through.sent.size() == 2);
}

TEST_CASE("redirects start anew with each attempt, with the original request") {
  scripted through{
      {response{302, {{"Location", "/b"}}}, response{503}, response{302, {{"Location", "/b"}}}, response{200}}};
  client_over api{through, example, {.max_redirects = 1}};
  const auto r = retried(api.get("/a"));
  REQUIRE(r);
  CHECK(through.numbers == std::vector<int>{1, 1, 2, 2});
}

TEST_CASE("the bound on a whole attempt is one for all of its redirects") {
  misbehaving_server server{[](const seen_request& r, int) {
    return delay(70ms, r.target == "/" ? respond(302, {{"Location", "/there"}}) : respond(200));
  }};
  client_options options;
  options.limits.total = 100ms;
  options.max_redirects = 1;
  client api{server.url(""), options};
  const auto r = sync_wait(api.get("/"));
  REQUIRE(!r);
  CHECK(r.error().kind() == error_kind::timeout);
}
