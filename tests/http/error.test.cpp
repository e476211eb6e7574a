// SPDX-License-Identifier: MIT
#include <again/http/error.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <type_traits>

using namespace again::http;
using again::disposition;
using again::reach;
using namespace std::chrono_literals;

static_assert(std::is_nothrow_move_constructible_v<error> && sizeof(error) <= 96, "cheap to move");
static_assert(std::is_copy_constructible_v<error> && !std::is_aggregate_v<error>);

namespace {

constexpr again::wall_time now{};
const request_facts get{};
const request_facts post{.method = method::post};

}  // namespace

TEST_CASE("an error made of a response holds the whole response and the verdict of the rules") {
  const error e{rules{}, get, response{503, {{"Retry-After", "2"}}, "busy"}, now};
  CHECK(e.kind() == error_kind::status);
  CHECK(e.status() == 503);
  CHECK(e.reach() == reach::answered);
  REQUIRE(e.response());
  CHECK(e.response()->body == "busy");
  CHECK(e.verdict() == again::verdict{.kind = disposition::transient,
                                      .reach = reach::answered,
                                      .judges_timeouts = true,
                                      .server_delay = 2s,
                                      .code = 503,
                                      .name = "status"});
  CHECK(again::verdict_of(e) == e.verdict());
  CHECK(e.text() == "503 Service Unavailable (answered, Retry-After 2 s)");
}

TEST_CASE("an error without a response says how far the request got") {
  const error e{rules{}, post, error_kind::reset, reach::maybe_sent,
                "connection reset by peer while waiting for the response"};
  CHECK(e.text() == "reset: connection reset by peer while waiting for the response (maybe_sent)");
  CHECK(e.status() == 0);
  CHECK(e.response() == nullptr);
  CHECK(e.verdict().kind == disposition::not_replayable);
  CHECK(e.verdict().name == "reset");
  CHECK(error{rules{}, post, error_kind::refused, reach::not_sent}.text() == "refused (not_sent)");
  CHECK(error{rules{}, post, error_kind::refused, reach::not_sent}.verdict().kind == disposition::transient);
}

TEST_CASE("an error keeps the part that arrived of a response that was cut short") {
  const error e{rules{}, get, error_kind::truncated, reach::answered, "3 of 10 bytes came", response{200, {}, "abc"},
                now};
  CHECK(e.kind() == error_kind::truncated);
  CHECK(e.status() == 200);
  CHECK(e.response()->body == "abc");
  CHECK(e.text() == "truncated: 3 of 10 bytes came (answered, status 200)");
  CHECK(e.verdict().code == 200);
  CHECK(e.verdict().kind == disposition::transient);
}

TEST_CASE("the text shows a wait that is too long, fractions of seconds, and a status without a phrase") {
  const error late{rules{}, get, response{429, {{"Retry-After", "86400"}}}, now};
  CHECK(late.text() == "429 Too Many Requests (answered, Retry-After 86400 s, too long)");
  CHECK(late.verdict().server_delay_too_long);
  rules capped;
  capped.max_retry_after = 420ms;
  capped.over_max = again::over_max::cap;
  CHECK(error{capped, get, response{429, {{"Retry-After", "1"}}}, now}.text() ==
        "429 Too Many Requests (answered, Retry-After 0.42 s)");
  CHECK(error{rules{}, get, response{599}, now}.text() == "599 (answered)");
}

TEST_CASE("rate limit fields count where the rules say so") {
  const response busy{429, {{"RateLimit-Reset", "7"}}};
  CHECK(error{rules{}, get, busy, now}.verdict().server_delay < again::duration::zero());
  rules r;
  r.rate_limit_headers = true;
  CHECK(error{r, get, busy, now}.verdict().server_delay == 7s);
}

TEST_CASE("dates in a response are compared with the given time") {
  const response busy{503, {{"Retry-After", "Thu, 01 Jan 1970 00:01:00 GMT"}}};
  CHECK(error{rules{}, get, busy, now}.verdict().server_delay == 60s);
  CHECK(error{rules{}, get, busy, now + 50s}.verdict().server_delay == 10s);
}

TEST_CASE("copies of an error share the response") {
  const error e{rules{}, get, response{500, {}, std::string(100000, 'x')}, now};
  const error copy = e;
  CHECK(copy.response() == e.response());
}

TEST_CASE("an error can be made with a verdict of the transport's own") {
  const error e{error_kind::overloaded,
                {.kind = disposition::transient, .reach = reach::not_sent, .name = "overloaded"},
                "16 requests wait"};
  CHECK(e.verdict().kind == disposition::transient);
  CHECK(e.text() == "overloaded: 16 requests wait (not_sent)");
}

TEST_CASE("redirects that were followed before the error are counted and shown") {
  error e{rules{}, get, error_kind::reset, reach::answered};
  CHECK(e.redirects() == 0);
  e.redirects(1);
  CHECK(e.text() == "reset (answered, after 1 redirect)");
  e.redirects(2);
  CHECK(e.redirects() == 2);
  CHECK(e.text() == "reset (answered, after 2 redirects)");
}
