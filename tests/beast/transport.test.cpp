// SPDX-License-Identifier: MIT
// Where the transport runs: on a thread of its own, on the caller's loop, on a strand, on a pool of threads. What it does there is in
// tests/transport/.
#include <again/beast.hpp>

#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/retry.hpp>

#include "support/misbehaving_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <string>
#include <thread>

namespace net = boost::asio;
namespace beast = again::beast;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;

namespace {

constexpr again::policy four{.attempts = 4,
                             .backoff = again::constant(1ms),
                             .jitter = again::jitter::none,
                             .attempt_timeout = 5s,
                             .deadline = 20s};

origin origin_of(const misbehaving_server& s) { return parse_url(s.url("/"))->origin; }

}  // namespace

TEST_CASE("on a thread of its own: the result comes to the loop that awaits it") {
  misbehaving_server server{{respond(503), respond(200).body("whole")}};
  beast::transport transport;
  client_over api{transport, origin_of(server)};
  const auto here = std::this_thread::get_id();
  std::thread::id resumed;
  const auto r = again::sync_wait([&]() -> again::task<std::string> {
    auto got = co_await again::retry(four, api.get("/"));
    resumed = std::this_thread::get_id();
    co_return got ? got->body : std::string{name(got.error().reason())};
  }());
  CHECK(r == "whole");
  CHECK(resumed == here);
  CHECK(server.requests_seen() == 2);
  CHECK(server.connections_seen() == 1);
}

TEST_CASE("on the caller's io_context: a retry in an awaitable, one thread, and the loop ends when the work is done") {
  misbehaving_server server{{respond(503), respond(200).body("whole")}};
  net::io_context io;
  beast::transport transport{io.get_executor()};
  client_over api{transport, origin_of(server)};
  std::string seen;
  net::co_spawn(
      io,
      [&]() -> net::awaitable<void> {
        auto got = co_await again::asio::async_retry(four, api.get("/"));
        seen = got ? got->body : std::string{name(got.error().reason())};
      },
      net::detached);
  io.run();
  CHECK(seen == "whole");
  CHECK(server.connections_seen() == 1);
}

TEST_CASE("on a strand, and on a pool of four threads: many at once, one result each") {
  misbehaving_server server{[](const seen_request& r, int) { return respond(200).body(r.target); }};
  net::thread_pool threads{4};
  for (const bool strand : {false, true}) {
    CAPTURE(strand);
    const net::any_io_executor ex =
        strand ? net::any_io_executor{net::make_strand(threads)} : net::any_io_executor{threads.get_executor()};
    beast::transport transport{ex, {.max_connections = 8}};
    client_over api{transport, origin_of(server)};
    std::vector<std::future<std::string>> results;
    for (int i = 0; i < 100; ++i) {
      results.push_back(net::co_spawn(
          ex,
          [&api, i]() -> net::awaitable<std::string> {
            auto got = co_await again::asio::async_retry(four, api.get("/" + std::to_string(i)));
            co_return got ? got->body : std::string{name(got.error().reason())};
          },
          net::use_future));
    }
    for (int i = 0; i < 100; ++i) CHECK(results[static_cast<std::size_t>(i)].get() == "/" + std::to_string(i));
  }
  CHECK(server.requests_seen() == 200);
}
