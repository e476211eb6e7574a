// SPDX-License-Identifier: MIT
#include <again/httplib/transport.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>

#include "support/misbehaving_server.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

// Bounds that a test runs into are short; those it must not run into are longer than the test may take.
constexpr send_limits patient{.connect = 20s, .idle = 20s, .total = 20s, .max_body = 1U << 20U};
constexpr send_limits hasty{.connect = 20s, .idle = 150ms, .total = 20s, .max_body = 1U << 20U};

std::shared_ptr<const outgoing> to(const misbehaving_server& server, request r, const send_limits& l = patient) {
  auto where = parse_url(server.url());
  REQUIRE(where);
  return std::make_shared<const outgoing>(where->origin, std::move(r), l);
}

httplib_options trusting() {
  httplib_options o;
  o.cacert = misbehaving_server::authority_file();
  return o;
}
server_options with_tls() {
  server_options o;
  o.tls.emplace();
  return o;
}

std::string kind_of(const send_result& r) {
  return r ? "response " + std::to_string(r->status) : std::string{name(r.error().kind)};
}
std::string reach_of(const send_result& r) { return std::string{name(r ? reach::answered : r.error().reach)}; }

/// One attempt that somebody on another thread may stop.
class stoppable_send {
 public:
  stoppable_send(httplib_transport& through, std::shared_ptr<const outgoing> what)
      : thread_{[this, &through, what = std::move(what)]() mutable {
          run_loop loop;
          send_result r = sync_wait(loop, through.send(std::move(what), 1), source_.get_token());
          const std::lock_guard lock{mutex_};
          result_.emplace(std::move(r));
        }} {}
  stoppable_send(const stoppable_send&) = delete;
  stoppable_send& operator=(const stoppable_send&) = delete;
  ~stoppable_send() {
    if (thread_.joinable()) thread_.join();
  }
  send_result stop() {
    source_.request_stop();
    return result();
  }
  send_result result() {
    thread_.join();
    return std::move(*result_);
  }

