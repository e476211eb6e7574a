// SPDX-License-Identifier: MIT
#include <again/webhook/sign.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/virtual_clock.hpp>
#include <again/http/client.hpp>
#include <again/retry/retry.hpp>
#include <again/webhook/schedule.hpp>
#include <again/webhook/verify.hpp>

#include "support/pretend_transport.hpp"
#include "webhook/known_keys.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace again;
using namespace again::webhook;
using namespace again_test;
using namespace std::chrono_literals;

namespace {

const http::origin example{http::scheme::https, "example.com", 443};
constexpr std::string_view example_id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
constexpr std::string_view example_body = R"({"test": 2432232314})";
constexpr wall_time example_time{1614265330s};

std::string problem(std::string_view id, wall_time at = example_time) {
  const auto fields = sign(secret_of(hmac_text), id, at, "");
  return fields ? "signed" : fields.error().text();
}

/// Sends by the standard schedule to a server that says 500 to all but the last of `attempts`.
auto delivered(pretend_transport& through, http::request r, wall_time begin = example_time) {
  virtual_clock pretend{begin};
  run_loop loop{pretend, 1};
  const http::client_over api{through, example, {.rules = standard_rules}};
  return sync_wait(loop, retry(standard_policy, api.send(std::move(r))));
}
pretend_transport failing_until(std::size_t attempts) {
  return pretend_transport{[left = attempts](const pretend_transport::request&) mutable {
    return again_test::response(--left > 0 ? 500 : 204);
  }};
}

}  // namespace

TEST_CASE("the published example of Standard Webhooks gets its three header fields") {
  const auto fields = sign(secret_of(hmac_text), example_id, example_time + 999ms, example_body);
  REQUIRE(fields);
  CHECK(*fields == http::headers{{"webhook-id", std::string{example_id}},
                                 {"webhook-timestamp", "1614265330"},
                                 {"webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}});
}

TEST_CASE("an id that could be read in two ways is refused") {
  CHECK(problem("msg_1") == "signed");
  CHECK(problem("") == "a webhook's id is empty");
  CHECK(problem("a.1") == "a webhook's id contains '.', which separates the parts of what is signed (position 1)");
  CHECK(problem("a b") == "a webhook's id contains a space (position 1)");
  CHECK(problem("a\r\nX: 1") == "a webhook's id contains CR (position 1)");
  CHECK(problem("\xc3\xa4") == "a webhook's id contains byte 0xC3 (position 0)");
  CHECK(problem("\x7f") == "a webhook's id contains byte 0x7F (position 0)");
  CHECK(problem(std::string(255, 'x')) == "signed");
  CHECK(problem(std::string(256, 'x')) == "a webhook's id is longer than 255 characters");
  CHECK(problem("msg_1", wall_time{-1ns}) == "a webhook cannot be signed with a time before 1970");
  CHECK(problem("msg_1", wall_time{0s}) == "signed");
}

TEST_CASE(
    "every attempt of a schedule over days has the same id, a fresh timestamp and a signature that verifies then") {
  auto through = failing_until(10);
  const signing_keys keys{std::vector{secret_of(seed_text), secret_of(hmac_text)}};
  REQUIRE(delivered(through, signed_with(keys, example_id, http::request::post("/hook").body(example_body))));
  REQUIRE(through.seen.size() == 10);
  std::set<std::string> timestamps;
  const std::vector receivers{key_of(hmac_text), key_of(public_text)};
  for (const auto& r : through.seen) {
    CHECK(r.headers.count("webhook-id") == 1);
    CHECK(r.headers.get("webhook-id") == example_id);
    timestamps.emplace(r.headers.get("webhook-timestamp"));
    const wall_time sent = example_time + (r.at - through.seen[0].at);
    for (const verifying_key& key : receivers) {
      const auto message = verify(key, r.headers, r.body, sent, 0s);
      REQUIRE(message);
      CHECK(message->sent == std::chrono::floor<std::chrono::seconds>(sent));
    }
  }
  CHECK(timestamps.size() == 10);
  CHECK(through.seen.back().at - through.seen.front().at > 60h);
}

TEST_CASE("a signed POST may be sent again, because a receiver takes an id once") {
  CHECK(signed_with(secret_of(hmac_text), "a", http::request::post("/").body("x")).facts().repeatable());
}

TEST_CASE("without a field webhook-id the Idempotency-Key is the id") {
  auto through = failing_until(2);
  REQUIRE(delivered(
      through, http::request::post("/").body("x").idempotency_key_auto().each_attempt(signer{secret_of(hmac_text)})));
  REQUIRE(through.seen.size() == 2);
  CHECK(through.seen[0].key.size() == 36);
  for (const auto& r : through.seen) CHECK(r.headers.get("webhook-id") == through.seen[0].key);
}

TEST_CASE("what cannot be signed is not sent, and the error says why") {
  const auto why = [](http::request r) {
    auto through = failing_until(1);
    const auto sent = delivered(through, std::move(r).each_attempt(signer{secret_of(hmac_text)}));
    REQUIRE(!sent);
    CHECK(through.seen.empty());
    CHECK(sent.error().error()->kind() == http::error_kind::invalid_request);
    return sent.error().error()->detail();
  };
  const auto post = [](http::body b) { return http::request::post("/").body(std::move(b)).header("webhook-id", "a"); };
  CHECK(why(post(http::body::one_shot("x"))) ==
        "a webhook's body has to be in memory to be signed: give it as a string");
  CHECK(why(post(http::body::factory([] { return std::string{"x"}; }))) ==
        "a webhook's body has to be in memory to be signed: give it as a string");
  CHECK(why(http::request::post("/").body("x")) ==
        "a webhook needs an id that is the same on every attempt: set the header field webhook-id, or an "
        "Idempotency-Key");
  CHECK(why(http::request::post("/").body("x").idempotency_key("a.b")) ==
        "a webhook's id contains '.', which separates the parts of what is signed (position 1)");
}

TEST_CASE("fields of the request with these names do not stay beside those of the attempt") {
  auto through = failing_until(1);
  http::request r =
      http::request::post("/").body("").header("Webhook-Signature", "v1,old").header("webhook-timestamp", "1");
  REQUIRE(delivered(through, signed_with(secret_of(hmac_text), "new", std::move(r).header("Webhook-ID", "old"))));
  const http::headers& sent = through.seen[0].headers;
  CHECK(sent.all("webhook-id") == std::vector<std::string_view>{"new"});
  CHECK(sent.all("webhook-timestamp") == std::vector<std::string_view>{"1614265330"});
  CHECK(verify(key_of(hmac_text), sent, "", example_time));
}

TEST_CASE("a request without a body is signed as one with an empty body") {
  auto through = failing_until(1);
  REQUIRE(delivered(through, signed_with(secret_of(hmac_text), "a", http::request::post("/"))));
  CHECK(verify(key_of(hmac_text), through.seen[0].headers, "", example_time));
}
