// SPDX-License-Identifier: MIT
#include <again/nats/options.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace again;
using namespace again::nats;

TEST_CASE("a place names servers and a stream") {
  const auto one = parse_place("nats://127.0.0.1:4222/ORDERS");
  REQUIRE(one);
  CHECK(one->servers == std::vector<std::string>{"127.0.0.1:4222"});
  CHECK(one->stream == "ORDERS");
  const auto three = parse_place("nats://a,b:1,,[::1]:2/my-orders_2");
  REQUIRE(three);
  CHECK(three->servers == std::vector<std::string>{"a", "b:1", "[::1]:2"});
  CHECK(three->stream == "my-orders_2");
}

TEST_CASE("what is no place is refused with a sentence") {
  const auto refused = [](std::string place) {
    const auto got = parse_place(place);
    REQUIRE(!got);
    CHECK(got.error().kind == journal::error_kind::invalid);
    return got.error().text;
  };
  CHECK(refused("http://a/b") == "a journal of NATS is nats://HOST,HOST/STREAM");
  for (const char* const bad : {"nats://a", "nats://a/", "nats://a/x.y", "nats://a/x/y", "nats://a/x*", "nats://a/x y"})
    CHECK(refused(bad).find("STREAM is made of letters, digits, '_' and '-'") != std::string::npos);
  CHECK(refused("nats://a/" + std::string(65, 'x')).find("64 at most") != std::string::npos);
  CHECK(refused("nats:///x") == "nats://HOST,HOST/STREAM: names no HOST");
  CHECK(refused("nats://me:secret@a/x") == "a password does not belong into a URL: name a file of credentials");
}