 private:
  inplace_stop_source source_;
  std::mutex mutex_;
  std::optional<send_result> result_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("a response comes back whole: status, headers in order, body, version and where it came from") {
  misbehaving_server server{{respond(200, {{"X-A", "1"}, {"x-a", "2"}}).body("hello")}};
  httplib_transport transport;
  const std::string target = http::detail::httplib_rewrites_queries ? "/a?b=c+d%26e" : "/a?b=c+d%20e";
  const auto r = sync_wait(transport.send(to(server, request::get(target)), 1));
  REQUIRE(r);
  CHECK(r->status == 200);
  CHECK(r->body == "hello");
  CHECK(r->version == "1.1");
  CHECK(r->headers.count("X-A") == 2);
  CHECK(r->url.text() == server.url(target));
  CHECK(server.request(0).target == target);
}

TEST_CASE("a query that the library would rewrite is not sent") {
  misbehaving_server server{{respond(200)}};
  httplib_transport transport;
  const auto r = sync_wait(transport.send(to(server, request::get("/?a=%20&b=%2f")), 1));
  if (http::detail::httplib_rewrites_queries) {
    CHECK(kind_of(r) == "unsupported");
    CHECK(server.requests_seen() == 0);
  } else {
    CHECK(server.request(0).target == "/?a=%20&b=%2f");
  }
}

TEST_CASE("what is sent is what was asked for, and nothing more than HTTP needs") {
  misbehaving_server server{{respond(200), respond(200), respond(200), respond(200)}};
  httplib_transport transport;
  REQUIRE(sync_wait(transport.send(to(server, request::post("/p").header("X-One", "1").body("some")), 1)));
  REQUIRE(sync_wait(transport.send(to(server, request::post("/p").body("")), 1)));
  REQUIRE(sync_wait(transport.send(to(server, request::post("/p").attempt_header("X-Attempt")), 3)));
  REQUIRE(sync_wait(transport.send(to(server, request::put("/p").body(std::string(5000, 'x'))), 1)));
  const auto first = server.request(0);
  CHECK(first.method == "POST");
  CHECK(first.body == "some");
  REQUIRE(first.header("Host"));
  CHECK(*first.header("Host") == "127.0.0.1:" + std::to_string(server.port()));
  CHECK(*first.header("X-One") == "1");
  CHECK(*first.header("Content-Length") == "4");
  CHECK(first.header("Content-Type") == nullptr);
  CHECK(*server.request(1).header("Content-Length") == "0");
  CHECK(*server.request(2).header("X-Attempt") == "3");
  CHECK(server.request(3).body_bytes == 5000);
  for (const std::string& complaint : server.complaints()) FAIL_CHECK(complaint);
}

TEST_CASE("every failure has its kind, and reach tells the truth") {
  struct row {
    step what;
    request how;
    const char* kind;
    const char* reach;
    std::size_t seen;
  };
  const std::string big(8U << 20U, 'x');
  std::string endless;
  for (int i = 0; i < 10000; ++i) endless += "X-" + std::to_string(i) + ": and on\r\n";
  const row rows[] = {
      {refuse(), request::get("/"), "refused", "not_sent", 0},
      {close(), request::get("/"), "closed", "maybe_sent", 1},
      {reset(), request::get("/"), "reset", "maybe_sent", 1},
      {close(), request::post("/").body("x"), "closed", "maybe_sent", 1},
      {reset(), request::post("/").body("x"), "reset", "maybe_sent", 1},
      {hang(), request::get("/"), "timeout", "maybe_sent", 1},
      {truncated("half", 8), request::get("/"), "truncated", "answered", 1},
      {truncated("half", 8, ending::reset), request::get("/"), "truncated", "answered", 1},
      {truncated("half", 8, ending::keep), request::get("/"), "timeout", "answered", 1},
      {stall_body("half", 8), request::get("/"), "timeout", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), request::get("/"), "truncated",
       "answered", 1},
      {raw("HTTP/1.1 200 OK\r\n\r\nhel", ending::reset), request::get("/"), "truncated", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\n\r\nhel", ending::keep), request::get("/"), "timeout", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nhello"), request::get("/"), "protocol", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), request::get("/"), "protocol",
       "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), request::get("/"), "protocol",
       "answered", 1},
      {raw("HTTP/1.1 Omg What Is This?\r\nContent-Length: 0\r\n\r\n"), request::get("/"), "protocol", "answered", 1},
      {raw("HTTP/0.5 200 OK\r\nContent-Length: 0\r\n\r\n", ending::keep), request::get("/"), "protocol", "answered", 1},
      {garbage(), request::get("/"), "protocol", "answered", 1},
      {raw("no HTTP, but a line\r\n", ending::keep), request::get("/"), "protocol", "answered", 1},
      {raw("HTTP/1.1 101 Switching Protocols\r\n\r\n"), request::get("/"), "protocol", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 Nonsense\r\n\r\n"), request::get("/"), "protocol", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial"), request::get("/"),
       "truncated", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
       request::get("/"), "truncated", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial", ending::reset),
       request::get("/"), "truncated", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\npartial", ending::reset), request::get("/"),
       "truncated", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\n"), request::get("/"), "closed", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nContent-Le"), request::get("/"), "truncated", "answered", 1},
      {raw("HTTP/1.1 2"), request::get("/"), "truncated", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello world\r\n3\r\nabc\r\n0\r\n\r\n"),
       request::get("/"), "protocol", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", ending::keep), request::get("/"), "protocol",
       "answered", 1},
      {raw("HTTP/1.1 200 " + std::string(40000, 'O') + "\r\nContent-Length: 0\r\n\r\n", ending::keep),
       request::get("/"), "protocol", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nX: " + std::string(40000, 'x'), ending::keep), request::get("/"), "protocol", "answered",
       1},
      {raw("HTTP/1.1 200 OK\r\n" + endless + "\r\n", ending::keep), request::get("/"), "protocol", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", ending::keep), request::get("/"), "protocol",
       "answered", 1},
      {raw("HTTP/1.1 413 Too Large\r\n\r\nto the end"), request::put("/").body(big), "response 413", "answered", 1},
      {raw("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig", ending::reset), request::put("/").body(big),
       "response 413", "answered", 1},
      {respond(200).body(std::string(60000, 'y')), request::get("/").max_body(1000), "too_large", "answered", 1},
      {respond(200).body(std::string(60000, 'y')).in_chunks(), request::get("/").max_body(1000), "too_large",
       "answered", 1},
      {respond(200).body(std::string(60000, 'y')).close_delimited(), request::get("/").max_body(1000), "too_large",
       "answered", 1},
      {stop_reading(), request::post("/").body(big), "timeout", "maybe_sent", 1},
      {early_response(413), request::put("/").body(big), "response 413", "answered", 1},
  };
  for (const row& r : rows) {
    CAPTURE(name(r.what.what));
    CAPTURE(r.what.content.substr(0, 60));
    server_options options;
    options.decide_before_body = true;
    misbehaving_server server{[&](const seen_request&, int) { return r.what; }, options};
    if (r.what.what == action::refuse) server.stop();
    httplib_transport transport;
    const bool runs_out = std::string_view{r.kind} == "timeout";
    const auto result = sync_wait(transport.send(to(server, r.how, runs_out ? hasty : patient), 1));
    CAPTURE(result ? std::string{} : result.error().detail);
    CHECK(kind_of(result) == r.kind);
    CHECK(reach_of(result) == r.reach);
    CHECK(server.requests_seen() == r.seen);
  }
}

TEST_CASE("header values are what the server sent, percent codes and all") {
  misbehaving_server server{
      {respond(302, {{"Location", "/t%2Fx?next=%26a%3Db%20c"}, {"X-Split", "a%0D%0ASet-Cookie: b"}}),
       respond(200, {{"X-Tab", "a\tb"}})}};
  httplib_transport transport;
  const auto r = sync_wait(transport.send(to(server, request::get("/")), 1));
  REQUIRE(r);
  CHECK(r->header("Location") == "/t%2Fx?next=%26a%3Db%20c");
  CHECK(r->header("X-Split") == "a%0D%0ASet-Cookie: b");
  CHECK(sync_wait(transport.send(to(server, request::get("/")), 1))->header("X-Tab") == "a\tb");
}

