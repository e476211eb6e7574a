// SPDX-License-Identifier: MIT
// https.
#include <again/httplib/transport.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

TEST_CASE("https: a response comes over a verified session, again over the same one") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200).body("secret"); }, with_tls()};
  httplib_transport transport{trusting()};
  for (int i = 0; i < 3; ++i) {
    const auto r = sync_wait(transport.send(to(server, request::get("/")), 1));
    CAPTURE(kind_of(r));
    REQUIRE(r);
    CHECK(r->body == "secret");
  }
  CHECK(server.connections_seen() == 1);
}

TEST_CASE("https: every failure has its kind, and reach tells the truth") {
  struct row {
    step what;
    const char* kind;
    const char* reach;
    std::size_t seen;
  };
  const row rows[] = {
      {tls_untrusted(), "tls_verify", "not_sent", 0},
      {tls_wrong_host(), "tls_verify", "not_sent", 0},
      {tls_expired(), "tls_verify", "not_sent", 0},
      {plain_http(), "tls_handshake", "not_sent", 0},
      {close_on_accept(), "tls_handshake", "not_sent", 0},
      {tls_handshake_stall(), "connect_timeout", "not_sent", 0},
      {tls_close_after_write(), "closed", "maybe_sent", 1},
      {close(), "closed", "maybe_sent", 1},
      {reset(), "reset", "maybe_sent", 1},
      {hang(), "timeout", "maybe_sent", 1},
      {truncated("half", 8), "truncated", "answered", 1},
      {truncated("half", 8, ending::reset), "truncated", "answered", 1},
      {stall_body("half", 8), "timeout", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "truncated", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "response 200",
       "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial"), "truncated",
       "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial", ending::reset),
       "truncated", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
       "truncated", "answered", 1},
  };
  for (const row& r : rows) {
    CAPTURE(name(r.what.what));
    misbehaving_server server{{r.what}, with_tls()};
    httplib_transport transport{trusting()};
    send_limits l = std::string_view{r.kind} == "timeout" ? hasty : patient;
    if (std::string_view{r.kind} == "connect_timeout") l.connect = 200ms;
    const auto result = sync_wait(transport.send(to(server, request::post("/").body("x"), l), 1));
    CAPTURE(result ? std::string{} : result.error().detail);
    CHECK(kind_of(result) == r.kind);
    CHECK(reach_of(result) == r.reach);
    CHECK(server.requests_seen() == r.seen);
  }
}

TEST_CASE("https: a body that ends with its connection is whole only after the peer's close_notify") {
  for (const bool notified : {true, false}) {
    CAPTURE(notified);
    server_options options = with_tls();
    options.tls->close_notify = notified;
    misbehaving_server server{{respond(200).body("to the end").close_delimited()}, options};
    httplib_transport transport{trusting()};
    const auto r = sync_wait(transport.send(to(server, request::get("/")), 1));
    CAPTURE(r ? std::string{} : r.error().detail);
    CHECK(kind_of(r) == (notified ? "response 200" : "truncated"));
    CHECK(reach_of(r) == "answered");
  }
}

TEST_CASE("https: certificates that cannot be read are a reason, not a crash, and not trust") {
  misbehaving_server server{{respond(200)}, with_tls()};
  httplib_options options;
  options.cacert = "/no/such/file.pem";
  httplib_transport transport{options};
  for (int i = 0; i < 2; ++i) {
    const auto r = sync_wait(transport.send(to(server, request::get("/")), 1));
    CHECK(kind_of(r) == "tls_verify");
    CHECK(reach_of(r) == "not_sent");
  }
  httplib_transport by_system;
  CHECK(kind_of(sync_wait(by_system.send(to(server, request::get("/")), 1))) == "tls_verify");
  CHECK(server.requests_seen() == 0);
}

TEST_CASE(
    "no hidden sends: on a used TLS connection that closes after the write, the server sees one request per attempt") {
  std::vector<step> script;
  for (int i = 0; i < 10; ++i) {
    script.push_back(respond(200));
    script.push_back(tls_close_after_write());
  }
  misbehaving_server server{script, with_tls()};
  httplib_transport transport{trusting()};
  for (std::size_t i = 0; i < 20; ++i) {
    const auto r = sync_wait(transport.send(to(server, request::post("/").body("x")), 1));
    CHECK(bool{r} == (i % 2 == 0));
    CHECK(server.requests_seen() == i + 1);
  }
}
