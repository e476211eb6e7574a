// SPDX-License-Identifier: MIT
// From a name to an address that takes the request.
#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

TEST_CASE("a silent address is a connect timeout") {
  misbehaving_server server{{blackhole()}};
  transport_under_test transport;
  send_limits l = patient;
  l.connect = 100ms;
  const auto r = run(transport.send(to(server, request::get("/"), l), 1));
  CHECK(kind_of(r) == "connect_timeout");
  CHECK(reach_of(r) == "not_sent");
}

namespace {

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

TEST_CASE("a name server that hangs delays neither a stop nor a bound, neither other sends nor the transport's end") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  const auto names = std::make_shared<hanging>();
  {
    transport_options options = with_threads_for(2);
    options.resolve = [names](const std::string& host) {
      return host == "hangs.example" ? (*names)(host) : std::vector<std::string>{"127.0.0.1"};
    };
    transport_under_test transport{options};
    {
      stoppable_send send{transport, to_name(server, "hangs.example", request::get("/"))};
      names->wait_until_asked();
      CHECK(run(transport.send(to_name(server, "works.example", request::get("/")), 1)));
      const auto r = send.stop();
      CHECK(kind_of(r) == "cancelled");
      CHECK(reach_of(r) == "not_sent");
    }
    send_limits l = patient;
    l.connect = 50ms;
    const auto r = run(transport.send(to_name(server, "hangs.example", request::get("/"), l), 1));
    CHECK(kind_of(r) == "resolve");
    CHECK(reach_of(r) == "not_sent");
  }
  names->release();
  CHECK(server.request(0).header("Host")->starts_with("works.example:"));
}

TEST_CASE("localhost with a dead ::1 works within one attempt") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  transport_options options;
  options.resolve = [](const std::string&) { return std::vector<std::string>{"::1", "127.0.0.1"}; };
  transport_under_test transport{options};
  CHECK(run(transport.send(to_name(server, "localhost", request::post("/").body("x")), 1)));
  CHECK(server.requests_seen() == 1);
}

TEST_CASE("a name without an address is the error resolve") {
  misbehaving_server server{{}};
  transport_options options;
  options.resolve = [](const std::string& host) -> std::vector<std::string> {
    if (host == "throws.example") throw std::runtime_error{"the zone is gone"};
    if (host == "no-memory.example") throw std::bad_alloc{};
    return {};
  };
  transport_under_test transport{options};
  const auto none = run(transport.send(to_name(server, "none.example", request::get("/")), 1));
  CHECK(kind_of(none) == "resolve");
  const auto threw = run(transport.send(to_name(server, "throws.example", request::get("/")), 1));
  REQUIRE(!threw);
  CHECK(threw.error().detail == "'throws.example': the zone is gone");
  const auto short_of_memory = run(transport.send(to_name(server, "no-memory.example", request::get("/")), 1));
  REQUIRE(!short_of_memory);
  CHECK(short_of_memory.error().kind == error_kind::shortage);  // which says nothing of the name
  CHECK(reach_of(short_of_memory) == "not_sent");
}

TEST_CASE("several addresses: after one that failed, later attempts begin with one that worked") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); }};
  transport_options options;
  options.resolve = [](const std::string&) {
    return std::vector<std::string>{"127.0.0.2", "127.0.0.1"};
  };  // the first refuses
  transport_under_test transport{options};
  for (int i = 1; i <= 3; ++i)
    CHECK(run(transport.send(to_name(server, "two.example", request::post("/").body("x")), i)));
  CHECK(server.requests_seen() == 3);
}

namespace {

/// A second listener on the port of a server, on 127.0.0.2: nothing is ever accepted there, but the kernel's backlog connects.
class silent_listener {
 public:
  explicit silent_listener(const misbehaving_server& beside)
      : listening_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    auto where = loopback(beside.port());
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    REQUIRE(::bind(listening_, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) == 0);
    REQUIRE(::listen(listening_, 8) == 0);
  }
  silent_listener(const silent_listener&) = delete;
  silent_listener& operator=(const silent_listener&) = delete;
  ~silent_listener() {
    for (const int fd : connected_) ::close(fd);
    ::close(listening_);
  }
  /// Waits for a connection. It stands in the backlog then, and the request is on its way or there.
  bool reached() {
    connected_.push_back(::accept(listening_, nullptr, nullptr));
    return connected_.back() >= 0;
  }

 private:
  int listening_;
  std::vector<int> connected_;
};

transport_options at_two_addresses(transport_options o = {}) {
  o.resolve = [](const std::string&) { return std::vector<std::string>{"127.0.0.2", "127.0.0.1"}; };
  return o;
}

}  // namespace

TEST_CASE("an address that accepts and never responds is left for another one by the next attempt") {
  misbehaving_server good{[](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); }};
  silent_listener silent{good};
  for (const bool idle : {true, false}) {
    CAPTURE(idle);
    transport_under_test transport{at_two_addresses()};
    const auto what = [&](const send_limits& l) { return to_name(good, "two.example", request::get("/"), l); };
    const auto first = idle ? run(transport.send(what(hasty), 1))
                            : cut_off(transport, what(patient), [&] { return silent.reached(); });
    CHECK(kind_of(first) == "timeout");
    CHECK(kind_of(run(transport.send(what(patient), 2))) == "response 200");
    if (idle) CHECK(silent.reached());  // out of the backlog
  }
}

TEST_CASE("https: an address whose handshake does not finish is left for another one by the next attempt") {
  server_options shown = with_tls();
  shown.tls->own = certificates::shared().issue("ignored", "DNS:two.example");
  misbehaving_server good{[](const seen_request&, int) { return respond(200); }, shown};
  silent_listener silent{good};
  transport_under_test transport{at_two_addresses(trusting())};
  send_limits l = patient;
  l.connect = 200ms;
  const auto what = std::make_shared<const outgoing>(
      origin{scheme::https, "two.example", static_cast<std::uint16_t>(good.port())}, request::get("/"), l);
  CHECK(kind_of(run(transport.send(what, 1))) == "connect_timeout");
  CHECK(kind_of(run(transport.send(what, 2))) == "response 200");
}

TEST_CASE("bounds of forever do not overflow the wait for a name") {
  misbehaving_server server{{respond(200)}};
  transport_options options;
  options.resolve = [](const std::string&) { return std::vector<std::string>{"127.0.0.1"}; };
  transport_under_test transport{options};
  const send_limits endless{.connect = forever, .idle = forever, .total = forever};
  CHECK(kind_of(run(transport.send(to_name(server, "name.example", request::get("/"), endless), 1))) == "response 200");
}
