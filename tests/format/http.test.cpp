// SPDX-License-Identifier: MIT
#include <again/format/http.hpp>

#include <again/policy/failure.hpp>

#include <doctest/doctest.h>

#include <utility>

using namespace std::chrono_literals;

TEST_CASE("an HTTP method or error kind shows as its name") {
  CHECK(fmt::format("{}", again::http::error_kind::tls_verify) == "tls_verify");
  CHECK(fmt::format("{}", again::http::method::delete_) == "DELETE");
  CHECK(fmt::format("[{:>8}]", again::http::method::get) == "[     GET]");
}

TEST_CASE("an HTTP error, request or response shows as one line without secrets") {
  namespace http = again::http;
  const http::request_facts facts{};
  CHECK(fmt::format("{}", http::error{http::rules{}, facts, http::response{503, {{"Retry-After", "2"}}}, {}}) ==
        "503 Service Unavailable (answered, Retry-After 2 s)");
  CHECK(fmt::format("{}", http::error{http::rules{}, facts, http::error_kind::reset, again::reach::maybe_sent,
                                      "connection reset by peer"}) == "reset: connection reset by peer (maybe_sent)");
  CHECK(fmt::format("{}", http::response{200, {}, "x"}) == "200 OK, 1 byte");
  CHECK(fmt::format("{}", http::response{299}) == "299, 0 bytes");
  CHECK(fmt::format("{}", http::request::post("/orders?token=secret")) == "POST /orders?...");
  CHECK(fmt::format("{}", http::request::get("/orders")) == "GET /orders");
  CHECK(fmt::format("{}", *http::parse_url("HTTP://Example.com:80/a")) == "http://example.com/a");
  CHECK(fmt::format("{}", http::invalid{"no", 3}) == "no (position 3)");
  CHECK(fmt::format("{}", http::status_set{500, 501, 502}) == "500-502");
}

TEST_CASE("a failure of an HTTP call shows its last error in full") {
  namespace http = again::http;
  again::failure<http::error>::report r;
  r.reason = again::stop_reason::attempts_exhausted;
  r.attempts = 4;
  r.elapsed = 700ms;
  r.error.emplace(http::rules{}, http::request_facts{}, http::response{500}, again::wall_time{});
  CHECK(fmt::format("gave up: {}", again::failure<http::error>{std::move(r)}) ==
        "gave up: attempts_exhausted after 4 attempts in 700 ms; last error: 500 Internal Server Error (answered)");
}
