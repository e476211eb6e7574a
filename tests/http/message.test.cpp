// SPDX-License-Identifier: MIT
#include <again/http/message.hpp>
#include <again/policy/verdict.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

using namespace again::http;

static_assert(!std::is_aggregate_v<request> && !std::is_aggregate_v<response>,
              "g++ 12 destroys aggregates in co_await twice");
static_assert(std::is_nothrow_move_constructible_v<request> && std::is_copy_constructible_v<request>);

namespace {

std::string refusal(const request& r) {
  const auto bad = validate(r);
  return bad ? bad->text() : "fine";
}

}  // namespace

TEST_CASE("a request is built in one expression or step by step, with the same result") {
  const request fluent = request::post("/orders?x=1")
                             .header("A", " 1 ")
                             .header("a", "2")
                             .body("moo")
                             .accept(404)
                             .accept({409, 410})
                             .idempotency_key("k")
                             .max_body(10)
                             .max_redirects(3)
                             .attempt_header("X-Attempt");
  request steps{method::post, "/orders?x=1"};
  steps.header("A", "1");
  steps.header("a", "2");
  steps.body("moo");
  steps.accept({404, 409, 410});
  steps.idempotency_key("k");
  for (const request* r : {&fluent, static_cast<const request*>(&steps)}) {
    CHECK(r->method() == method::post);
    CHECK(r->target() == "/orders?x=1");
    CHECK(r->headers() == headers{{"A", "1"}, {"a", "2"}});
    CHECK(r->body().open()->bytes() == "moo");
    CHECK(r->accept() == status_set{404, 409, 410});
    CHECK(r->idempotency_key() == "k");
    CHECK(refusal(*r) == "fine");
  }
  CHECK(fluent.max_body() == 10U);
  CHECK(fluent.max_redirects() == 3);
  CHECK_FALSE(steps.max_body());
}

TEST_CASE("request::get, post and the others set their method") {
  CHECK(request::get("/").method() == method::get);
  CHECK(request::head("/").method() == method::head);
  CHECK(request::put("/").method() == method::put);
  CHECK(request::patch("/").method() == method::patch);
  CHECK(request::delete_("/").method() == method::delete_);
  CHECK(request::options("/").method() == method::options);
  CHECK(request{method{"MKCOL"}}.target() == "/");
}

TEST_CASE("the facts of a request follow from its method, its key, idempotent() and its body") {
  CHECK(request::get("/").facts().repeatable());
  CHECK_FALSE(request::post("/").facts().repeatable());
  CHECK(request::post("/").idempotent().facts().repeatable());
  CHECK_FALSE(request::get("/").idempotent(false).facts().repeatable());
  CHECK(request::post("/").idempotency_key("k").facts().keyed);
  CHECK(request::post("/").idempotency_key_auto().facts().keyed);
  CHECK(request::post("/").header("idempotency-key", "\"k\"").facts().keyed);
  CHECK_FALSE(request::post("/").facts().keyed);
  const request once = request::post("/").body(body::one_shot("x"));
  CHECK(once.facts().replayable);
  CHECK(once.body().open());
  CHECK_FALSE(once.facts().replayable);
}

TEST_CASE("an automatic key is made once, and every attempt sends it") {
  request r = request::post("/").idempotency_key_auto();
  CHECK(r.idempotency_key().empty());
  r.settle_idempotency_key();
  const std::string key = r.idempotency_key();
  CHECK(key.size() == 36);
  r.settle_idempotency_key();
  CHECK(r.idempotency_key() == key);
  CHECK(r.fields(1).find("Idempotency-Key") == "\"" + key + "\"");
  CHECK(r.fields(2) == r.fields(1));
  again::random_stream a{1}, b{1};
  request x = request::post("/").idempotency_key_auto(), y = x;
  x.settle_idempotency_key(a);
  y.settle_idempotency_key(b);
  CHECK(x.idempotency_key() == y.idempotency_key());
  request given = request::post("/").idempotency_key("mine");
  given.settle_idempotency_key();
  CHECK(given.idempotency_key() == "mine");
  request without = request::post("/");
  without.settle_idempotency_key();
  CHECK_FALSE(without.keyed());
  CHECK_FALSE(without.fields().contains("Idempotency-Key"));
}