TEST_CASE("what a library decodes into control characters is encoded again") {
  CHECK(http::detail::without_controls("a\r\nb\tc\x7f d") == "a%0D%0Ab\tc%7F d");
}

TEST_CASE("the response to 421 is not looked for on the same connection") {
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

TEST_CASE("a response that was cut short comes with the error") {
  misbehaving_server server{{truncated("half", 8), respond(200).body(std::string(300, 'z'))}};
  httplib_transport transport;
  const auto cut = sync_wait(transport.send(to(server, request::get("/")), 1));
  REQUIRE(!cut);
  REQUIRE(cut.error().partial);
  CHECK(cut.error().partial->status == 200);
  CHECK(cut.error().partial->body == "half");
  const auto large = sync_wait(transport.send(to(server, request::get("/").max_body(100)), 1));
  REQUIRE(!large);
  CHECK(kind_of(large) == "too_large");
  CHECK(large.error().partial->status == 200);
}

TEST_CASE("responses that carry no body, or end with the connection, are responses") {
  misbehaving_server server{{
      raw("HTTP/1.1 204 No Content\r\n\r\n", ending::keep),
      raw("HTTP/1.1 304 Not Modified\r\n\r\n", ending::keep),
      raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n", ending::keep),
      raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", ending::keep),
      raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", ending::keep),
      respond(200).body("to the end").close_delimited(),
      raw("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
      respond(200).body("in pieces").in_chunks(),
      slice(respond(200).body("in segments")),
      raw("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n"
          "Content-Length: 4\r\n\r\nlate",
          ending::keep),
      raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          "2;x=y\r\nin\r\n3\r\none\r\n0\r\nTrailer: t\r\n\r\n",
          ending::keep),
      slice(raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end, too")),
  }};
  httplib_transport transport;
  const auto body = [&](request r) {
    const auto result = sync_wait(transport.send(to(server, std::move(r)), 1));
    return kind_of(result) + (result ? " " + result->body : ": " + result.error().detail);
  };
  CHECK(body(request::get("/")) == "response 204 ");
  CHECK(body(request::get("/")) == "response 304 ");
  CHECK(body(request::get("/")) == "response 304 ");
  CHECK(body(request::head("/")) == "response 200 ");
  CHECK(body(request::get("/")) == "response 200 hi");
  CHECK(body(request::get("/")) == "response 200 to the end");
  CHECK(body(request::get("/")) == "response 200 ok");
  CHECK(body(request::get("/")) == "response 200 in pieces");
  CHECK(body(request::get("/")) == "response 200 in segments");
  CHECK(body(request::get("/")) == "response 200 late");
  CHECK(body(request::get("/")) == "response 200 inone");
  CHECK(body(request::get("/")) == "response 200 to the end, too");
}

TEST_CASE("a connection is used again") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200).body("x"); }};
  httplib_transport transport;
  for (int i = 0; i < 5; ++i) REQUIRE(sync_wait(transport.send(to(server, request::get("/")), 1)));
  CHECK(server.connections_seen() == 1);
  CHECK(server.requests_seen() == 5);
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

