// SPDX-License-Identifier: MIT
// What a function may do to the header fields of each attempt: over a pretend transport, in pretend time.
#include <again/http/attempt_hook.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/http/client.hpp>
#include <again/retry/retry.hpp>

#include "support/pretend_transport.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

using namespace again;
using namespace again::http;
using namespace std::chrono_literals;

static_assert(std::is_constructible_v<attempt_hook, void (*)(const attempt_info&, headers&)>);
static_assert(std::is_constructible_v<attempt_hook, std::optional<invalid> (*)(const attempt_info&, headers&)>);
static_assert(!std::is_constructible_v<attempt_hook, void (*)(int)>);
static_assert(!std::is_constructible_v<attempt_hook, int (*)(const attempt_info&, headers&)>);
static_assert(std::is_nothrow_move_constructible_v<request> && std::is_copy_constructible_v<request>);

namespace {

const origin example{scheme::http, "example.com", 80};
constexpr policy three{
    .attempts = 3, .backoff = constant(10s), .jitter = jitter::none, .attempt_timeout = 5s, .deadline = 60s};

/// A server that says 503 to all but the last of `attempts`.
auto busy_until(std::size_t attempts) {
  return [left = attempts](const again_test::pretend_transport::request&) mutable {
    return again_test::response(--left > 0 ? 503 : 200);
  };
}

auto retried(again_test::pretend_transport& through, request r, client_options options = {}) {
  virtual_clock pretend{wall_time{1000s}};
  run_loop loop{pretend};
  const client_over api{through, example, std::move(options)};
  return sync_wait(loop, retry(three, api.send(std::move(r))));
}

std::string reason(request r) {
  again_test::pretend_transport through{busy_until(1)};
  const auto sent = retried(through, std::move(r));
  if (sent) return "sent";
  REQUIRE(sent.error().error());
  CHECK(sent.error().error()->kind() == error_kind::invalid_request);
  CHECK(sent.error().error()->reach() == reach::not_sent);
  CHECK(sent.error().reason() == stop_reason::permanent);
  CHECK(through.seen.empty());
  return sent.error().error()->detail();
}

}  // namespace

TEST_CASE("a hook prepares the header fields of each attempt, and knows its number and the time of the loop") {
  again_test::pretend_transport through{busy_until(3)};
  const auto stamp = [](const attempt_info& at, headers& fields) {
    fields.set("X-Sent", std::to_string(at.now.time_since_epoch() / 1s));
    fields.add("X-Number", std::to_string(at.number));
  };
  REQUIRE(retried(through, request::get("/").header("x-sent", "never").each_attempt(stamp)));
  REQUIRE(through.seen.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(through.seen[i].headers.all("X-Sent") == std::vector<std::string_view>{std::to_string(1000 + 10 * i)});
    CHECK(through.seen[i].headers.all("X-Number") == std::vector<std::string_view>{std::to_string(i + 1)});
  }
}

TEST_CASE("a hook sees the request that is sent: target, body, key and the client's own fields") {
  again_test::pretend_transport through{busy_until(2)};
  std::vector<std::string> seen;
  const auto look = [&seen](const attempt_info& at, headers& fields) {
    seen.push_back(at.request.target() + " " + std::string{at.request.body().bytes().value_or("none")} + " " +
                   at.request.idempotency_key() + " " + std::string{fields.get("X-Default")});
  };
  REQUIRE(retried(through, request::post("/a").body("moo").idempotency_key("k").each_attempt(look),
                  {.headers = {{"X-Default", "yes"}}}));
  CHECK(seen == std::vector<std::string>{"/a moo k yes", "/a moo k yes"});
  CHECK(through.seen[1].key == "k");
  CHECK(through.seen[1].body == "moo");
}

TEST_CASE("a hook cannot frame the message, set Host, or break a line: the attempt fails and says why") {
  const auto setting = [](std::string name, std::string value) {
    return request::get("/").each_attempt(
        [name, value](const attempt_info&, headers& fields) { fields.add(name, value); });
  };
  for (const std::string name : {"Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Upgrade"})
    CHECK(reason(setting(name, "1")) == "header '" + name + "' is set by the transport alone");
  CHECK(reason(setting("X", "a\r\nEvil: 1")) == "header 'X': its value contains CR (position 1)");
  CHECK(reason(setting("X Y", "a")) == "a header's name contains a space (position 1)");
  CHECK(reason(setting("X", "a")) == "sent");
}

