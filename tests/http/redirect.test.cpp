// SPDX-License-Identifier: MIT
#include <again/http/redirect.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace again::http;

namespace {

const origin here{scheme::https, "example.com", 443};

response leads(int status, std::string location) { return response{status, {{"Location", std::move(location)}}}; }

std::string refusal(const request& from, const response& response, const origin& there = here) {
  const auto to = redirected(from, there, response);
  return to ? "" : to.error().reason();
}

}  // namespace

// RFC 9110 15.4: the rewriting of methods.
static_assert(redirected_method(method::post, 301) == method::get &&
              redirected_method(method::post, 302) == method::get);
static_assert(redirected_method(method::put, 301) == method::put &&
              redirected_method(method::delete_, 302) == method::delete_);
static_assert(redirected_method(method::post, 303) == method::get &&
              redirected_method(method::put, 303) == method::get);
static_assert(redirected_method(method::head, 303) == method::head &&
              redirected_method(method::head, 301) == method::head);
static_assert(redirected_method(method::post, 307) == method::post &&
              redirected_method(method::patch, 308) == method::patch);

TEST_CASE("a redirect is one of five statuses with a Location") {
  for (const int status : {301, 302, 303, 307, 308}) {
    CHECK(is_redirect(leads(status, "/")));
    CHECK_FALSE(is_redirect(response{status}));
  }
  for (const int status : {200, 201, 300, 304, 305, 306, 309, 399, 404}) CHECK_FALSE(is_redirect(leads(status, "/")));
  CHECK_FALSE(is_redirect(leads(302, "")));
}

TEST_CASE("a Location is resolved against where the response came from") {
  const auto to = redirected(request::get("/a/b?c"), here, leads(302, "../d?e#f"));
  REQUIRE(to);
  CHECK(to->origin == here);
  CHECK(to->request.target() == "/d?e");
  const auto other = redirected(request::get("/"), here, leads(302, "//example.org:444/x"));
  REQUIRE(other);
  CHECK(other->origin == origin{scheme::https, "example.org", 444});
  CHECK(other->request.target() == "/x");
}

TEST_CASE("a request that becomes a GET loses its body, the fields that describe it, its preconditions and its key") {
  const request from = request::post("/orders")
                           .header("Content-Type", "text/plain")
                           .header("content-encoding", "gzip")
                           .header("Content-Digest", "sha-256=:x:")
                           .header("Digest", "x")
                           .header("If-Match", "\"v1\"")
                           .header("Accept", "text/plain")
                           .header("Authorization", "Bearer x")
                           .idempotency_key("k")
                           .attempt_header("X-Attempt")
                           .accept(404)
                           .body("order");
  const auto get = redirected(from, here, leads(303, "/orders/1"));
  REQUIRE(get);
  CHECK(get->request.method() == method::get);
  CHECK(get->request.body().absent());
  CHECK(get->request.fields(3) == headers{{"Accept", "text/plain"}, {"Authorization", "Bearer x"}, {"X-Attempt", "3"}});
  CHECK(get->request.accept().contains(404));
  const auto post = redirected(from, here, leads(307, "/orders/1"));
  REQUIRE(post);
  CHECK(post->request.method() == method::post);
  CHECK(post->request.body().open()->bytes() == "order");
  CHECK(post->request.fields(3) == from.fields(3));
}

TEST_CASE("a key given as a header field is dropped with its operation too") {
  const request from = request::post("/").header("Idempotency-Key", "\"k\"").body("x");
  CHECK_FALSE(redirected(from, here, leads(302, "/b"))->request.keyed());
  CHECK(redirected(from, here, leads(308, "/b"))->request.keyed());
}

TEST_CASE("only fields that are known to hold no secret go to another scheme, host or port") {
  request from = request::get("/");
  for (const char* name : {"Authorization",
                           "cookie",
                           "Proxy-Authorization",
                           "X-Api-Key",
                           "X-Auth-Token",
                           "X-Amz-Security-Token",
                           "Client-Secret",
                           "X-Session-Id",
                           "X-Hub-Signature-256",
                           "If-None-Match",
                           "api_key",
                           "X-Access-Key",
                           "Ocp-Apim-Subscription-Key",
                           "X-Functions-Key",
                           "DD-APPLICATION-KEY",
                           "X-Jwt",
                           "X-Hub-Signature",
                           "X-Passwd",
                           "X-Pwd",
                           "X-User-Pass",
                           "X-PIN",
                           "X-Bearer",
                           "X-Sig",
                           "X-Hmac",
                           "X-Custom",
                           "Referer",
                           "Origin",
                           "From",
                           "baggage",
                           "tracestate",
                           "ce-authtoken",
                           "Forwarded",
                           "X-Forwarded-For",
                           "Content-Location"}) {
    from.header(name, "s");
  }
  from.header("Accept", "*/*").header("X-Author", "me");
  for (const char* elsewhere :
       {"https://example.org/", "https://example.com:8443/", "https://www.example.com/", "//1.2.3.4/"}) {
    CAPTURE(elsewhere);
    const auto to = redirected(from, here, leads(307, elsewhere));
    REQUIRE(to);
    CHECK(to->request.headers() == headers{{"Accept", "*/*"}});
  }
  for (const char* same : {"/x", "https://EXAMPLE.com:443/x", "//example.com/x"}) {
    CAPTURE(same);
    CHECK(redirected(from, here, leads(307, same))->request.headers() == from.headers());
  }
}

