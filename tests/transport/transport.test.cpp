// SPDX-License-Identifier: MIT
// Requests, responses and failures of one attempt; options; Unix-domain sockets and proxies.
#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

TEST_CASE("a response comes back whole: status, headers in order, body, version and where it came from") {
  misbehaving_server server{{respond(200, {{"X-A", "1"}, {"x-a", "2"}}).body("hello")}};
  transport_under_test transport;
  const std::string target = rewrites_queries ? "/a?b=c+d%26e" : "/a?b=c+d%20e";
  const auto r = run(transport.send(to(server, request::get(target)), 1));
  REQUIRE(r);
  CHECK(r->status == 200);
  CHECK(r->body == "hello");
  CHECK(r->version == "1.1");
  CHECK(r->headers.count("X-A") == 2);
  CHECK(r->url.text() == server.url(target));
  CHECK(server.request(0).target == target);
}

TEST_CASE("a query is sent as it is spelled, or not at all") {
  misbehaving_server server{{respond(200)}};
  transport_under_test transport;
  const auto r = run(transport.send(to(server, request::get("/?a=%20&b=%2f")), 1));
  if (rewrites_queries) {
    CHECK(kind_of(r) == "unsupported");
    CHECK(server.requests_seen() == 0);
  } else {
    CHECK(server.request(0).target == "/?a=%20&b=%2f");
  }
}

TEST_CASE("what is sent is what was asked for, and nothing more than HTTP needs") {
  misbehaving_server server{{respond(200), respond(200), respond(200), respond(200)}};
  transport_under_test transport;
  REQUIRE(run(transport.send(to(server, request::post("/p").header("X-One", "1").body("some")), 1)));
  REQUIRE(run(transport.send(to(server, request::post("/p").body("")), 1)));
  REQUIRE(run(transport.send(to(server, request::post("/p").attempt_header("X-Attempt")), 3)));
  REQUIRE(run(transport.send(to(server, request::put("/p").body(std::string(5000, 'x'))), 1)));
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
  const std::string too_long(longest_line_of_a_head * 5 / 2, 'x');
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
      {raw("HTTP/1.1 200 " + too_long + "\r\nContent-Length: 0\r\n\r\n", ending::keep), request::get("/"), "protocol",
       "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nX: " + too_long, ending::keep), request::get("/"), "protocol", "answered", 1},
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
    transport_under_test transport;
    const bool runs_out = std::string_view{r.kind} == "timeout";
    const auto result = run(transport.send(to(server, r.how, runs_out ? hasty : patient), 1));
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
  transport_under_test transport;
  const auto r = run(transport.send(to(server, request::get("/")), 1));
  REQUIRE(r);
  CHECK(r->header("Location") == "/t%2Fx?next=%26a%3Db%20c");
  CHECK(r->header("X-Split") == "a%0D%0ASet-Cookie: b");
  CHECK(run(transport.send(to(server, request::get("/")), 1))->header("X-Tab") == "a\tb");
}

TEST_CASE("a response that was cut short comes with the error") {
  misbehaving_server server{{truncated("half", 8), respond(200).body(std::string(300, 'z'))}};
  transport_under_test transport;
  const auto cut = run(transport.send(to(server, request::get("/")), 1));
  REQUIRE(!cut);
  REQUIRE(cut.error().partial);
  CHECK(cut.error().partial->status == 200);
  CHECK(cut.error().partial->body == "half");
  const auto large = run(transport.send(to(server, request::get("/").max_body(100)), 1));
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
  transport_under_test transport;
  const auto body = [&](request r) {
    const auto result = run(transport.send(to(server, std::move(r)), 1));
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
    transport_under_test transport;
    const auto r = run(
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
  transport_under_test transport;
  const std::string text(100000, 't');
  for (const bool known : {true, false}) {
    const auto r = run(transport.send(
        to(server, request::put("/").body(body::one_shot(std::make_unique<source>(text, known, false)))), 1));
    CAPTURE(r ? "" : r.error().detail);
    CHECK(kind_of(r) == "response 200");
  }
  CHECK(server.request(0).body_bytes == text.size());
  CHECK(server.request(1).body_bytes == text.size());
  const auto broken = run(transport.send(
      to(server, request::put("/").body(body::one_shot(std::make_unique<source>(text, false, true)))), 1));
  REQUIRE(!broken);
  CHECK(kind_of(broken) == "invalid_request");
  CHECK(broken.error().detail == "the disk is gone");
}

TEST_CASE("a one-shot body is whole after an attempt that found no connection, and spent after one that did") {
  misbehaving_server server{{close(), respond(200)}};
  server.stop();
  transport_under_test transport;
  const auto what = to(server, request::post("/").body(body::one_shot("once")));
  CHECK(kind_of(run(transport.send(what, 1))) == "refused");
  server.start();
  CHECK(kind_of(run(transport.send(what, 2))) == "closed");
  CHECK(server.request(0).body == "once");
  CHECK(!what->facts().replayable);
  CHECK(kind_of(run(transport.send(what, 3))) == "invalid_request");
  CHECK(server.requests_seen() == 1);
}

TEST_CASE("a Unix-domain socket stands for every origin") {
  server_options so;
  so.family = again_test::family::unix_domain;
  so.unix_path = "/tmp/again-transport-test-" + std::to_string(::getpid()) + ".sock";
  misbehaving_server server{{respond(200).body("local"), respond(200).body("again"), close()}, so};
  transport_options options;
  options.unix_socket = so.unix_path;
  transport_under_test transport{options};
  const auto what = std::make_shared<const outgoing>(origin{scheme::http, "service", 80}, request::get("/"), patient);
  CHECK(run(transport.send(what, 1))->body == "local");
  CHECK(run(transport.send(what, 1))->body == "again");
  CHECK(server.connections_seen() == 1);
  CHECK(*server.request(0).header("Host") == "service");
  const auto closed = run(transport.send(what, 1));
  CHECK(kind_of(closed) == "closed");
  CHECK(reach_of(closed) == "maybe_sent");
}

TEST_CASE("https over a Unix-domain socket is verified like any other, or is refused") {
  server_options so = with_tls();
  so.family = again_test::family::unix_domain;
  so.unix_path = "/tmp/again-transport-tls-test-" + std::to_string(::getpid()) + ".sock";
  so.tls->own = certificates::shared().issue("ignored", "DNS:service");
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }, so};
  transport_options options = trusting();
  options.unix_socket = so.unix_path;
  transport_under_test transport{options};
  const auto from = [&](const char* host) {
    const auto what = std::make_shared<const outgoing>(origin{scheme::https, host, 443}, request::get("/"), patient);
    return kind_of(run(transport.send(what, 1)));
  };
  CHECK(from("service") == (tls_over_unix_sockets ? "response 200" : "unsupported"));
  CHECK(from("other") == (tls_over_unix_sockets ? "tls_verify" : "unsupported"));
}