TEST_CASE("every attempt is checked, not the first alone") {
  again_test::pretend_transport through{busy_until(3)};
  const auto later = [](const attempt_info& at, headers& fields) {
    if (at.number == 2) fields.add("Host", "evil");
  };
  const auto sent = retried(through, request::get("/").each_attempt(later));
  REQUIRE(!sent);
  CHECK(sent.error().error()->kind() == error_kind::invalid_request);
  CHECK(sent.error().attempts() == 2);
  CHECK(through.seen.size() == 1);
}

TEST_CASE("a hook cannot change the Idempotency-Key") {
  const std::string why = "each_attempt changed the Idempotency-Key, which is the same for all attempts";
  const auto set = [](const attempt_info&, headers& fields) { fields.set("idempotency-key", "\"mine\""); };
  const auto erase = [](const attempt_info&, headers& fields) { fields.erase("Idempotency-Key"); };
  CHECK(reason(request::post("/").each_attempt(set)) == why);
  CHECK(reason(request::post("/").idempotency_key("k").each_attempt(set)) == why);
  CHECK(reason(request::post("/").header("Idempotency-Key", "\"k\"").each_attempt(set)) == why);
  CHECK(reason(request::post("/").header("Idempotency-Key", "\"k\"").each_attempt(erase)) == why);
}

TEST_CASE("a hook may refuse an attempt with a sentence; it may throw, and that ends the operation") {
  const auto refuse = [](const attempt_info&, headers&) { return std::optional{invalid{"no token"}}; };
  CHECK(reason(request::get("/").each_attempt(refuse)) == "no token");
  const auto fine = [](const attempt_info&, headers&) { return std::optional<invalid>{}; };
  CHECK(reason(request::get("/").each_attempt(fine)) == "sent");

  again_test::pretend_transport through{busy_until(1)};
  const auto fail = [](const attempt_info&, headers&) { throw std::runtime_error{"broken"}; };
  CHECK_THROWS_WITH(static_cast<void>(retried(through, request::get("/").each_attempt(fail))), "broken");
  CHECK(through.seen.empty());
}

TEST_CASE("hooks are called in the order in which they were added, up to the first that refuses") {
  std::string order;
  const auto adding = [&order](char c) { return [&order, c](const attempt_info&, headers&) { order += c; }; };
  const auto refuse = [&order](const attempt_info&, headers&) {
    order += 'r';
    return std::optional{invalid{"no"}};
  };
  CHECK(reason(request::get("/").each_attempt(adding('a')).each_attempt(adding('b'))) == "sent");
  CHECK(order == "ab");
  order.clear();
  CHECK(reason(request::get("/").each_attempt(adding('a')).each_attempt(refuse).each_attempt(adding('b'))) == "no");
  CHECK(order == "ar");
  CHECK_FALSE(attempt_hook{});
  CHECK_FALSE(attempt_hook{}.then({}));
}

TEST_CASE("a hook is called once for an attempt with redirects, and what it wrote stays with the origin") {
  again_test::pretend_transport through{[](const again_test::pretend_transport::request& r) {
    auto moved = again_test::response(307);
    if (r.target == "/a") moved.result->headers.add("Location", "/b");
    if (r.target == "/b") moved.result->headers.add("Location", "http://elsewhere.example/c");
    return r.target == "/c" ? again_test::response(200) : moved;
  }};
  int calls = 0;
  const auto token = [&calls](const attempt_info&, headers& fields) {
    ++calls;
    fields.set("Authorization", "Bearer secret");
  };
  REQUIRE(retried(through, request::get("/a").max_redirects(5).each_attempt(token)));
  CHECK(calls == 1);
  REQUIRE(through.seen.size() == 3);
  CHECK(through.seen[0].headers.contains("Authorization"));
  CHECK(through.seen[1].headers.contains("Authorization"));
  CHECK_FALSE(through.seen[2].headers.contains("Authorization"));
}

TEST_CASE("with a hook too, an attempt that was not sent leaves a one-shot body and its findings to the next one") {
  const auto nothing = [](const attempt_info&, headers&) {};
  const auto all = std::make_shared<const outgoing>(
      example, request::post("/").body(body::one_shot("once")).each_attempt(nothing), send_limits{});
  const outgoing first{all, *all->request.for_attempt(1, {})};
  const outgoing second{all, *all->request.for_attempt(2, {})};
  auto content = first.open_body();
  REQUIRE(content);
  CHECK_FALSE(all->facts().replayable);
  CHECK_FALSE(second.open_body());
  first.give_back(std::move(*content));
  CHECK(second.facts().replayable);
  CHECK(second.open_body());
  first.need_fresh_connection(true);
  CHECK(second.needs_fresh_connection());
}
