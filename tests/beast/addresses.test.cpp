// SPDX-License-Identifier: MIT
// Happy eyeballs (RFC 8305): several addresses of a name race. What holds for every transport: tests/transport/addresses.test.cpp.
#include <again/beast.hpp>

#include <again/coro/sync_wait.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

namespace beast = again::beast;
using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

/// A server on ::1 with the port of another one on 127.0.0.1.
server_options on_ipv6(const misbehaving_server& other) {
  server_options o;
  o.family = family::ipv6;
  o.port = other.port();
  return o;
}
beast::options resolving(std::vector<std::string> addresses) {
  beast::options o;
  o.resolve = [addresses = std::move(addresses)](const std::string&) { return addresses; };
  return o;
}
step closing() { return respond(200, {{"Connection", "close"}}); }

}  // namespace

TEST_CASE("an address that is silent costs the wait for the next one once; then the one that works is remembered") {
  misbehaving_server silent{{blackhole(), closing(), closing(), closing()}};  // one SYN is lost, later ones are not
  misbehaving_server good{[](const seen_request&, int) { return closing(); }, on_ipv6(silent)};
  beast::options options = resolving({"127.0.0.1", "::1"});
  beast::transport transport{options};
  const auto began = std::chrono::steady_clock::now();
  CHECK(kind_of(sync_wait(transport.send(to_name(silent, "two.example", request::get("/")), 1))) == "response 200");
  CHECK(std::chrono::steady_clock::now() - began >= options.next_address_after);
  for (int i = 2; i <= 3; ++i)
    CHECK(kind_of(sync_wait(transport.send(to_name(silent, "two.example", request::post("/").body("x")), i))) ==
          "response 200");
  CHECK(good.requests_seen() == 3);
  CHECK(silent.connections_seen() == 0);
}

TEST_CASE("without that wait the silent address holds the attempt up until its bound") {
  misbehaving_server silent{{blackhole(1h)}};
  misbehaving_server good{[](const seen_request&, int) { return closing(); }, on_ipv6(silent)};
  beast::options options = resolving({"127.0.0.1", "::1"});
  options.next_address_after = 1h;
  beast::transport transport{options};
  send_limits l = patient;
  l.connect = 100ms;
  const auto what = to_name(silent, "two.example", request::get("/"), l);
  CHECK(kind_of(sync_wait(transport.send(what, 1))) == "connect_timeout");
  CHECK(good.connections_seen() == 0);
  CHECK(kind_of(sync_wait(transport.send(what, 2))) == "response 200");  // the next attempt begins with the other one
}

TEST_CASE("an address that refuses is passed over at once, without the wait") {
  misbehaving_server refusing{{}};
  misbehaving_server good{[](const seen_request&, int) { return closing(); }, on_ipv6(refusing)};
  refusing.stop();
  beast::options options = resolving({"127.0.0.1", "::1"});
  options.next_address_after = 1h;
  beast::transport transport{options};
  CHECK(kind_of(sync_wait(transport.send(to_name(good, "two.example", request::get("/")), 1))) == "response 200");
}

TEST_CASE("the families are tried by turns: one that is silent as a whole does not hold up the other") {
  misbehaving_server silent{{blackhole(1h)}};
  misbehaving_server good{[](const seen_request&, int) { return closing(); }, on_ipv6(silent)};
  beast::options options = resolving({"127.0.0.1", "127.0.0.1", "127.0.0.1", "::1"});
  options.next_address_after = 20ms;
  beast::transport transport{options};
  CHECK(kind_of(sync_wait(transport.send(to_name(silent, "four.example", request::get("/")), 1))) == "response 200");
  CHECK(good.requests_seen() == 1);
}

TEST_CASE("of a race one connection is used, and the others are closed") {
  misbehaving_server slow{[](const seen_request&, int) { return respond(200); }};
  misbehaving_server other{[](const seen_request&, int) { return respond(200); }, on_ipv6(slow)};
  {
    beast::options options = resolving({"127.0.0.1", "::1"});
    options.next_address_after = 1ns;  // both at once
    beast::transport transport{options};
    for (int i = 1; i <= 3; ++i)
      CHECK(kind_of(sync_wait(transport.send(to_name(slow, "two.example", request::get("/")), i))) == "response 200");
    CHECK(slow.wait_until([&](const tally& t) { return t.open_connections + other.open_connections() == 1; }));
    CHECK(slow.requests_seen() + other.requests_seen() == 3);
  }
  CHECK(slow.wait_until_no_connection());
  CHECK(other.wait_until_no_connection());
}