TEST_CASE("a plain proxy is asked by absolute URL") {
  misbehaving_server proxy{{respond(200).body("by proxy")}};
  transport_options options;
  options.proxy = proxy.url();
  transport_under_test transport{options};
  const auto what = std::make_shared<const outgoing>(origin{scheme::http, "no.such.host.example", 8080},
                                                     request::get("/x?y"), patient);
  const auto r = run(transport.send(what, 1));
  REQUIRE(r);
  CHECK(r->body == "by proxy");
  CHECK(proxy.request(0).target == "http://no.such.host.example:8080/x?y");
  CHECK(*proxy.request(0).header("Host") == "no.such.host.example:8080");
}

TEST_CASE("a request's own Proxy-Authorization does not go to the origin inside a tunnel") {
  misbehaving_server proxy{{}};
  transport_options options;
  options.proxy = proxy.url();
  transport_under_test transport{options};
  const auto what =
      std::make_shared<const outgoing>(origin{scheme::https, "no.such.host.example", 443},
                                       request::get("/").header("proxy-authorization", "Basic c2VjcmV0"), patient);
  const auto r = run(transport.send(what, 1));
  CHECK(kind_of(r) == "unsupported");
  CHECK(reach_of(r) == "not_sent");
  CHECK(proxy.requests_seen() == 0);
}

TEST_CASE("options that contradict themselves are refused with a reason") {
  const auto refusal = [](const std::function<void(transport_options&)>& spoil) -> std::string {
    transport_options o;
    spoil(o);
    try {
      transport_under_test t{o};
      return "fine";
    } catch (const std::invalid_argument& e) {
      const std::string said = e.what();
      const std::string_view begins = options_name;
      return said.starts_with(begins) ? said.substr(begins.size()) : said;
    }
  };
  CHECK(refusal([](auto&) {}) == "fine");
  CHECK(refusal([](auto& o) { o.max_connections = 0; }) == "max_connections must be at least 1");
  CHECK(refusal([](auto& o) { o.resolver_threads = 0; }) == "resolver_threads must be at least 1");
  CHECK(refusal([](auto& o) { o.proxy = "socks5://x"; }).starts_with("proxy: "));
  CHECK(refusal([](auto& o) { o.proxy = "https://x"; }) == "proxy: only http:// proxies");
  CHECK(refusal([](auto& o) { o.unix_socket = std::string(200, 'x'); }) == "the path of unix_socket is too long");
  CHECK(refusal([](auto& o) { o.keep_idle = 0s; }) == "keep_idle and keep_at_most must be positive");
  CHECK(refusal([](auto& o) {
          o.proxy = "http://127.0.0.1:1";
          o.unix_socket = "/socket";
        }) == "a proxy cannot be reached through unix_socket");
  for (const bool proxy : {true, false}) {
    CHECK(refusal([proxy](auto& o) {
            o.deny_private_addresses = true;
            (proxy ? o.proxy : o.unix_socket) = proxy ? "http://127.0.0.1:1" : "/socket";
          }) == "deny_private_addresses: through a proxy or a Unix-domain socket no address can be seen");
  }
  CHECK(refusal([](auto& o) { o.keep_failed_lookup = -1s; }) == "keep_failed_lookup must be from 0 to 24 h");
}
