// SPDX-License-Identifier: MIT
// Proxies: credentials, tunnels, and who gets to see what.
#include <again/beast.hpp>

#include <again/coro/sync_wait.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/tunnel_proxy.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

namespace beast = again::beast;
using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

constexpr const char* established = "HTTP/1.1 200 Connection established\r\n\r\n";
constexpr const char* own_credentials = "Proxy-Authorization: Basic dXNlcjpwYTpzcw==";  // user, pa:ss

beast::options through(const std::string& proxy, bool with_credentials = false) {
  beast::options o = trusting();
  o.proxy = proxy;
  if (with_credentials) {
    o.proxy_user = "user";
    o.proxy_password = "pa:ss";
  }
  return o;
}
std::shared_ptr<const outgoing> secret(const misbehaving_server& server, const send_limits& l = patient) {
  return std::make_shared<const outgoing>(origin{scheme::https, "localhost", static_cast<std::uint16_t>(server.port())},
                                          request::post("/secret").header("Authorization", "Bearer t").body("x"), l);
}

}  // namespace

TEST_CASE("https through a proxy: a tunnel, TLS with the origin inside it, and the connection is used again") {
  for (const bool credentials : {false, true}) {
    CAPTURE(credentials);
    misbehaving_server server{[](const seen_request&, int) { return respond(200).body("through"); }, with_tls()};
    tunnel_proxy proxy{[credentials](const std::string& head) {
      if (!credentials || head.find(own_credentials) != std::string::npos) return established;
      return "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
    }};
    beast::transport transport{through(proxy.url(), credentials)};
    for (int i = 1; i <= 2; ++i) {
      const auto r = sync_wait(transport.send(secret(server), i));
      CAPTURE(r ? std::string{} : r.error().detail);
      REQUIRE(kind_of(r) == "response 200");
      CHECK(r->body == "through");
    }
    const std::string authority = "localhost:" + std::to_string(server.port());
    REQUIRE(proxy.heads().size() == 1);
    const std::string head = proxy.heads()[0];
    CHECK(head.starts_with("CONNECT " + authority + " HTTP/1.1\r\n"));
    CHECK(head.find("\r\nHost: " + authority) != std::string::npos);
    CHECK((head.find(own_credentials) != std::string::npos) == credentials);
    CHECK(head.find("Bearer") == std::string::npos);  // what is for the origin
    const seen_request seen = server.request(0);
    CHECK(seen.target == "/secret");
    CHECK(seen.server_name == "localhost");
    CHECK(seen.header("Proxy-Authorization") == nullptr);  // what is for the proxy
  }
}

TEST_CASE("a proxy that refuses the tunnel: not sent, with what it said, and without the credentials") {
  struct row {
    const char* reply;
    const char* detail;
  };
  const row rows[] = {
      {"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", "(407)"},
      {"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nnever", "(403)"},
      {"HTTP/1.1 502 Bad Gateway\r\n\r\n", "(502)"},
      {"HTTP/1.1 301 Moved\r\nLocation: http://elsewhere/\r\n\r\n", "(301)"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n", "(403)"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP/1.1"},
      {"HTTP/1.1 4", ""},  // and then the end
  };
  for (const row& r : rows) {
    CAPTURE(r.reply);
    misbehaving_server server{{}, with_tls()};
    tunnel_proxy proxy{[&r](const std::string&) { return r.reply; }};
    beast::transport transport{through(proxy.url(), true)};
    const auto what = secret(server);
    for (int i = 1; i <= 2; ++i) {
      const auto got = sync_wait(transport.send(what, i));
      REQUIRE(!got);
      CAPTURE(got.error().detail);
      CHECK(kind_of(got) == "refused");
      CHECK(reach_of(got) == "not_sent");
      CHECK(got.error().detail.find(r.detail) != std::string::npos);
      CHECK(got.error().detail.find("dXNl") == std::string::npos);
    }
    CHECK(server.connections_seen() == 0);
    CHECK(proxy.heads().size() == 2);
  }
}

TEST_CASE("a proxy that says nothing: the bound on connecting ends it, or a stop does") {
  misbehaving_server server{{}, with_tls()};
  tunnel_proxy proxy{[](const std::string&) { return ""; }};
  transport_under_test transport{through(proxy.url())};
  send_limits l = patient;
  l.connect = 50ms;
  const auto late = run(transport.send(secret(server, l), 1));
  CHECK(kind_of(late) == "connect_timeout");
  CHECK(reach_of(late) == "not_sent");
  stoppable_send send{transport, secret(server)};
  while (proxy.heads().size() < 2) std::this_thread::yield();
  const auto stopped = send.stop();
  CHECK(kind_of(stopped) == "cancelled");
  CHECK(reach_of(stopped) == "not_sent");
}

TEST_CASE("inside a tunnel the origin's certificate counts, not the proxy's word") {
  misbehaving_server server{{tls_wrong_host()}, with_tls()};
  tunnel_proxy proxy{[](const std::string&) { return established; }};
  beast::transport transport{through(proxy.url())};
  CHECK(kind_of(sync_wait(transport.send(secret(server), 1))) == "tls_verify");
}

TEST_CASE("bytes after the proxy's consent are nobody's response") {
  misbehaving_server server{{respond(200).body("real")}, with_tls()};
  tunnel_proxy proxy{[](const std::string&) {
    return std::string{established} + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
  }};
  beast::transport transport{through(proxy.url())};
  const auto r = sync_wait(transport.send(secret(server), 1));
  if (r) CHECK(r->body == "real");
  if (!r) CHECK(reach_of(r) == "not_sent");
  CHECK(server.requests_seen() == (r ? 1 : 0));
}

TEST_CASE("http through a proxy with credentials: each request shows them to the proxy, by absolute URL") {
  misbehaving_server proxy{{respond(200), respond(200)}};
  beast::transport transport{through(proxy.url(""), true)};
  for (const char* host : {"a.example", "b.example"}) {
    const auto what = std::make_shared<const outgoing>(origin{scheme::http, host, 80}, request::get("/x"), patient);
    REQUIRE(kind_of(sync_wait(transport.send(what, 1))) == "response 200");
  }
  CHECK(proxy.request(0).target == "http://a.example/x");
  REQUIRE(proxy.request(1).header("Proxy-Authorization") != nullptr);
  CHECK(std::string{"Proxy-Authorization: "} + *proxy.request(1).header("Proxy-Authorization") == own_credentials);
}
