// SPDX-License-Identifier: MIT
// How a client over cpp-httplib is made. What it does: tests/transport/client.test.cpp.
#include <again/httplib/client.hpp>

#include <again/coro/sync_wait.hpp>

#include "support/misbehaving_server.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string_view>
#include <utility>

using namespace again;
using namespace again::http;
using namespace again_test;

TEST_CASE("a bad URL is refused with a reason: thrown, or returned") {
  CHECK_THROWS_WITH_AS(client{"127.0.0.1:8080"},
                       "again::http::client: a URL begins with http:// or https:// (position 0)",
                       std::invalid_argument);
  CHECK_THROWS_AS(client{"http://host/path"}, std::invalid_argument);
  try {
    client{"http://u:secret@h"};
    FAIL("a password in a URL was taken");
  } catch (const std::invalid_argument& e) {
    CHECK(std::string_view{e.what()}.find("secret") == std::string_view::npos);
  }
  const auto bad = client::open("ftp://x");
  REQUIRE(!bad);
  CHECK(bad.error().reason() == "only http:// and https:// are supported");
  misbehaving_server server{{respond(200)}};
  auto good = client::open(server.url(""));
  REQUIRE(good);
  client moved = std::move(*good);
  CHECK(sync_wait(moved.get("/")));
}
