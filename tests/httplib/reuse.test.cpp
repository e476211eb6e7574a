// SPDX-License-Identifier: MIT
// Which connection an attempt gets, and what it must not find on it.
#include <again/httplib/transport.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <utility>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

TEST_CASE("a connection is used again") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200).body("x"); }};
  httplib_transport transport;
  for (int i = 0; i < 5; ++i) REQUIRE(sync_wait(transport.send(to(server, request::get("/")), 1)));
  CHECK(server.connections_seen() == 1);
  CHECK(server.requests_seen() == 5);
}

TEST_CASE("after a 421 the next attempt opens another connection") {
  misbehaving_server server{{respond(421), respond(200)}};
  httplib_transport transport;
  CHECK(kind_of(sync_wait(transport.send(to(server, request::get("/")), 1))) == "response 421");
  CHECK(kind_of(sync_wait(transport.send(to(server, request::get("/")), 2))) == "response 200");
  CHECK(server.connections_seen() == 2);
}

TEST_CASE("304, 204, HEAD, trailers and interim responses keep their connection; bytes after a response end it") {
  misbehaving_server server{{
      raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n", ending::keep),
      raw("HTTP/1.1 204 No Content\r\n\r\n", ending::keep),
      raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", ending::keep),
      raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", ending::keep),
      raw("HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb", ending::keep),
      raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc+ more", ending::keep),
      raw("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nd", ending::keep),
      respond(200).body("e"),
  }};
  httplib_transport transport;
  const auto next = [&](request r) {
    const auto result = sync_wait(transport.send(to(server, std::move(r)), 1));
    return kind_of(result) + (result ? " " + result->body : ": " + result.error().detail) + " on connection " +
           std::to_string(server.connections_seen());
  };
  CHECK(next(request::get("/")) == "response 304  on connection 1");
  CHECK(next(request::get("/")) == "response 204  on connection 1");
  CHECK(next(request::head("/")) == "response 200  on connection 1");
  CHECK(next(request::get("/")) == "response 200 a on connection 1");
  CHECK(next(request::get("/")) == "response 200 b on connection 1");
  CHECK(next(request::get("/")) == "response 200 c on connection 1");
  CHECK(next(request::get("/")) == "response 200 d on connection 2");
  CHECK(next(request::get("/")) == "response 200 e on connection 3");
}

TEST_CASE("on a used connection reach is counted from where the attempt before ended") {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    misbehaving_server server{{respond(200).body("first"), respond(200).body(std::string(100000, 'x')).in_chunks(),
                               respond(201), stall_body("half", 8), respond(200), respond(200), hang()},
                              tls ? with_tls() : server_options{}};
    httplib_transport transport{trusting()};
    const auto outcome = [&](request r, const send_limits& l) {
      const auto result = sync_wait(transport.send(to(server, std::move(r), l), 1));
      return kind_of(result) + " " + reach_of(result);
    };
    CHECK(outcome(request::post("/").body("one"), patient) == "response 200 answered");
    CHECK(outcome(request::get("/"), patient) == "response 200 answered");
    CHECK(outcome(request::put("/").body(std::string(300000, 'y')), patient) == "response 201 answered");
    CHECK(outcome(request::get("/"), hasty) == "timeout answered");
    CHECK(server.connections_seen() == 1);
    CHECK(outcome(request::get("/"), patient) == "response 200 answered");
    CHECK(outcome(request::get("/"), patient) == "response 200 answered");
    CHECK(outcome(request::post("/").body("x"), hasty) == "timeout maybe_sent");
    CHECK(server.connections_seen() == 2);
  }
}

TEST_CASE("a connection is not used again after Connection: close in any case or list") {
  misbehaving_server server{[](const seen_request&, int) {
    return respond(200, {{"Connection", "Foo, CLOSE"}}).body("x").and_then(afterwards::keep);
  }};
  httplib_transport transport;
  for (int i = 0; i < 3; ++i) REQUIRE(sync_wait(transport.send(to(server, request::get("/")), 1)));
  CHECK(server.connections_seen() == 3);
}

TEST_CASE("bytes on an idle connection are not taken for the response to the next request") {
  for (const bool tls : {false, true}) {
    for (const afterwards what : {afterwards::close, afterwards::send_408_close, afterwards::send_extra_response}) {
      CAPTURE(tls);
      CAPTURE(static_cast<int>(what));
      misbehaving_server server{{respond(200).body("first").and_then(what, 1ms), respond(200).body("second")},
                                tls ? with_tls() : server_options{}};
      httplib_transport transport{trusting()};
      REQUIRE(sync_wait(transport.send(to(server, request::get("/1")), 1)));
      REQUIRE(server.wait_until([](const tally& t) { return t.idle_actions == 1; }));
      if (tls) std::this_thread::sleep_for(20ms);  // until it has come through
      const auto second = sync_wait(transport.send(to(server, request::post("/2").body("x")), 1));
      CAPTURE(kind_of(second));
      REQUIRE(second);
      CHECK(second->body == "second");
      CHECK(server.requests_seen() == 2);
    }
  }
}
