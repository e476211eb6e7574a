// SPDX-License-Identifier: MIT
#include <again/http/idempotency.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace again::http;

TEST_CASE("a fresh key is a version 4 UUID, and no two are the same") {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = fresh_idempotency_key();
    REQUIRE(key.size() == 36);
    for (std::size_t at = 0; at < key.size(); ++at) {
      const bool dash = at == 8 || at == 13 || at == 18 || at == 23;
      REQUIRE((dash ? key[at] == '-' : detail::hex_value(key[at]) >= 0));
    }
    REQUIRE(key[14] == '4');
    REQUIRE(std::string{"89ab"}.find(key[19]) != std::string::npos);
    seen.insert(key);
  }
  CHECK(seen.size() == 1000);
}

TEST_CASE("all bits of a UUID but the six fixed ones come from the caller") {
  CHECK(uuid_v4(0, 0) == "00000000-0000-4000-8000-000000000000");
  CHECK(uuid_v4(~0ULL, ~0ULL) == "ffffffff-ffff-4fff-bfff-ffffffffffff");
  CHECK(uuid_v4(0x0123456789abcdefU, 0xfedcba9876543210U) == "01234567-89ab-4def-bedc-ba9876543210");
}

TEST_CASE("keys from a seeded stream repeat with the seed") {
  again::random_stream a{7}, b{7}, c{8};
  const std::string key = fresh_idempotency_key(a);
  CHECK(key == fresh_idempotency_key(b));
  CHECK(key != fresh_idempotency_key(c));
  CHECK(key != fresh_idempotency_key(a));
}

TEST_CASE("a key is 1 to 255 printable ASCII characters") {
  CHECK_FALSE(validate_idempotency_key("order 42 \"x\" \\"));
  CHECK_FALSE(validate_idempotency_key(std::string(255, 'k')));
  CHECK(validate_idempotency_key(""));
  CHECK(validate_idempotency_key(std::string(256, 'k')));
  CHECK(validate_idempotency_key("a\r\nb")->text() == "the Idempotency-Key contains CR (position 1)");
  CHECK(validate_idempotency_key("a\tb"));
  CHECK(validate_idempotency_key("caf\xc3\xa9")->position() == 3);
}

TEST_CASE("the field's value is a quoted string with quotes and backslashes escaped") {
  CHECK(idempotency_key_value("8e03978e-40d5-43dd-bc93-6894a57f9324") == "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");
  CHECK(idempotency_key_value("a\"b\\c") == "\"a\\\"b\\\\c\"");
}
