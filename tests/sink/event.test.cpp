// SPDX-License-Identifier: MIT
#include <again/sink/event.hpp>

#include <doctest/doctest.h>

using namespace again;

TEST_CASE("an event is made of its id, its body and its headers; key, order and endpoints are set afterwards") {
  event e{"42", "{}", {{"Content-Type", "application/json"}}};
  CHECK(e.id == "42");
  CHECK(e.body == "{}");
  CHECK(e.headers.get("Content-Type") == "application/json");
  CHECK(e.key.empty());
  CHECK(e.order_key.empty());
  CHECK(e.only.empty());
}
