// SPDX-License-Identifier: MIT
// https: for which hosts a certificate counts, on real handshakes with certificates made here.
#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

using namespace again;
using namespace again::http;
using namespace again_test;
using again::http::request;

namespace {

server_options showing(const std::string& common_name, const std::string& names) {
  server_options o = with_tls();
  o.tls->own = certificates::shared().issue(common_name, names);
  return o;
}

/// Trusts the test authority and finds every name on this machine.
transport_options here() {
  transport_options o = trusting();
  o.resolve = [](const std::string&) { return std::vector<std::string>{"127.0.0.1"}; };
  return o;
}

std::shared_ptr<const outgoing> get_from(const misbehaving_server& server, std::string host) {
  const auto port = static_cast<std::uint16_t>(server.port());
  return std::make_shared<const outgoing>(origin{scheme::https, std::move(host), port}, request::get("/"), patient);
}

}  // namespace

TEST_CASE("https: a certificate counts for the alternative names that it has, as RFC 9525 and curl read them") {
  constexpr bool taken = true, refused = false;
  const struct {
    std::string common_name, names, host;
    bool result;
  } rows[] = {
      {"ignored", "DNS:a.example", "a.example", taken},
      {"ignored", "DNS:b.example,DNS:a.example", "a.example", taken},
      {"ignored", "DNS:a.example", "b.example", refused},
      {"ignored", "DNS:a.example", "a.example.com", refused},
      {"ignored", "DNS:a.example", "www.a.example", refused},
      // the common name
      {"a.example", "DNS:b.example", "a.example", refused},
      {"a.example", "IP:127.0.0.1", "a.example", refused},
      {"a.example", "", "a.example", refused},
      {"*.a.example", "", "www.a.example", refused},
      // case
      {"ignored", "DNS:a.example", "A.Example", taken},
      {"ignored", "DNS:A.EXAMPLE", "a.example", taken},
      {"ignored", "DNS:*.A.EXAMPLE", "www.a.example", taken},
      // the final dot of a name
      {"ignored", "DNS:a.example", "a.example.", taken},
      {"ignored", "DNS:*.a.example", "www.a.example.", taken},
      // wildcards
      {"ignored", "DNS:*.b.example", "a.b.example", taken},
      {"ignored", "DNS:*.b.example", "b.example", refused},
      {"ignored", "DNS:*.b.example", "x.a.b.example", refused},
      {"ignored", "DNS:*", "localhost", refused},
      {"ignored", "DNS:*", "a.example", refused},
      {"ignored", "DNS:*.", "localhost.", refused},
      {"ignored", "DNS:*.com", "example.com", refused},
      {"ignored", "DNS:*.*.example", "a.b.example", refused},
      {"ignored", "DNS:a.*.example", "a.b.example", refused},
      {"ignored", "DNS:f*.b.example", "foo.b.example", refused},
      {"ignored", "DNS:*o.b.example", "foo.b.example", refused},
      {"ignored", "DNS:f*o.b.example", "foo.b.example", refused},
      // names beyond ASCII, in their ASCII form
      {"ignored", "DNS:xn--bcher-kva.example", "xn--bcher-kva.example", taken},
      {"ignored", "DNS:xn--bcher-kva.example", "xn--Bcher-KVA.example", taken},
      {"ignored", "DNS:*.example.com", "xn--bcher-kva.example.com", taken},
      {"ignored", "DNS:*.xn--bcher-kva.example", "a.xn--bcher-kva.example", taken},
      {"ignored", "DNS:xn--*.example.com", "xn--bcher-kva.example.com", refused},
      // addresses
      {"ignored", "IP:127.0.0.1", "127.0.0.1", taken},
      {"ignored", "IP:127.0.0.2", "127.0.0.1", refused},
      {"127.0.0.1", "", "127.0.0.1", refused},
      {"127.0.0.1", "DNS:a.example", "127.0.0.1", refused},
      {"ignored", "DNS:127.0.0.1", "127.0.0.1", refused},
      {"ignored", "DNS:*.0.0.1", "127.0.0.1", refused},
      {"ignored", "DNS:*", "127.0.0.1", refused},
      {"ignored", "IP:::7f00:1", "127.0.0.1", refused},
  };
  for (const auto& row : rows) {
    CAPTURE(row.common_name);
    CAPTURE(row.names);
    CAPTURE(row.host);
    misbehaving_server server{{respond(200)}, showing(row.common_name, row.names)};
    transport_under_test transport{here()};
    const auto r = run(transport.send(get_from(server, row.host), 1));
    CAPTURE(r ? std::string{} : r.error().detail);
    CHECK(kind_of(r) == (row.result == taken ? "response 200" : "tls_verify"));
    CHECK(reach_of(r) == (row.result == taken ? "answered" : "not_sent"));
    CHECK(server.requests_seen() == (row.result == taken ? 1 : 0));
  }
}

TEST_CASE("https: an IPv6 address matches its own form among the alternative names, however that is written") {
  const std::pair<std::string, bool> rows[] = {{"IP:::1", true},
                                               {"IP:0:0:0:0:0:0:0:1", true},
                                               {"IP:::2", false},
                                               {"IP:0.0.0.1", false},
                                               {"DNS:localhost", false}};
  for (const auto& [names, taken] : rows) {
    CAPTURE(names);
    server_options options = showing("::1", names);
    options.family = family::ipv6;
    misbehaving_server server{{respond(200)}, options};
    transport_under_test transport{trusting()};
    CHECK(kind_of(run(transport.send(to(server, request::get("/")), 1))) == (taken ? "response 200" : "tls_verify"));
  }
}

TEST_CASE("https: the server name of the handshake is the host without its final dot, and never an address") {
  const std::pair<std::string, std::string> rows[] = {
      {"a.example", "a.example"}, {"a.example.", "a.example"}, {"127.0.0.1", ""}};
  for (const auto& [host, name] : rows) {
    CAPTURE(host);
    misbehaving_server server{{respond(200)}, showing("ignored", "DNS:a.example,IP:127.0.0.1")};
    transport_under_test transport{here()};
    REQUIRE(kind_of(run(transport.send(get_from(server, host), 1))) == "response 200");
    CHECK(server.request(0).server_name == name);
    CHECK(*server.request(0).header("Host") == host + ":" + std::to_string(server.port()));
  }
}