TEST_CASE("what a server says on an idle connection is not taken for the response to the next request") {
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

TEST_CASE("https: a body that ends with its connection is whole only where the peer said goodbye") {
  for (const bool goodbye : {true, false}) {
    CAPTURE(goodbye);
    server_options options = with_tls();
    options.tls->close_notify = goodbye;
    misbehaving_server server{{respond(200).body("to the end").close_delimited()}, options};
    httplib_transport transport{trusting()};
    const auto r = sync_wait(transport.send(to(server, request::get("/")), 1));
    CAPTURE(r ? std::string{} : r.error().detail);
    CHECK(kind_of(r) == (goodbye ? "response 200" : "truncated"));
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

TEST_CASE("an attempt that is stopped ends at once, in every phase, and the server is still at it") {
  struct row {
    const char* phase;
    step what;
    bool tls;
    std::function<bool(const tally&)> arrived;
    std::size_t body;
    const char* reach;
  };
  const auto asked = [](const tally& t) { return t.requests == 1; };
  const auto accepted_one = [](const tally& t) { return t.connections == 1; };
  const row rows[] = {
      {"connecting", blackhole(), false, [](const tally&) { return true; }, 0, "not_sent"},
      {"TLS handshake", tls_handshake_stall(), true, accepted_one, 0, "not_sent"},
      {"writing", stop_reading(), false, asked, 64U << 20U, "maybe_sent"},
      {"waiting for the head", hang(), false, asked, 0, "maybe_sent"},
      {"waiting for the head, TLS", hang(), true, asked, 0, "maybe_sent"},
      {"in the body", stall_body("half", 8), false, asked, 0, "answered"},
      {"dripping", drip(std::string(2000, 'x'), 10ms), false, asked, 0, "answered"},
      {"dripping to the end of the connection", drip(std::string(2000, 'x'), 10ms).close_delimited(), false, asked, 0,
       "answered"},
  };
  for (const row& r : rows) {
    CAPTURE(r.phase);
    server_options options = r.tls ? with_tls() : server_options{};
    options.decide_before_body = true;
    std::unique_ptr<misbehaving_server> server;
    if (r.what.what == action::stop_reading) {
      server = std::make_unique<misbehaving_server>([&](const seen_request&, int) { return r.what; }, options);
    } else {
      server = std::make_unique<misbehaving_server>(std::vector<step>{r.what}, options);
    }
    httplib_transport transport{trusting()};
    request how = r.body == 0 ? request::get("/") : request::post("/").body(std::string(r.body, 'b'));
    stoppable_send send{transport, to(*server, std::move(how))};
    REQUIRE(server->wait_until(r.arrived));
    std::this_thread::sleep_for(30ms);  // into the phase
    const auto result = send.stop();
    CHECK(kind_of(result) == "cancelled");
    CHECK(reach_of(result) == r.reach);
  }
}

TEST_CASE("an attempt that is stopped before it begins is not sent") {
  misbehaving_server server{{respond(200)}};
  httplib_transport transport;
  inplace_stop_source source;
  source.request_stop();
  run_loop loop;
  const auto r = sync_wait(loop, transport.send(to(server, request::get("/")), 1), source.get_token());
  CHECK(kind_of(r) == "cancelled");
  CHECK(reach_of(r) == "not_sent");
  CHECK(server.connections_seen() == 0);
}

TEST_CASE("a body that drips is ended by the bound on the whole attempt") {
  misbehaving_server server{{drip(std::string(100000, 'x'), 5ms)}};
  httplib_transport transport;
  send_limits l = patient;
  l.total = 500ms;  // long enough for the head to have come on any machine
  const auto r = sync_wait(transport.send(to(server, request::get("/"), l), 1));
  CHECK(kind_of(r) == "timeout");
  CHECK(reach_of(r) == "answered");
}

TEST_CASE("a silent address is a connect timeout") {
  misbehaving_server server{{blackhole()}};
  httplib_transport transport;
  send_limits l = patient;
  l.connect = 100ms;
  const auto r = sync_wait(transport.send(to(server, request::get("/"), l), 1));
  CHECK(kind_of(r) == "connect_timeout");
  CHECK(reach_of(r) == "not_sent");
}

namespace {

std::shared_ptr<const outgoing> to_name(const misbehaving_server& server, std::string host, request r,
                                        const send_limits& l = patient) {
  return std::make_shared<const outgoing>(
      origin{scheme::http, std::move(host), static_cast<std::uint16_t>(server.port())}, std::move(r), l);
}

/// A resolver that hangs until it is let go.
struct hanging {
  std::mutex mutex;
  std::condition_variable changed;
  bool asked = false, let_go = false;
  std::vector<std::string> operator()(const std::string&) {
    std::unique_lock lock{mutex};
    asked = true;
    changed.notify_all();
    changed.wait(lock, [&] { return let_go; });
    return {"127.0.0.1"};
  }
  void wait_until_asked() {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return asked; });
  }
  void release() {
    const std::lock_guard lock{mutex};
    let_go = true;
    changed.notify_all();
  }
};

}  // namespace

TEST_CASE("a name server that hangs holds up neither the one who stops, nor the bound, nor other sends, nor the end") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  const auto names = std::make_shared<hanging>();
  {
    httplib_options options;
    options.workers = 2;
    options.resolve = [names](const std::string& host) {
      return host == "hangs.example" ? (*names)(host) : std::vector<std::string>{"127.0.0.1"};
    };
    httplib_transport transport{options};
    {
      stoppable_send send{transport, to_name(server, "hangs.example", request::get("/"))};
      names->wait_until_asked();
      CHECK(sync_wait(transport.send(to_name(server, "works.example", request::get("/")), 1)));
      const auto r = send.stop();
      CHECK(kind_of(r) == "cancelled");
      CHECK(reach_of(r) == "not_sent");
    }
    send_limits l = patient;
    l.connect = 50ms;
    const auto r = sync_wait(transport.send(to_name(server, "hangs.example", request::get("/"), l), 1));
    CHECK(kind_of(r) == "resolve");
    CHECK(reach_of(r) == "not_sent");
  }
  names->release();
  CHECK(server.request(0).header("Host")->starts_with("works.example:"));
}

TEST_CASE("localhost with a dead ::1 works within one attempt, and later attempts know") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  httplib_options options;
  options.resolve = [](const std::string&) { return std::vector<std::string>{"::1", "127.0.0.1"}; };
  httplib_transport transport{options};
  CHECK(sync_wait(transport.send(to_name(server, "localhost", request::post("/").body("x")), 1)));
  CHECK(server.requests_seen() == 1);
}