TEST_CASE("a request to another origin keeps its body, what describes it, and its key") {
  const request from = request::post("/orders")
                           .header("content-type", "application/json")
                           .header("Content-Encoding", "gzip")
                           .header("Accept-Language", "de")
                           .header("ce-id", "1")
                           .header("CE-Type", "order")
                           .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
                           .header("User-Agent", "again")
                           .idempotency_key("k")
                           .attempt_header("X-Attempt")
                           .body("order");
  const auto to = redirected(from, here, leads(308, "https://example.org/orders"));
  REQUIRE(to);
  CHECK(to->request.fields(2) == from.fields(2));
  CHECK(to->request.body().open()->bytes() == "order");
}

TEST_CASE("credentials that were left behind do not come back with a redirect to the first origin") {
  const auto away = redirected(request::get("/").header("X-Jwt", "s"), here, leads(307, "https://example.org/"));
  REQUIRE(away);
  const auto back = redirected(away->request, away->origin, leads(307, "https://example.com/"));
  REQUIRE(back);
  CHECK(back->origin == here);
  CHECK(back->request.headers().empty());
}

TEST_CASE("a Location with spaces, raw UTF-8 or other characters that browsers encode is encoded") {
  const auto target = [](const std::string& location) {
    const auto to = redirected(request::get("/"), here, leads(302, location));
    return to ? to->request.target() : "refused: " + to.error().reason();
  };
  CHECK(target("/a b") == "/a%20b");
  CHECK(target("/\xC3\xA9?q=\xC3\xA9 \xE2\x82\xAC") == "/%C3%A9?q=%C3%A9%20%E2%82%AC");
  CHECK(target("/\xE9") == "/%E9");  // Latin-1 is encoded byte by byte
  CHECK(target("/a%20b%C3%A9") == "/a%20b%C3%A9");
  CHECK(target("/{id}?q={\"a\":<1>}") == "/%7Bid%7D?q=%7B%22a%22:%3C1%3E%7D");
  CHECK(target("/a|b[c]") == "/a|b[c]");
  CHECK(target("/a b#c d") == "/a%20b");
  CHECK(target("https://b\xC3\xBC"
               "cher.example/")
            .starts_with("refused: "));
  CHECK(target("https://exa mple.com/").starts_with("refused: "));
  CHECK(target("\\\\example.org\\x").starts_with("refused: "));
  for (int byte = 1; byte < 256; ++byte) {
    CAPTURE(byte);
    const std::string got = target("/a" + std::string(1, static_cast<char>(byte)) + "b");
    for (const char c : got) CHECK((c >= ' ' && c <= '~'));
    if (byte < ' ' || byte == 0x7f || byte == '\\' || byte == '%')
      CHECK(got.starts_with("refused: "));
    else
      CHECK_FALSE(validate_target(got));
  }
}

TEST_CASE("a redirect that cannot be followed says why") {
  CHECK(refusal(request::get("/"), leads(302, "http://example.com/")) == "the redirect leads from https to http");
  CHECK(refusal(request::get("/"), leads(302, "ftp://example.com/")) ==
        "the redirect's Location cannot be followed: only http:// and https:// are supported");
  CHECK(refusal(request::get("/"), leads(302, "http://user:secret@example.com/")).find("secret") == std::string::npos);
  CHECK(!refusal(request::get("/"), leads(302, "https://")).empty());
  CHECK(
      refusal(request::get("/"), leads(302, "https://example.com/"), origin{scheme::http, "example.com", 80}).empty());
}

TEST_CASE("a one-shot body that was sent is not sent again to follow a redirect") {
  const request from = request::put("/").body(body::one_shot("x"));
  REQUIRE(from.body().open());
  CHECK(refusal(from, leads(307, "/b")) == "the redirect needs the body again, which can be sent once");
  CHECK(refusal(from, leads(303, "/b")).empty());
}
