// SPDX-License-Identifier: MIT
#include <again/sink/delivery.hpp>

#include <again/http/client.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace again;

namespace {
endpoint_outcome delivered_at(const char* where, int attempts) {
  return {where, http::response{200}, attempts, duration{}, attempt_trace{}};
}
endpoint_outcome failed_at(const char* where, int attempts, stop_reason why) {
  return {where, endpoint_outcome::result_type{unexpect, failure<http::error>{{.reason = why, .attempts = attempts}}},
          attempts, duration{}, attempt_trace{}};
}
}  // namespace

TEST_CASE("a delivery is ok only if there are outcomes and all of them are ok") {
  delivery d{event{"1", "body", {{"A", "b"}}}};
  CHECK(!d);
  d.outcomes.push_back(delivered_at("a", 2));
  CHECK(d);
  CHECK(!d.reason());
  CHECK(d.failed() == nullptr);
  d.outcomes.push_back(failed_at("b", 3, stop_reason::attempts_exhausted));
  d.outcomes.push_back(failed_at("c", 1, stop_reason::permanent));
  CHECK(!d);
  CHECK(d.attempts() == 6);
  REQUIRE(d.failed());
  CHECK(d.failed()->endpoint == "b");
  CHECK(d.reason() == stop_reason::attempts_exhausted);
}

TEST_CASE("a delivery that was not begun has a reason and still holds its event") {
  delivery d{event{"1", "body"}};
  d.not_begun = stop_reason::overloaded;
  CHECK(d.reason() == stop_reason::overloaded);
  CHECK(d.attempts() == 0);
  CHECK(d.event.body == "body");
  CHECK(name(dead_letter::lost) == "lost");
}