TEST_CASE("a name without an address is the error resolve") {
  misbehaving_server server{{}};
  httplib_options options;
  options.resolve = [](const std::string& host) -> std::vector<std::string> {
    if (host == "throws.example") throw std::runtime_error{"the zone is gone"};
    return {};
  };
  httplib_transport transport{options};
  const auto none = sync_wait(transport.send(to_name(server, "none.example", request::get("/")), 1));
  CHECK(kind_of(none) == "resolve");
  const auto threw = sync_wait(transport.send(to_name(server, "throws.example", request::get("/")), 1));
  REQUIRE(!threw);
  CHECK(threw.error().detail == "'throws.example': the zone is gone");
}

TEST_CASE("several addresses: after one that failed, later attempts begin with one that worked") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); }};
  httplib_options options;
  options.resolve = [](const std::string&) {
    return std::vector<std::string>{"127.0.0.2", "127.0.0.1"};
  };  // the first refuses
  httplib_transport transport{options};
  for (int i = 1; i <= 3; ++i)
    CHECK(sync_wait(transport.send(to_name(server, "two.example", request::post("/").body("x")), i)));
  CHECK(server.requests_seen() == 3);
}

TEST_CASE("an address that accepts and never responds is left for another one by the next attempt") {
  misbehaving_server good{[](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); }};
  // A second one of the same port: nothing is ever accepted there, the kernel's backlog connects.
  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(good.port()));
  where.sin_addr.s_addr = htonl(0x7f000002);
  REQUIRE(::bind(silent, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) == 0);
  REQUIRE(::listen(silent, 8) == 0);
  for (const bool idle : {true, false}) {
    CAPTURE(idle);
    httplib_options options;
    options.resolve = [](const std::string&) { return std::vector<std::string>{"127.0.0.2", "127.0.0.1"}; };
    httplib_transport transport{options};
    send_limits l = patient;
    (idle ? l.idle : l.total) = 100ms;
    CHECK(kind_of(sync_wait(transport.send(to_name(good, "two.example", request::get("/"), l), 1))) == "timeout");
    CHECK(kind_of(sync_wait(transport.send(to_name(good, "two.example", request::get("/")), 2))) == "response 200");
  }
  ::close(silent);
}

TEST_CASE("bounds of forever do not overflow the wait for a name") {
  misbehaving_server server{{respond(200)}};
  httplib_options options;
  options.resolve = [](const std::string&) { return std::vector<std::string>{"127.0.0.1"}; };
  httplib_transport transport{options};
  const send_limits endless{.connect = forever, .idle = forever, .total = forever};
  CHECK(kind_of(sync_wait(transport.send(to_name(server, "name.example", request::get("/"), endless), 1))) ==
        "response 200");
}

TEST_CASE("origins that are out of use are forgotten") {
  server_options so;
  so.family = again_test::family::unix_domain;
  so.unix_path = "/tmp/again-httplib-origins-" + std::to_string(::getpid()) + ".sock";
  misbehaving_server server{[](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); }, so};
  httplib_options options;
  options.unix_socket = so.unix_path;
  const auto pool = std::make_shared<http::detail::send_pool>(http::detail::settings_of(std::move(options)));
  for (int i = 0; i < 600; ++i) {
    const auto what =
        std::make_shared<const outgoing>(origin{scheme::http, "h" + std::to_string(i), 80}, request::get("/"), patient);
    REQUIRE(sync_wait(http::detail::httplib_send{pool, what, 1, nullptr}));
  }
  CHECK(pool->origins_known() <= 256);
  pool->shut_down();
}

namespace {

::sockaddr_in loopback(int port) {
  ::sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return where;
}

}  // namespace

