// SPDX-License-Identifier: MIT
// Which connection an attempt gets, and what it must not find on it.
#include <again/core/stop_token.hpp>
#include <again/coro/run_loop.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

TEST_CASE("a connection is used again") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200).body("x"); }};
  transport_under_test transport;
  for (int i = 0; i < 5; ++i) REQUIRE(run(transport.send(to(server, request::get("/")), 1)));
  CHECK(server.connections_seen() == 1);
  CHECK(server.requests_seen() == 5);
}

TEST_CASE("after a 421 the next attempt opens another connection") {
  misbehaving_server server{{respond(421), respond(200)}};
  transport_under_test transport;
  CHECK(kind_of(run(transport.send(to(server, request::get("/")), 1))) == "response 421");
  CHECK(kind_of(run(transport.send(to(server, request::get("/")), 2))) == "response 200");
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
  transport_under_test transport;
  const auto next = [&](request r) {
    const auto result = run(transport.send(to(server, std::move(r)), 1));
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
    transport_under_test transport{trusting()};
    const auto outcome = [&](request r, const send_limits& l) {
      const auto result = run(transport.send(to(server, std::move(r), l), 1));
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
  transport_under_test transport;
  for (int i = 0; i < 3; ++i) REQUIRE(run(transport.send(to(server, request::get("/")), 1)));
  CHECK(server.connections_seen() == 3);
}

TEST_CASE("bytes on an idle connection are not taken for the response to the next request") {
  for (const bool tls : {false, true}) {
    for (const afterwards what : {afterwards::close, afterwards::send_408_close, afterwards::send_extra_response}) {
      CAPTURE(tls);
      CAPTURE(static_cast<int>(what));
      misbehaving_server server{{respond(200).body("first").and_then(what, 1ms), respond(200).body("second")},
                                tls ? with_tls() : server_options{}};
      transport_under_test transport{trusting()};
      REQUIRE(run(transport.send(to(server, request::get("/1")), 1)));
      REQUIRE(server.wait_until([](const tally& t) { return t.idle_actions == 1; }));
      if (tls) std::this_thread::sleep_for(20ms);  // until it has come through
      const auto second = run(transport.send(to(server, request::post("/2").body("x")), 1));
      CAPTURE(kind_of(second));
      REQUIRE(second);
      CHECK(second->body == "second");
      CHECK(server.requests_seen() == 2);
    }
  }
}

namespace {

/// Opens `n` connections of one transport at once, by requests that are all there before the first gets its response.
class crowd {
 public:
  explicit crowd(std::size_t n) : missing_{n} {}
  step arrive() {
    std::unique_lock lock{mutex_};
    if (missing_ > 0) --missing_;
    all_here_.notify_all();
    all_here_.wait(lock, [this] { return missing_ == 0; });
    return respond(200);
  }
  static void open(transport_under_test& through, const misbehaving_server& server, std::size_t n) {
    std::vector<std::unique_ptr<stoppable_send>> sends;
    for (std::size_t i = 0; i < n; ++i)
      sends.push_back(std::make_unique<stoppable_send>(through, to(server, request::get("/crowd"))));
    for (auto& s : sends) REQUIRE(kind_of(s->result()) == "response 200");
    REQUIRE(server.connections_seen() == n);
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::size_t missing_;
};

/// Connections that stay open for longer than any wait of a test.
transport_options keeping(transport_options o = {}) {
  o.keep_idle = 1h;
  return o;
}

}  // namespace

TEST_CASE(
    "after a failure on a used connection the next attempt opens a fresh one, and the other idle ones are closed") {
  for (const bool tls : {false, true}) {
    for (const step& how : {reset(), close(), truncated("half", 8)}) {
      CAPTURE(tls);
      CAPTURE(name(how.what));
      crowd old{5};
      misbehaving_server server{[&](const seen_request& r, int) {
                                  if (r.target == "/crowd") return old.arrive();
                                  return r.connection < 5 ? how : respond(200).body("fresh");
                                },
                                tls ? with_tls() : server_options{}};
      transport_under_test transport{keeping(trusting())};
      crowd::open(transport, server, 5);
      const auto what = to(server, request::get("/"));
      CHECK(!run(transport.send(what, 1)));
      CHECK(server.wait_until_no_connection());
      CHECK(kind_of(run(transport.send(what, 2))) == "response 200");
      CHECK(server.requests_seen("/") == 2);
      CHECK(server.connections_seen() == 6);
    }
  }
}

TEST_CASE("a used connection that swallows the request in silence makes the others suspect as well") {
  for (const bool tls : {false, true}) {
    for (const bool by_bound : {false, true}) {
      CAPTURE(tls);
      CAPTURE(by_bound);
      crowd old{4};
      misbehaving_server server{[&](const seen_request& r, int) {
                                  if (r.target == "/crowd") return old.arrive();
                                  return r.connection < 4 ? hang() : respond(200);
                                },
                                tls ? with_tls() : server_options{}};
      transport_under_test transport{keeping(trusting())};
      crowd::open(transport, server, 4);
      const auto what = to(server, request::get("/"));
      const auto asked = [&] { return server.wait_until([](const tally& t) { return t.requests == 5; }); };
      const auto first =
          by_bound ? cut_off(transport, what, asked) : run(transport.send(to(server, request::get("/"), hasty), 1));
      CHECK(kind_of(first) == "timeout");
      CHECK(kind_of(run(transport.send(what, 2))) == "response 200");
      CHECK(server.connections_seen() == 5);
      CHECK(server.wait_until([](const tally& t) { return t.open_connections == 1; }));
    }
  }
}

TEST_CASE("the attempt after a failure on a used connection takes none that another request has left idle since") {
  misbehaving_server server{{respond(200), reset(), respond(200), respond(200), respond(200)}};
  transport_under_test transport{keeping()};
  const auto what = to(server, request::get("/")), other = to(server, request::get("/other"));
  CHECK(run(transport.send(other, 1)));
  CHECK(kind_of(run(transport.send(what, 1))) == "reset");
  CHECK(run(transport.send(other, 1)));
  CHECK(server.connections_seen() == 2);
  CHECK(run(transport.send(what, 2)));
  CHECK(server.connections_seen() == 3);
  CHECK(run(transport.send(what, 3)));  // once fresh is enough
  CHECK(server.connections_seen() == 3);
}

TEST_CASE("a slow response, a refusal and a stop say nothing of other connections") {
  crowd old{3};
  misbehaving_server server{[&](const seen_request& r, int) {
    if (r.target == "/crowd") return old.arrive();
    if (r.target == "/503") return respond(503);
    return r.target == "/slow" ? stall_body("half", 8) : hang();
  }};
  transport_under_test transport{keeping()};
  crowd::open(transport, server, 3);
  CHECK(kind_of(run(transport.send(to(server, request::get("/503")), 1))) == "response 503");
  CHECK(kind_of(run(transport.send(to(server, request::get("/slow"), hasty), 1))) == "timeout");
  {
    stoppable_send stopped{transport, to(server, request::get("/hang"))};
    REQUIRE(server.wait_until([](const tally& t) { return t.requests == 6; }));
    CHECK(kind_of(stopped.stop()) == "cancelled");
  }
  CHECK(server.wait_until([](const tally& t) { return t.open_connections == 1; }));
  CHECK(kind_of(run(transport.send(to(server, request::get("/503")), 1))) == "response 503");
  CHECK(server.connections_seen() == 3);
}

TEST_CASE("a proxy that was replaced makes the idle connections of all origins suspect") {
  misbehaving_server proxy{
      [](const seen_request& r, int nth) { return r.connection < 2 && nth > 1 ? reset() : respond(200); }};
  transport_options options = keeping();
  options.proxy = proxy.url();
  transport_under_test transport{options};
  const auto by_proxy = [&](const char* host) {
    return std::make_shared<const outgoing>(origin{scheme::http, host, 80}, request::get("/"), patient);
  };
  const auto a = by_proxy("a.example"), b = by_proxy("b.example");
  CHECK(run(transport.send(a, 1)));
  CHECK(run(transport.send(b, 1)));
  CHECK(kind_of(run(transport.send(a, 1))) == "reset");
  CHECK(proxy.wait_until_no_connection());
  CHECK(run(transport.send(b, 1)));
  CHECK(proxy.connections_seen() == 3);
}
