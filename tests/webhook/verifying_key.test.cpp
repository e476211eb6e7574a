// SPDX-License-Identifier: MIT
#include <again/webhook/verifying_key.hpp>

#include "webhook/known_keys.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace again::webhook;
using namespace again_test;

namespace {

std::string problem(std::string_view text) {
  const auto parsed = verifying_key::parse(text);
  return parsed ? "taken" : parsed.error().text();
}
std::string without_version(std::string signature) { return signature.substr(signature.find(',') + 1); }

}  // namespace

TEST_CASE("what a secret signs, its key verifies, and nothing else") {
  for (const std::string_view text : {hmac_text, seed_text, pair_text}) {
    const secret signs = secret_of(text);
    const std::string signature = without_version(signs.signature("a.1.body"));
    const verifying_key key = key_of(text);
    CHECK(key.scheme() == signs.scheme());
    CHECK(key.matches("a.1.body", signature));
    CHECK(verifying_key{signs}.matches("a.1.body", signature));
    CHECK_FALSE(key.matches("a.1.bodY", signature));
    CHECK_FALSE(key.matches("", signature));
    CHECK_FALSE(key.matches("a.1.body", ""));
    CHECK_FALSE(key.matches("a.1.body", signature + "A"));
    CHECK_FALSE(key.matches("a.1.body", signature.substr(1)));
    CHECK_FALSE(key.matches("a.1.body", without_version(secret_of(other_hmac_text).signature("a.1.body"))));
  }
}

TEST_CASE("a public key verifies what its private key signed") {
  const verifying_key key = key_of(public_text);
  CHECK(key.scheme() == scheme::ed25519);
  CHECK(key.matches("x", without_version(secret_of(seed_text).signature("x"))));
  CHECK_FALSE(key.matches("y", without_version(secret_of(seed_text).signature("x"))));
}

TEST_CASE("a text that is no key is refused with a sentence") {
  CHECK(problem("whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo") ==
        "after whpk_ comes an ed25519 public key: 32 bytes in base64");
  CHECK(problem("whpk_") == "after whpk_ comes an ed25519 public key: 32 bytes in base64");
  CHECK(problem("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") ==
        "after whpk_ comes an ed25519 public key: 32 bytes in base64");
  CHECK(problem("secret") == "a webhook secret begins with whsec_ (HMAC) or whsk_ (ed25519)");
}