TEST_CASE("what was counted in one attempt is where the next one begins") {
  misbehaving_server server{{respond(200).body("x"), hang()}};
  http::detail::dead_fd dead;
  http::detail::socket_watch watch{false, dead.fd()};
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  watch.begin(false);
  watch.opened(fd);
  const auto where = loopback(server.port());
  REQUIRE(::connect(fd, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) == 0);
  CHECK(watch.examine().how_far == reach::not_sent);
  const std::string_view ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  REQUIRE(::send(fd, ask.data(), ask.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(ask.size()));
  http::detail::response_parser parser{100};
  std::size_t heard = 0;
  for (char part[512]; !parser.whole();) {
    const auto n = ::recv(fd, part, sizeof part, 0);
    REQUIRE(n > 0);
    heard += static_cast<std::size_t>(n);
    parser.feed({part, static_cast<std::size_t>(n)});
  }
  CHECK(watch.examine().how_far == reach::answered);
  watch.moved(ask.size(), heard);
  watch.begin(true);
  CHECK(watch.examine().how_far == reach::not_sent);
  CHECK(!watch.examine().received);
  REQUIRE(::send(fd, ask.data(), ask.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(ask.size()));
  CHECK(watch.examine().how_far == reach::maybe_sent);
  ::close(fd);
}

TEST_CASE("a response that ends with the connection, before the request could be written, is a response") {
  const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto where = loopback(0);
  REQUIRE(::bind(listening, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) == 0);
  REQUIRE(::listen(listening, 1) == 0);
  ::socklen_t size = sizeof where;
  REQUIRE(::getsockname(listening, reinterpret_cast<::sockaddr*>(&where), &size) == 0);
  int accepted = -1;
  std::thread server{[&] {  // says what it has to say, and reads nothing
    accepted = ::accept(listening, nullptr, nullptr);
    const std::string_view response = "HTTP/1.1 413 Too Large\r\n\r\nto the end";
    static_cast<void>(::send(accepted, response.data(), response.size(), MSG_NOSIGNAL));
    ::shutdown(accepted, SHUT_WR);
  }};
  {
    httplib_transport transport;
    const auto r = sync_wait(
        transport.send(std::make_shared<const outgoing>(origin{scheme::http, "127.0.0.1", ntohs(where.sin_port)},
                                                        request::put("/").body(std::string(32U << 20U, 'x')), hasty),
                       1));
    CHECK(kind_of(r) == "response 413");
    if (r) CHECK(r->body == "to the end");
  }
  server.join();
  ::close(accepted);
  ::close(listening);
}

TEST_CASE("without a descriptor to watch it by, a socket is refused and nothing is sent") {
  misbehaving_server server{{respond(200)}};
  http::detail::dead_fd dead;
  http::detail::socket_watch watch{false, dead.fd()};
  ::rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  ::rlimit few = before;
  std::vector<int> held;
  while (held.empty() || held.back() < 200) held.push_back(::dup(dead.fd()));
  few.rlim_cur = 201;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  while (held.back() >= 0) held.push_back(::dup(dead.fd()));  // until there is none
  held.pop_back();
  ::close(held.back());
  const int fd = held.back() = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  watch.begin(false);
  watch.opened(fd);
  const auto where = loopback(server.port());
  const int connected = ::connect(fd, reinterpret_cast<const ::sockaddr*>(&where), sizeof where);
  const int why = errno;
  const auto report = watch.examine();
  for (const int h : held) ::close(h);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(connected == -1);
  CHECK(why == ENOTSOCK);
  CHECK(report.sockets == 0);
  CHECK(report.how_far == reach::not_sent);
}

TEST_CASE("past the bound of workers and queue an attempt is refused, and says so at once") {
  misbehaving_server server{[](const seen_request& r, int) { return r.target == "/hang" ? hang() : respond(200); }};
  httplib_options options;
  options.workers = 1;
  options.queue = 1;
  httplib_transport transport{options};
  stoppable_send running{transport, to(server, request::get("/hang"))};
  REQUIRE(server.wait_until([](const tally& t) { return t.requests == 1; }));
  run_loop loop;
  const context ctx{.scheduler = &loop};
  {
    auto waiting = transport.send(to(server, request::get("/hang")), 1);
    CHECK(!waiting.start({}, ctx));
    auto refused = transport.send(to(server, request::get("/")), 1);
    REQUIRE(refused.start({}, ctx));  // at once
    const auto r = refused.take();
    CHECK(kind_of(r) == "overloaded");
    CHECK(reach_of(r) == "not_sent");
  }  // the one that waits is taken back, and its place is free
  auto next = transport.send(to(server, request::get("/")), 1);
  CHECK(!next.start({}, ctx));
  CHECK(kind_of(running.stop()) == "cancelled");
  CHECK(server.wait_until([](const tally& t) { return t.requests == 2; }));
}

TEST_CASE("connections per origin are bounded; who waits gets one when it is free") {
  misbehaving_server server{[](const seen_request&, int) { return delay(5ms, respond(200)); }};
  httplib_options options;
  options.max_connections = 2;
  httplib_transport transport{options};
  std::vector<std::unique_ptr<stoppable_send>> sends;
  for (int i = 0; i < 8; ++i)
    sends.push_back(std::make_unique<stoppable_send>(transport, to(server, request::get("/"))));
  for (auto& s : sends) CHECK(kind_of(s->result()) == "response 200");
  CHECK(server.connections_seen() <= 2);
  CHECK(server.requests_seen() == 8);
}

TEST_CASE("destroying the transport ends what runs and what waits; each gets its result") {
  misbehaving_server server{[](const seen_request&, int) { return hang(); }};
  httplib_options options;
  options.workers = 2;
  auto transport = std::make_unique<httplib_transport>(options);
  std::vector<std::unique_ptr<stoppable_send>> sends;
  for (int i = 0; i < 6; ++i)
    sends.push_back(std::make_unique<stoppable_send>(*transport, to(server, request::get("/"))));
  REQUIRE(server.wait_until([](const tally& t) { return t.requests == 2; }));
  std::this_thread::sleep_for(20ms);  // until the other threads have handed theirs in
  transport.reset();
  for (auto& s : sends) CHECK(kind_of(s->result()) == "cancelled");
  CHECK(server.wait_until_no_connection());
}

TEST_CASE("an attempt whose awaiter is gone is ended, and its connection with it") {
  misbehaving_server server{{hang(), respond(200)}};
  httplib_transport transport;
  {
    run_loop loop;
    inplace_stop_source source;
    const context ctx{.scheduler = &loop, .stop = source.get_token()};
    auto abandoned = transport.send(to(server, request::get("/")), 1);
    bool called = false;
    const continuation k{[](void* self) noexcept { *static_cast<bool*>(self) = true; }, &called};
    CHECK(!abandoned.start(k, ctx));
    REQUIRE(server.wait_until([](const tally& t) { return t.requests == 1; }));
    CHECK(!called);
  }
  CHECK(server.wait_until_no_connection());
  CHECK(sync_wait(transport.send(to(server, request::get("/")), 1)));
}

TEST_CASE("stopped at any moment, over plain and TLS: one result each, no descriptor and no connection left") {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, std::filesystem::directory_iterator{});
  };
  const auto before = descriptors();
  for (const bool tls : {false, true}) {
    misbehaving_server server{
        [](const seen_request&, int nth) {
          return nth % 3 == 0 ? hang() : nth % 3 == 1 ? respond(200).body("whole") : drip(std::string(50, 'x'), 1ms);
        },
        tls ? with_tls() : server_options{}};
    {
      httplib_transport transport{trusting()};
      random_stream moments{tls ? 1U : 2U};
      int responses = 0, cancelled = 0;
      for (int i = 0; i < 60; ++i) {
        stoppable_send send{transport, to(server, request::get("/"))};
        std::this_thread::sleep_for(std::chrono::microseconds{moments.bits() % 3000});
        const auto r = send.stop();
        responses += r ? 1 : 0;
        cancelled += !r && r.error().kind == error_kind::cancelled ? 1 : 0;
        if (r) CHECK((r->body == "whole" || r->body.size() == 50));
      }
      CHECK(responses + cancelled == 60);
    }
    CHECK(server.wait_until_no_connection());
  }
  CHECK(descriptors() <= before);
}

