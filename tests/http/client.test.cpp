// SPDX-License-Identifier: MIT
// The client over a pretend transport: what it sends, and what it makes of what comes back.
#include <again/http/client.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/retry/retry.hpp>

#include "support/call.hpp"
#include "support/pretend_transport.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace again;
using namespace again::http;
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

namespace {

/// How a keyed POST ends, and after how many sends, where its attempts end as scripted.
std::pair<std::string, std::size_t> keyed_post(std::deque<send_result> script) {
  scripted through{std::move(script)};
  client_over api{through, example};
  const auto r = retried(api.send(request::post("/orders").body("x").idempotency_key("k")));
  return {r ? "ok" : std::string{name(r.error().reason())}, through.sent.size()};
}

}  // namespace

TEST_CASE("a 409 is worth another attempt while the server may still process an earlier one with the same key") {
  const response conflict{409}, created{201}, reused{422};
  using pair = std::pair<std::string, std::size_t>;
  for (const error_kind kind : {error_kind::timeout, error_kind::reset, error_kind::closed})
    CHECK(keyed_post({broken(kind, reach::maybe_sent), conflict, conflict, created}) == pair{"ok", 4});
  CHECK(keyed_post({broken(error_kind::truncated, reach::answered), conflict, created}) == pair{"ok", 3});
  for (const int gateway : {502, 504, 524}) {
    CAPTURE(gateway);
    CHECK(keyed_post({response{gateway}, conflict, created}) == pair{"ok", 3});
  }
  CHECK(keyed_post({conflict, created}) == pair{"permanent", 1});
  CHECK(keyed_post({broken(error_kind::refused, reach::not_sent), conflict, created}) == pair{"permanent", 2});
  for (const int done : {500, 503, 429}) {
    CAPTURE(done);
    CHECK(keyed_post({response{done}, conflict, created}) == pair{"permanent", 2});
  }
  CHECK(keyed_post({broken(error_kind::timeout, reach::maybe_sent), reused, created}) == pair{"permanent", 2});
}

TEST_CASE("an outstanding key is named in the record of the attempt and in the text of the error") {
  scripted through{{broken(error_kind::timeout, reach::maybe_sent), response{409}, response{409}, response{409}}};
  client_over api{through, example};
  const auto r = retried(api.send(request::post("/orders").body("x").idempotency_key("k")));
  REQUIRE(!r);
  CHECK(r.error().reason() == stop_reason::attempts_exhausted);
  CHECK(r.error().trace()[0].name == "timeout");
  CHECK(r.error().trace()[1].name == "outstanding");
  CHECK(r.error().trace()[1].code == 409);
  CHECK(r.error().error()->text() ==
        "409 Conflict: an earlier attempt with this Idempotency-Key is still processed (answered)");
}

TEST_CASE("an outstanding key belongs to its operation: another operation's 409 is a conflict") {
  scripted through{{broken(error_kind::timeout, reach::maybe_sent), response{201}, response{409}}};
  client_over api{through, example};
  CHECK(retried(api.send(request::post("/orders").body("x").idempotency_key("k"))));
  const auto other = retried(api.send(request::post("/orders").body("y").idempotency_key("l")));
  REQUIRE(!other);
  CHECK(other.error().reason() == stop_reason::permanent);
}

TEST_CASE("one send alone is stopped by its token, or bounded by its deadline, and can still be retried") {
  const auto slow = [](const auto&) { return again_test::response(200, 2s); };
  for (const bool by_token : {true, false}) {
    virtual_clock pretend;
    run_loop loop{pretend};
    again_test::pretend_transport through{slow};
    client_over api{through, example};
    inplace_stop_source stop;
    again_test::ring end{[&] { stop.request_stop(); }};
    if (by_token) loop.arm(end, pretend.now() + 500ms);
    auto bounded = api.get("/").stop(stop.get_token()).within(by_token ? duration_with_unit{1min} : 500ms);
    static_assert(fallible_operation<decltype(bounded)>);
    CHECK(bounded.repeatable());
    const auto r = sync_wait(loop, bounded);
    REQUIRE_FALSE(r);
    CHECK(r.error().kind() == (by_token ? error_kind::cancelled : error_kind::deadline));
    CHECK(pretend.now() - virtual_clock::start == 500ms);
    CHECK(through.running == 0);
    CHECK(loop.timers() == 0);
  }
  virtual_clock pretend;
  run_loop loop{pretend};
  again_test::pretend_transport through{slow};
  client_over api{through, example};
  CHECK(sync_wait(loop, api.get("/").within(1min)).has_value());
  CHECK_FALSE(sync_wait(loop, retry(four, api.get("/").within(1s))).has_value());
  CHECK_FALSE(api.send(request::post("/").body("x")).within(1s).repeatable());
}
