// SPDX-License-Identifier: MIT
// Sends from a loop that is shared with the client's workers.
#include <again/coro/run_loop.hpp>

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/httplib/client.hpp>
#include <again/retry.hpp>

#include "support/misbehaving_server.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

using namespace again_test;
using namespace std::chrono_literals;
using again::http::client;
using again::http::request;

namespace {

constexpr auto at_once =
    again::checked({.attempts = 4, .backoff = again::constant(0ms), .jitter = again::jitter::none});

/// Not atomic: a shared loop is still run by one thread at a time.
struct tallies {
  int answered = 0, failed = 0, sends = 0;
  std::set<std::thread::id> threads;
};
again::task<> sends(client& api, int sender, int count, tallies& t) {
  for (int i = 0; i < count; ++i) {
    const auto r = co_await again::retry(at_once, api.get("/" + std::to_string(1000 * sender + i)));
    t.threads.insert(std::this_thread::get_id());
    if (r) {
      ++t.answered;
    } else {
      ++t.failed;
      t.sends += r.error().attempts();
    }
    if (i % 8 == 0) static_cast<void>(co_await again::sleep_for(100us));
  }
}

}  // namespace

TEST_CASE("a coroutine on a shared loop goes on where its send was made, one coroutine at a time") {
  misbehaving_server server{[](const seen_request&, int nth) {
    return nth == 1 ? respond(503) : nth == 2 ? reset() : respond(200);
  }};
  client api{server.url(""), {}, {.workers = 6}};
  again::run_loop loop;
  loop.share_with_workers();
  tallies t;
  again::sync_wait(loop, [](client& through, tallies& all) -> again::task<> {
    again::scope crowd{co_await again::get_context()};
    for (int i = 0; i < 8; ++i) crowd.spawn(sends(through, i, 60, all));
    co_await crowd.join();
  }(api, t));
  CHECK(t.answered == 480);
  CHECK(t.failed == 0);
  CHECK(server.requests_seen() == 3 * 480);
  CHECK(t.threads.size() > 1);
}

TEST_CASE("sends equal attempts on a shared loop as well") {
  misbehaving_server server{[](const seen_request&, int) { return respond(503); }};
  client api{server.url("")};
  again::run_loop loop;
  loop.share_with_workers();
  tallies t;
  again::sync_wait(loop, sends(api, 0, 20, t));
  CHECK(t.failed == 20);
  CHECK(t.sends == 80);
  CHECK(server.requests_seen() == 80);
}

TEST_CASE("a bound and a stop reach a send from a shared loop") {
  misbehaving_server server{[](const seen_request&, int) { return hang(); }};
  client api{server.url("")};
  again::run_loop loop;
  loop.share_with_workers();
  again::inplace_stop_source source;
  std::thread stops{[&] {
    static_cast<void>(server.wait_until([](const tally& seen) { return seen.requests == 4; }));
    source.request_stop();
  }};
  const auto bounded = again::checked({.attempts = 3, .backoff = again::constant(0ms), .attempt_timeout = 5ms});
  const auto [late, stopped] = again::sync_wait(
      loop, again::when_all(again::retry(bounded, api.get("/late")), again::retry(at_once, api.get("/stopped"))),
      source.get_token());
  stops.join();
  REQUIRE_FALSE(late);
  CHECK(late.error().attempts() == 3);
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().reason() == again::stop_reason::cancelled_in_attempt);
  CHECK(server.wait_until_no_connection());
}

TEST_CASE("a coroutine that runs on a worker may destroy the client, with a send given to that very worker") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200); }};
  for (int round = 0; round < 50; ++round) {
    again::run_loop loop;
    loop.share_with_workers();
    std::optional<client> api{std::in_place, server.url("")};
    const auto r = again::sync_wait(loop, [](std::optional<client>& through) -> again::task<std::string> {
      const auto first = co_await through->get("/first");
      const auto destroys = [](std::optional<client>& it) -> again::task<bool> {
        it.reset();
        co_return true;
      };
      const auto [second, gone] = co_await again::when_all(through->get("/second"), destroys(through));
      co_return (first ? "answered" : "failed") + std::string{", then "} +
          (second ? "answered" : second.error().text());
    }(api));
    CAPTURE(r);
    CHECK((r == "answered, then answered" || r.starts_with("answered, then cancelled")));
  }
  CHECK(server.wait_until_no_connection());
}