TEST_CASE("a bound that meets the response: what is called not_sent was never seen by the server") {
  constexpr int threads = 4, each = 150;
  std::mutex mutex;
  std::vector<int> seen(threads * each, 0);
  misbehaving_server server{[&](const seen_request& r, int) {
    const std::lock_guard lock{mutex};
    ++seen[static_cast<std::size_t>(std::stoi(r.target.substr(1)))];
    return respond(200).body("whole");
  }};
  std::vector<std::string> results(threads * each);
  {
    httplib_transport transport;
    std::vector<std::thread> senders;
    for (int t = 0; t < threads; ++t) {
      senders.emplace_back([&, t] {
        random_stream moments{static_cast<std::uint64_t>(t)};
        for (int i = t * each; i < (t + 1) * each; ++i) {
          send_limits l = patient;
          l.total = std::chrono::microseconds{moments.bits() % 400};
          const auto r = sync_wait(transport.send(to(server, request::post("/" + std::to_string(i)).body("x"), l), 1));
          results[static_cast<std::size_t>(i)] = r ? "whole" : kind_of(r) + " " + reach_of(r);
          if (r) CHECK(r->body == "whole");
        }
      });
    }
    for (auto& s : senders) s.join();
  }
  CHECK(server.wait_until_no_connection());
  const std::lock_guard lock{mutex};
  for (std::size_t i = 0; i < results.size(); ++i) {
    CAPTURE(results[i]);
    CHECK((results[i] == "whole" || results[i].starts_with("timeout ")));
    CHECK(seen[i] <= (results[i].ends_with(" not_sent") ? 0 : 1));
  }
}

TEST_CASE("a body from a source is sent whole, with its length or in chunks; one that breaks off ends the attempt") {
  struct source final : chunk_source {
    source(std::string t, bool known, bool breaks) : text{std::move(t)}, announced{known}, fails{breaks} {}
    expected<std::size_t, std::string> read(std::span<char> into) override {
      const std::size_t n = std::min<std::size_t>({into.size(), text.size() - at, std::size_t{7}});
      if (n == 0 && fails) return unexpected<std::string>{"the disk is gone"};
      text.copy(into.data(), n, at);
      at += n;
      return n;
    }
    std::optional<std::uint64_t> size() const override {
      return announced ? std::optional<std::uint64_t>{text.size() + (fails ? 1 : 0)} : std::nullopt;
    }
    std::string text;
    std::size_t at = 0;
    bool announced, fails;
  };
  misbehaving_server server{{respond(200), respond(200), respond(200)}};
  httplib_transport transport;
  const std::string text(100000, 't');
  for (const bool known : {true, false}) {
    const auto r = sync_wait(transport.send(
        to(server, request::put("/").body(body::one_shot(std::make_unique<source>(text, known, false)))), 1));
    CAPTURE(r ? "" : r.error().detail);
    CHECK(kind_of(r) == "response 200");
  }
  CHECK(server.request(0).body_bytes == text.size());
  CHECK(server.request(1).body_bytes == text.size());
  const auto broken = sync_wait(transport.send(
      to(server, request::put("/").body(body::one_shot(std::make_unique<source>(text, false, true)))), 1));
  REQUIRE(!broken);
  CHECK(kind_of(broken) == "invalid_request");
  CHECK(broken.error().detail == "the disk is gone");
}

