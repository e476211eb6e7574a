// SPDX-License-Identifier: MIT
#include <again/httplib/detail/send_pool.hpp>
#include <again/httplib/transport.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

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

TEST_CASE("destroying the transport ends attempts that run or wait for a worker") {
  misbehaving_server server{[](const seen_request&, int) { return hang(); }};
  httplib_options options;
  options.workers = 2;
  auto transport = std::make_unique<httplib_transport>(options);
  started_sends sends;
  for (int i = 0; i < 6; ++i) sends.start(*transport, to(server, request::get("/")));
  REQUIRE(server.wait_until([](const tally& t) { return t.requests == 2; }));
  transport.reset();
  CHECK(sends.results() == std::vector<std::string>(6, "cancelled"));
  CHECK(server.wait_until_no_connection());
  CHECK(server.requests_seen() == 2);
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
