// SPDX-License-Identifier: MIT
// The HTTP client, whose transport has threads of its own, inside Asio's loop.
#include <again/asio/async_retry.hpp>

#include <again/httplib/client.hpp>
#include <again/protection/hedge.hpp>

#include "asio_under_test.hpp"
#include "support/misbehaving_server.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>

using namespace again_test;
using namespace std::chrono_literals;
using again::http::client;

namespace {

constexpr auto quick = again::checked({.attempts = 4, .backoff = again::constant(1ms), .deadline = 30s});

}  // namespace

TEST_CASE("HTTP sends are retried in a coroutine of Asio, which goes on on its own thread") {
  misbehaving_server server{{respond(503), respond(503), respond(200).body("quote")}};
  client api{server.url()};
  net::io_context io;
  std::string body;
  auto get = [](client& from, std::string& to) -> net::awaitable<void> {
    const auto here = std::this_thread::get_id();
    auto response = co_await again::asio::async_retry(quick, from.get("/quote"));
    CHECK(here == std::this_thread::get_id());
    REQUIRE(response);
    to = response->body;
  };
  net::co_spawn(io, get(api, body), [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
  CHECK(body == "quote");
  CHECK(server.requests_seen() == 3);
}

TEST_CASE("a send is cancelled by Asio's signal while the server is silent") {
  misbehaving_server server{{}, {.otherwise = hang()}};
  client api{server.url()};
  net::io_context io;
  net::cancellation_signal stop;
  std::optional<again::stop_reason> reason;
  again::asio::async_retry(io, quick, api.get("/quote"),
                           net::bind_cancellation_slot(
                               stop.slot(), [&](const std::exception_ptr&, auto r) { reason = r.error().reason(); }));
  while (server.requests_seen() == 0) io.poll();
  stop.emit(net::cancellation_type::terminal);
  io.run();
  CHECK(reason == again::stop_reason::cancelled_in_attempt);
}

TEST_CASE("an io_context that is destroyed while sends run: they end, and no handler is called") {
  misbehaving_server server{{}, {.otherwise = hang()}};
  client api{server.url()};
  bool called = false;
  {
    net::io_context io;
    for (int i = 0; i < 4; ++i)
      again::asio::async_retry(io, quick, api.get("/quote"), [&](auto&&...) { called = true; });
    while (server.requests_seen() < 4) io.poll();
  }
  CHECK_FALSE(called);
}

TEST_CASE("a hundred sends on a pool of four threads") {
  misbehaving_server server{{}, {.otherwise = respond(200)}};
  client api{server.url()};
  net::thread_pool pool{4};
  std::atomic<int> good{0};
  for (int i = 0; i < 100; ++i) {
    again::asio::async_retry(pool, quick, api.get("/quote"),
                             [&](const std::exception_ptr&, auto r) { good += r ? 1 : 0; });
  }
  pool.join();
  CHECK(good == 100);
  CHECK(server.requests_seen() == 100);
}