TEST_CASE("a one-shot body is whole after an attempt that found no connection, and spent after one that did") {
  misbehaving_server server{{close(), respond(200)}};
  server.stop();
  httplib_transport transport;
  const auto what = to(server, request::post("/").body(body::one_shot("once")));
  CHECK(kind_of(sync_wait(transport.send(what, 1))) == "refused");
  server.start();
  CHECK(kind_of(sync_wait(transport.send(what, 2))) == "closed");
  CHECK(server.request(0).body == "once");
  CHECK(!what->facts().replayable);
  CHECK(kind_of(sync_wait(transport.send(what, 3))) == "invalid_request");
  CHECK(server.requests_seen() == 1);
}

TEST_CASE("a Unix-domain socket stands for every origin") {
  server_options so;
  so.family = again_test::family::unix_domain;
  so.unix_path = "/tmp/again-httplib-test-" + std::to_string(::getpid()) + ".sock";
  misbehaving_server server{{respond(200).body("local"), respond(200).body("again"), close()}, so};
  httplib_options options;
  options.unix_socket = so.unix_path;
  httplib_transport transport{options};
  const auto what = std::make_shared<const outgoing>(origin{scheme::http, "service", 80}, request::get("/"), patient);
  CHECK(sync_wait(transport.send(what, 1))->body == "local");
  CHECK(sync_wait(transport.send(what, 1))->body == "again");
  CHECK(server.connections_seen() == 1);
  CHECK(*server.request(0).header("Host") == "service");
  const auto closed = sync_wait(transport.send(what, 1));
  CHECK(kind_of(closed) == "closed");
  CHECK(reach_of(closed) == "maybe_sent");
  const auto secure = sync_wait(transport.send(
      std::make_shared<const outgoing>(origin{scheme::https, "service", 443}, request::get("/"), patient), 1));
  CHECK(kind_of(secure) == "unsupported");
}

TEST_CASE("a plain proxy is asked by absolute URL; https through it is refused where the library could hang") {
  misbehaving_server proxy{{respond(200).body("by proxy")}};
  httplib_options options;
  options.proxy = proxy.url();
  httplib_transport transport{options};
  const auto what = std::make_shared<const outgoing>(origin{scheme::http, "no.such.host.example", 8080},
                                                     request::get("/x?y"), patient);
  const auto r = sync_wait(transport.send(what, 1));
  REQUIRE(r);
  CHECK(r->body == "by proxy");
  CHECK(proxy.request(0).target == "http://no.such.host.example:8080/x?y");
  CHECK(*proxy.request(0).header("Host") == "no.such.host.example:8080");
  if (!http::detail::connect_is_safe<>()) {
    const auto secure =
        sync_wait(transport.send(std::make_shared<const outgoing>(origin{scheme::https, "no.such.host.example", 443},
                                                                  request::get("/"), patient),
                                 1));
    CHECK(kind_of(secure) == "unsupported");
    CHECK(reach_of(secure) == "not_sent");
  }
  const auto credentials = request::get("/").header("proxy-authorization", "Basic c2VjcmV0");
  const auto tunnelled = sync_wait(transport.send(
      std::make_shared<const outgoing>(origin{scheme::https, "no.such.host.example", 443}, credentials, patient), 1));
  CHECK(kind_of(tunnelled) == "unsupported");
  CHECK(proxy.requests_seen() == 1);
}

TEST_CASE("options that contradict themselves are refused with a reason") {
  const auto refusal = [](const std::function<void(httplib_options&)>& spoil) -> std::string {
    httplib_options o;
    spoil(o);
    try {
      httplib_transport t{o};
      return "fine";
    } catch (const std::invalid_argument& e) { return e.what(); }
  };
  CHECK(refusal([](auto&) {}) == "fine");
  CHECK(refusal([](auto& o) { o.workers = 0; }) == "again: httplib_options: workers must be at least 1");
  CHECK(refusal([](auto& o) { o.max_connections = 0; }) ==
        "again: httplib_options: max_connections must be at least 1");
  CHECK(refusal([](auto& o) { o.proxy = "socks5://x"; }).starts_with("again: httplib_options: proxy: "));
  CHECK(refusal([](auto& o) { o.unix_socket = std::string(200, 'x'); }) ==
        "again: httplib_options: the path of unix_socket is too long");
  CHECK(refusal([](auto& o) { o.keep_idle = 0s; }) ==
        "again: httplib_options: keep_idle and keep_at_most must be positive");
}
