// SPDX-License-Identifier: MIT
// A transport that connects to public addresses alone.
#include <again/http/client.hpp>
#include <again/net/detail/route.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again::http;
using namespace again_test;
using again::http::request;

namespace {

transport_options public_only(std::vector<std::string> addresses = {}) {
  transport_options o;
  o.deny_private_addresses = true;
  if (!addresses.empty()) o.resolve = [addresses](const std::string&) { return addresses; };
  return o;
}

/// Sends to the first origin as it is, and to every other one to public addresses alone.
class first_origin_trusted {
 public:
  explicit first_origin_trusted(origin first) : first_{std::move(first)} {}
  send_of_transport send(std::shared_ptr<const outgoing> what, int number) {
    return (what->origin == first_ ? any_ : public_).send(std::move(what), number);
  }

 private:
  const origin first_;
  transport_under_test any_, public_{public_only()};
};

}  // namespace

TEST_CASE("a name that leads to an address which is not public is denied, and nothing is sent") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  for (const std::string address : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254",
                                    "64:ff9b::7f00:1", "fe80::1%lo", "127.1", "localhost"}) {
    CAPTURE(address);
    transport_under_test transport{public_only({address})};
    const auto r = run(transport.send(to_name(server, "rebinding.example", request::post("/").body("x")), 1));
    CHECK(kind_of(r) == "denied");
    CHECK(reach_of(r) == "not_sent");
    REQUIRE(!r);
    CHECK(r.error().detail.starts_with("'rebinding.example': " + address + " is not public ("));
  }
  CHECK(server.connections_seen() == 0);
}

TEST_CASE("an address in the URL is denied as well, by the system's look-up and without one") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  transport_under_test transport{public_only()};
  const auto number = run(transport.send(to(server, request::get("/")), 1));
  REQUIRE(!number);
  CHECK(kind_of(number) == "denied");
  CHECK(number.error().detail == "'127.0.0.1': 127.0.0.1 is not public (loopback, RFC 1122)");
  CHECK(kind_of(run(transport.send(to_name(server, "localhost", request::get("/")), 1))) == "denied");
  CHECK(server.connections_seen() == 0);
}

TEST_CASE("without the option a private address is connected to") {
  misbehaving_server server{{respond(200)}};
  transport_under_test transport;
  CHECK(kind_of(run(transport.send(to(server, request::get("/")), 1))) == "response 200");
}

TEST_CASE("each attempt looks at the address that it connects to: a name that leads elsewhere later is denied") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); }};
  transport_options options = public_only();
  int asked = 0;
  options.resolve = [&asked](const std::string&) {
    return std::vector<std::string>{++asked == 1 ? "10.0.0.1" : "127.0.0.1"};
  };
  transport_under_test transport{options};
  for (const std::string address : {"10.0.0.1", "127.0.0.1"}) {
    const auto r = run(transport.send(to_name(server, "rebinding.example", request::get("/")), 1));
    REQUIRE(!r);
    CHECK(r.error().detail.find(address) != std::string::npos);
  }
  CHECK(server.connections_seen() == 0);
}

TEST_CASE("of several addresses only the public ones are tried") {
  const http::detail::route via{.unix_socket = {}, .proxy_host = {}, .public_only = true};
  std::vector<std::string> addresses{"10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", "127.0.0.1"};
  CHECK(via.keep_allowed(addresses) == "10.0.0.1 is not public (private use, RFC 1918)");
  CHECK(addresses == std::vector<std::string>{"8.8.8.8", "2606:4700::1111"});
  CHECK(via.keep_allowed(addresses).empty());
  CHECK(addresses.size() == 2);
}

TEST_CASE("a redirect into the own network is denied, and permanent") {
  misbehaving_server inside{[](const seen_request&, int) { return respond(200); }};
  for (const std::string host : {"localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0"}) {
    CAPTURE(host);
    const std::string there = "http://" + host + ":" + std::to_string(inside.port()) + "/secret";
    misbehaving_server outside{{respond(302, {{"Location", there}})}};
    const auto where = parse_url(outside.url());
    REQUIRE(where);
    first_origin_trusted transport{where->origin};
    client_over api{transport, where->origin, {.max_redirects = 5}};
    const auto r = run(api.get("/"));
    REQUIRE(!r);
    CHECK(r.error().kind() == error_kind::denied);
    CHECK(r.error().redirects() == 1);
    CHECK(r.error().verdict().kind == disposition::permanent);
  }
  CHECK(inside.connections_seen() == 0);
}
