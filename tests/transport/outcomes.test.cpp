// SPDX-License-Identifier: MIT
// What a real exchange means to a retry: unknown statuses, Retry-After, outstanding keys, redirects.
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/misbehaving_server.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;

namespace {

constexpr policy four{
    .attempts = 4, .backoff = constant(1ms), .jitter = jitter::none, .attempt_timeout = 5s, .deadline = 20s};

}  // namespace

TEST_CASE("a server's unknown 5xx, and a status from 600 on, is sent again") {
  misbehaving_server server{{respond(520), respond(599), respond(999), respond(200)}};
  client api{server.url("")};
  const auto r = run(retry(four, api.get("/")));
  REQUIRE(r);
  CHECK(r->status == 200);
  CHECK(server.requests_seen() == 4);
}

TEST_CASE("Retry-After on any status that is worth another attempt is heard") {
  for (const int status : {408, 425, 429, 500, 502, 503, 504, 529}) {
    CAPTURE(status);
    misbehaving_server server{{respond(status, {{"Retry-After", "30"}}), respond(200)}};
    client api{server.url("")};
    const auto r = run(retry(four, api.get("/")));  // 30 s do not fit into 20 s
    REQUIRE(!r);
    CHECK(r.error().reason() == stop_reason::deadline_too_near);
    CHECK(server.requests_seen() == 1);
  }
}

TEST_CASE("a Retry-After date of a stored response is compared with its Date plus its Age") {
  misbehaving_server server{
      {respond(503, {{"Date", "@now-100"}, {"Age", "100"}, {"Retry-After", "@now+0"}}), respond(200)}};
  client api{server.url("")};
  CHECK(run(retry(four, api.get("/"))));  // without the Age it would be 100 s, which do not fit
  CHECK(server.requests_seen() == 2);
}

TEST_CASE("a key that the server still processes is sent again after its 409, a conflict is not") {
  misbehaving_server server{[](const seen_request& r, int nth) {
    if (r.target == "/conflict") return respond(409);
    return nth == 1 ? hang() : nth == 2 ? respond(409) : respond(201);
  }};
  client api{server.url("")};
  policy p = four;
  p.attempt_timeout = 200ms;
  const auto created = run(retry(p, api.send(request::post("/orders").body("x").idempotency_key_auto())));
  REQUIRE(created);
  CHECK(created->status == 201);
  CHECK(server.requests_seen("/orders") == 3);
  const auto requests = server.requests();
  CHECK(*requests.at(0).header("Idempotency-Key") == *requests.at(2).header("Idempotency-Key"));

  const auto conflict = run(retry(p, api.send(request::post("/conflict").body("x").idempotency_key_auto())));
  REQUIRE(!conflict);
  CHECK(conflict.error().reason() == stop_reason::permanent);
  CHECK(server.requests_seen("/conflict") == 1);
}

TEST_CASE("a POST that a timeout cut off is not sent again, also by a retry around the timeout") {
  misbehaving_server server{[](const seen_request&, int) { return hang(); }};
  client api{server.url("")};
  const auto bounded = run(retry(four, timeout(300ms, api.post("/timeout", "order"))));
  REQUIRE(!bounded);
  CHECK(bounded.error().reason() == stop_reason::not_replayable);
  CHECK(server.requests_seen("/timeout") == 1);

  policy p = four;
  p.attempt_timeout = 300ms;
  const auto cut = run(retry(p, api.post("/attempt", "order")));
  REQUIRE(!cut);
  CHECK(cut.error().reason() == stop_reason::not_replayable);
  CHECK(server.requests_seen("/attempt") == 1);

  const auto keyed = api.send(request::post("/keyed").body("order").idempotency_key("k"));
  CHECK(!run(retry(four, timeout(300ms, keyed))));
  CHECK(server.requests_seen("/keyed") == 4);
}

TEST_CASE("only harmless header fields and the body follow a redirect to another origin") {
  misbehaving_server other{{respond(200)}};
  misbehaving_server server{{respond(308, {{"Location", other.url("/x")}})}};
  client api{server.url(""), {.max_redirects = 5}};
  REQUIRE(run(api.send(request::post("/")
                           .header("Authorization", "Bearer s")
                           .header("X-Jwt", "s")
                           .header("X-Passwd", "s")
                           .header("X-Hub-Signature", "s")
                           .header("Accept", "text/plain")
                           .header("Content-Type", "text/x")
                           .idempotency_key("k")
                           .body("order"))));
  const seen_request seen = other.request(0);
  CHECK(seen.method == "POST");
  CHECK(seen.body == "order");
  for (const char* secret : {"Authorization", "X-Jwt", "X-Passwd", "X-Hub-Signature"}) {
    CAPTURE(secret);
    CHECK(seen.header(secret) == nullptr);
  }
  for (const char* harmless : {"Accept", "Content-Type", "Idempotency-Key", "User-Agent"}) {
    CAPTURE(harmless);
    CHECK(seen.header(harmless) != nullptr);
  }
}

TEST_CASE("a Location with a space or raw UTF-8 is followed, encoded") {
  misbehaving_server server{[](const seen_request& r, int) {
    return r.target == "/start" ? respond(302, {{"Location", "/a b/\xC3\xA9?q=x y"}}) : respond(200);
  }};
  client api{server.url(""), {.max_redirects = 5}};
  const auto r = run(api.get("/start"));
  REQUIRE(r);
  CHECK(r->redirects == 1);
  CHECK(server.request(1).target == "/a%20b/%C3%A9?q=x%20y");
}
