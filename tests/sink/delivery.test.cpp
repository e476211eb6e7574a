// SPDX-License-Identifier: MIT
#include <again/sink/delivery.hpp>

#include <again/http/client.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace again;

namespace {
endpoint_outcome took_it(const char* where, int attempts) {
  return {where, http::response{200}, attempts, duration{}, attempt_trace{}};
}
endpoint_outcome refused_it(const char* where, int attempts, stop_reason why) {
  return {where, endpoint_outcome::result_type{unexpect, failure<http::error>{{.reason = why, .attempts = attempts}}},
          attempts, duration{}, attempt_trace{}};
}
}  // namespace

TEST_CASE("a delivery is a success only if there are outcomes and all of them are") {
  delivery d{event{"1", "body", {{"A", "b"}}}};
  CHECK(!d);
  d.outcomes.push_back(took_it("a", 2));
  CHECK(d);
  CHECK(!d.reason());
  CHECK(d.failed() == nullptr);
  d.outcomes.push_back(refused_it("b", 3, stop_reason::attempts_exhausted));
  d.outcomes.push_back(refused_it("c", 1, stop_reason::permanent));
  CHECK(!d);
  CHECK(d.attempts() == 6);
  REQUIRE(d.failed());
  CHECK(d.failed()->endpoint == "b");
  CHECK(d.reason() == stop_reason::attempts_exhausted);
}

TEST_CASE("one that was not begun says why, and still holds its event") {
  delivery d{event{"1", "body"}};
  d.not_begun = stop_reason::overloaded;
  CHECK(d.reason() == stop_reason::overloaded);
  CHECK(d.attempts() == 0);
  CHECK(d.event.body == "body");
  CHECK(name(dead_letter::lost) == "lost");
}
