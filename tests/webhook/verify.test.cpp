// SPDX-License-Identifier: MIT
#include <again/webhook/verify.hpp>

#include <again/webhook/sign.hpp>

#include "webhook/known_keys.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace again;
using namespace again::webhook;
using namespace again_test;
using namespace std::chrono_literals;

namespace {

constexpr wall_time example_time{1614265330s};
constexpr std::string_view content = R"({"test": 2432232314})";
const std::string example_signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

http::headers example() {
  return {{"Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
          {"Webhook-Timestamp", "1614265330"},
          {"Webhook-Signature", example_signature}};
}
http::headers changed(const std::string& name, const std::string& value) { return example().set(name, value); }

std::string_view outcome(const http::headers& fields, std::string_view body = content, wall_time now = example_time,
                         duration tolerance = default_tolerance) {
  const auto message = verify(key_of(hmac_text), fields, body, now, tolerance);
  return message ? "verified" : name(message.error());
}

}  // namespace

TEST_CASE("the published example of Standard Webhooks is authentic") {
  const auto message = verify(key_of(hmac_text), example(), content, example_time);
  REQUIRE(message);
  CHECK(message->id == "msg_p5jXN8AQM9LWM0D4loKWxJek");
  CHECK(message->sent == example_time);
}

TEST_CASE("what was tampered with is refused: body, id, timestamp, signature") {
  CHECK(outcome(example(), R"({"test": 2432232315})") == "no_match");
  CHECK(outcome(example(), "") == "no_match");
  CHECK(outcome(example(), std::string{content} + "\n") == "no_match");
  CHECK(outcome(changed("webhook-id", "msg_other")) == "no_match");
  CHECK(outcome(changed("webhook-timestamp", "1614265331")) == "no_match");
  CHECK(outcome(changed("webhook-signature", "v1,A0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")) == "no_match");
  CHECK(outcome(changed("webhook-signature", "v1,")) == "no_match");
  CHECK(outcome(changed("webhook-signature", example_signature.substr(3))) == "no_match");
}

TEST_CASE("a field that is missing, or there twice, is refused") {
  for (const char* const field : {"webhook-id", "webhook-timestamp", "webhook-signature"}) {
    http::headers without = example();
    without.erase(field);
    CHECK(outcome(without) == "missing_field");
    http::headers twice = example();
    twice.add(field, twice.get(field));
    CHECK(outcome(twice) == "missing_field");
  }
  CHECK(outcome({}) == "missing_field");
}

TEST_CASE("the timestamp may be off by the tolerance, both ways, and no second more") {
  CHECK(outcome(example(), content, example_time + 300s) == "verified");
  CHECK(outcome(example(), content, example_time + 300s + 999ms) == "verified");
  CHECK(outcome(example(), content, example_time + 301s) == "too_old");
  CHECK(outcome(example(), content, example_time - 300s) == "verified");
  CHECK(outcome(example(), content, example_time - 301s) == "too_new");
  CHECK(outcome(example(), content, example_time, 0s) == "verified");
  CHECK(outcome(example(), content, example_time + 1s, 0s) == "too_old");
  CHECK(outcome(example(), content, example_time - 1ns, 0s) == "too_new");
}

TEST_CASE("a timestamp is digits and nothing else") {
  for (const char* const text : {"", "x", "+1614265330", "-1", "01614265330", "1614265330.0", "1614265330x", "0x60",
                                 "1e9", "999999999999", "99999999999999999999999"})
    CHECK(outcome(changed("webhook-timestamp", text)) == "malformed_timestamp");
  const auto far = sign(secret_of(hmac_text), "a", wall_time{9'000'000'000s}, "");
  REQUIRE(far);
  CHECK(outcome(*far, "") == "too_new");
  const auto epoch = sign(secret_of(hmac_text), "a", wall_time{0s}, "");
  CHECK(outcome(*epoch, "", wall_time{1s}) == "verified");
  CHECK(outcome(*epoch, "") == "too_old");
}

TEST_CASE("the boundary between id and timestamp cannot be moved") {
  const signing_keys keys = secret_of(hmac_text);
  http::headers fields = *sign(keys, "msg", example_time, "1614265331.{}");
  fields.set("webhook-id", "msg.1614265330").set("webhook-timestamp", "1614265331");
  CHECK(outcome(fields, "{}") == "malformed_id");
  CHECK(outcome(changed("webhook-id", "")) == "malformed_id");
  CHECK(outcome(changed("webhook-id", "a b")) == "malformed_id");
}

TEST_CASE("one signature among several is enough, and unknown versions are ignored") {
  const std::string wrong = "v1,AAhM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
  CHECK(outcome(changed("webhook-signature", wrong + " " + example_signature)) == "verified");
  CHECK(outcome(changed("webhook-signature", example_signature + " " + wrong)) == "verified");
  CHECK(outcome(changed("webhook-signature", "v2,x v1a,y z " + example_signature)) == "verified");
  CHECK(outcome(changed("webhook-signature", "v2" + example_signature.substr(2))) == "no_match");
  CHECK(outcome(changed("webhook-signature", "v1a" + example_signature.substr(2))) == "no_match");
  std::string many;
  for (int i = 0; i < 15; ++i) many += wrong + " ";
  CHECK(outcome(changed("webhook-signature", many + example_signature)) == "verified");
  CHECK(outcome(changed("webhook-signature", many + wrong + " " + example_signature)) == "no_match");
  std::string unknown;
  for (int i = 0; i < 100; ++i) unknown += "v9,x ";
  CHECK(outcome(changed("webhook-signature", unknown + example_signature)) == "verified");
}

TEST_CASE("during a rotation old and new receivers verify, of both schemes") {
  const signing_keys rotating{std::vector{secret_of(seed_text), secret_of(hmac_text), secret_of(other_hmac_text)}};
  const auto fields = sign(rotating, "a", example_time, "body");
  REQUIRE(fields);
  for (const std::string_view key : {hmac_text, other_hmac_text, public_text, pair_text})
    CHECK(verify(key_of(key), *fields, "body", example_time));
  const std::vector both{key_of("whsec_ZZZZ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), key_of(public_text)};
  CHECK(verify(both, *fields, "body", example_time));
  CHECK(verify(std::vector{both[0]}, *fields, "body", example_time).error() == refusal::no_match);
  CHECK(verify(std::vector<verifying_key>{}, *fields, "body", example_time).error() == refusal::no_match);
}
