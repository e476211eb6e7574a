// SPDX-License-Identifier: MIT
// `request::status_decides`: a response is complete with its head, whatever happens to its body.
#include <again/http/client.hpp>
#include <again/retry/retry.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;

namespace {

/// A server for one request: sends a head and then a body without end, until the client is gone.
class endless_server {
 public:
  static constexpr std::size_t far_beyond_the_sockets_buffers = std::size_t{32} << 20U;

  endless_server() : listening_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    ::sockaddr_in where = loopback(0);
    ::socklen_t size = sizeof where;
    auto* const name = reinterpret_cast<::sockaddr*>(&where);
    REQUIRE(::bind(listening_, name, size) == 0);
    REQUIRE(::listen(listening_, 1) == 0);
    REQUIRE(::getsockname(listening_, name, &size) == 0);
    origin = {scheme::http, "127.0.0.1", ntohs(where.sin_port)};
    thread_ = std::thread{[this] { serve(); }};
  }
  endless_server(const endless_server&) = delete;
  endless_server& operator=(const endless_server&) = delete;
  ~endless_server() {
    thread_.join();
    ::close(listening_);
  }
  /// Waits until the client must have read something of the body. False: it went away before.
  bool body_is_read() const {
    sent_.wait(0);
    return sent_ > 0;
  }

  http::origin origin;

 private:
  void serve() {
    const int client = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    char request[4096];
    REQUIRE(::recv(client, request, sizeof request, 0) > 0);
    const std::string head = "HTTP/1.1 200 OK\r\n\r\n", part(65536, 'x');
    REQUIRE(::send(client, head.data(), head.size(), MSG_NOSIGNAL) > 0);
    std::size_t sent = 0;
    for (;;) {
      ::pollfd one{client, POLLOUT | POLLRDHUP, 0};  // a send that blocks would not see the client go
      if (::poll(&one, 1, -1) != 1 || (one.revents & ~POLLOUT) != 0) break;
      const auto n = ::send(client, part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) break;
      sent += static_cast<std::size_t>(n);
      if (sent > far_beyond_the_sockets_buffers) tell(1);
    }
    tell(-1);
    ::close(client);
  }
  void tell(int what) {
    int nothing = 0;
    if (sent_.compare_exchange_strong(nothing, what)) sent_.notify_all();
  }

  int listening_;
  std::atomic<int> sent_{0};
  std::thread thread_;
};

request asked(const drain_limits& d = {}) { return request::post("/").body("{}").status_decides(d); }

}  // namespace

TEST_CASE(
    "where the status decides, a response whose body is too large, endless, slow, broken or cut short is a response") {
  const std::string large(100'000, 'x');
  struct row {
    const char* what;
    step does;
  };
  const row rows[] = {
      {"larger than it is read, by its length", respond(202).body(large)},
      {"larger than it is read, in chunks", respond(202).body(large).in_chunks()},
      {"larger than it is read, until the connection ends", respond(202).body(large).close_delimited()},
      {"dripping", drip(large, 1ms)},
      {"stalled", stall_body("half", 8)},
      {"cut short", truncated("half", 8)},
      {"cut short by a reset", truncated("half", 8, ending::reset)},
      {"chunks that are malformed",
       raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", ending::keep)},
      {"a length that means nothing", raw("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhalf", ending::keep)},
      {"after an interim response",
       raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf", ending::keep)},
  };
  for (const bool tls : {false, true}) {
    for (const row& r : rows) {
      CAPTURE(r.what);
      CAPTURE(tls);
      misbehaving_server server{{r.does}, tls ? with_tls() : server_options{}};
      transport_under_test transport{trusting()};
      const auto result = run(transport.send(to(server, asked({.time = 50ms})), 1));
      REQUIRE(result);
      CHECK(result->status / 100 == 2);
      CHECK(result->body_cut);
      CHECK(result->body.size() <= drain_limits{}.keep);
      CHECK(server.wait_until_no_connection());
      CHECK(server.requests_seen() == 1);
    }
  }
}

TEST_CASE("a body within the limits is whole, and its connection is used again with the limits of the next request") {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    misbehaving_server server{{respond(200).body("all of it"), drip("slow", 2ms), delay(60ms, respond(200))},
                              tls ? with_tls() : server_options{}};
    transport_under_test transport{trusting()};
    const auto at_once = run(transport.send(to(server, asked()), 1));
    REQUIRE(at_once);
    CHECK(at_once->body == "all of it");
    CHECK(!at_once->body_cut);
    const auto slow = run(transport.send(to(server, asked({.time = 20s})), 1));
    REQUIRE(slow);
    CHECK(slow->body == "slow");
    CHECK(!slow->body_cut);
    CHECK(run(transport.send(to(server, asked({.time = 1ms})), 1)));  // no limit before the head
    CHECK(server.connections_seen() == 1);
  }
}

TEST_CASE("of a body that was read no more is kept than the request says") {
  misbehaving_server server{{respond(200).body("0123456789"), respond(200).body("0123456789")}};
  transport_under_test transport;
  const auto some = run(transport.send(to(server, asked({.keep = 4})), 1));
  REQUIRE(some);
  CHECK(some->body == "0123");
  CHECK(some->body_cut);
  const auto all = run(transport.send(to(server, asked({.keep = 10, .read = 0})), 1));
  REQUIRE(all);
  CHECK(all->body == "0123456789");
  CHECK(!all->body_cut);
  CHECK(server.connections_seen() == 1);
}

TEST_CASE("what stops an attempt after the head of the response gives the response") {
  constexpr std::uint64_t no_bound = std::uint64_t{1} << 40U;
  for (const bool by_status : {true, false}) {
    CAPTURE(by_status);
    endless_server server;
    transport_under_test transport;
    request r = request::post("/").body("{}").max_body(no_bound);
    if (by_status) r.status_decides({.keep = 4, .read = no_bound, .time = 1h});
    const auto what = std::make_shared<const outgoing>(server.origin, std::move(r), patient);
    const auto result = cut_off(transport, what, [&server] { return server.body_is_read(); });
    CHECK(kind_of(result) == (by_status ? "response 200" : "timeout"));
    CHECK(reach_of(result) == "answered");
    if (!by_status) continue;
    CHECK(result->body == "xxxx");
    CHECK(result->body_cut);
  }
}

TEST_CASE("a refusal keeps its status, its Retry-After and its verdict where its body is cut short") {
  transport_under_test transport;
  step busy = truncated("busy", 9).header("Retry-After", "30");
  busy.status = 503;
  misbehaving_server refusing{{busy}};
  client_over<transport_under_test> api{transport, parse_url(refusing.url(""))->origin};
  const auto r = run(api.send(asked())());
  REQUIRE(!r);
  CHECK(r.error().kind() == error_kind::status);
  CHECK(r.error().status() == 503);
  CHECK(r.error().verdict().server_delay == 30s);
  CHECK(r.error().response()->body == "busy");
  CHECK(r.error().response()->body_cut);
}