TEST_CASE("the attempt's number is sent in the header field that was asked for") {
  const request r = request::get("/").header("x-attempt", "old").attempt_header("X-Attempt");
  CHECK(r.fields(3).all("x-attempt") == std::vector<std::string_view>{"3"});
  CHECK_FALSE(request::get("/").fields(3).contains("X-Attempt"));
}

TEST_CASE("a request that cannot be sent is refused with a reason and a position") {
  CHECK(refusal(request{method{"GE T"}}) == "the method is not a token of 1 to 23 characters");
  CHECK(refusal(request{method{"GET\r\nX: 1"}}) == "the method is not a token of 1 to 23 characters");
  CHECK(refusal(request{method::connect}) == "CONNECT is for proxies; name a proxy instead");
  CHECK(refusal(request{method::trace}.body("x")) == "TRACE carries no body");
  CHECK(refusal(request{method::trace}) == "fine");
  CHECK(refusal(request::get("")) == "the target must begin with '/' (position 0)");
  CHECK(refusal(request::get("http://h/")) == "the target must begin with '/' (position 0)");
  CHECK(refusal(request::get("/a b")) == "the target contains a space (position 2)");
  CHECK(refusal(request::get("/a\r\nHost: evil")) == "the target contains CR (position 2)");
  CHECK(refusal(request::get("/").header("X A", "1")) == "a header's name contains a space (position 1)");
  CHECK(refusal(request::get("/").header("", "1")) == "a header has no name");
  CHECK(refusal(request::get("/").header("X-A", "1\r\nEvil: 2")) == "header 'X-A': its value contains CR (position 1)");
  CHECK(refusal(request::get("/").header("X-A", "1\r\n folded")) == "header 'X-A': its value contains CR (position 1)");
  CHECK(refusal(request::get("/").header("X-A", "1\n\tfolded")) == "header 'X-A': its value contains LF (position 1)");
  CHECK(refusal(request::get("/").header("Header-Name", "bad header value \x1b")) ==
        "header 'Header-Name': its value contains byte 0x1B (position 17)");
  CHECK(refusal(request::get("/").attempt_header("a b")) == "the attempt header's name is not a token");
}

TEST_CASE("fields that frame the message or belong to the connection are refused in any case") {
  for (const std::string name : {"Content-Length", "content-length", "Transfer-Encoding", "Host", "HOST", "Connection",
                                 "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Expect"}) {
    CAPTURE(name);
    CHECK(refusal(request::get("/").header(name, "1")) == "header '" + name + "' is set by the transport alone");
  }
  CHECK(refusal(request::get("/").header("Content-Type", "text/plain").header("Authorization", "Bearer x")) == "fine");
}

TEST_CASE("the attempt header cannot have the name of a field of the transport") {
  CHECK(refusal(request::get("/").attempt_header("Content-Length")) ==
        "header 'Content-Length' is set by the transport alone");
}

TEST_CASE("the attempt header cannot replace the Idempotency-Key") {
  CHECK(refusal(request::post("/").idempotency_key("k").attempt_header("idempotency-key")) ==
        "the attempt header would replace the Idempotency-Key, which is the same for all attempts");
}

TEST_CASE("an Idempotency-Key must be valid, and a request has at most one") {
  CHECK(refusal(request::post("/").idempotency_key("")) == "the Idempotency-Key is empty");
  CHECK(refusal(request::post("/").idempotency_key("a\nb")) == "the Idempotency-Key contains LF (position 1)");
  CHECK(refusal(request::post("/").idempotency_key("k").header("Idempotency-Key", "j")) ==
        "more than one Idempotency-Key");
  CHECK(refusal(request::post("/").header("Idempotency-Key", "i").header("idempotency-key", "j")) ==
        "more than one Idempotency-Key");
  CHECK(refusal(request::post("/").idempotency_key_auto()) == "fine");
}

TEST_CASE("a refusal does not repeat a header value") {
  CHECK(refusal(request::get("/").header("Authorization", "Bearer hunter2\n")).find("hunter2") == std::string::npos);
}

TEST_CASE("the code of a response is its status, and its header fields are found by name") {
  const response r{404, {{"Content-Type", "text/plain"}}, "no such thing"};
  CHECK(again::code_of(r) == 404);
  CHECK(r.header("content-type") == "text/plain");
  CHECK_FALSE(r.header("Location"));
  CHECK(r.redirects == 0);
}
