// SPDX-License-Identifier: MIT
#include <again/sink/options.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace again;

namespace {
endpoint to(const char* url) { return {.url = *http::parse_url(url)}; }
}  // namespace

TEST_CASE("the name of an endpoint is the one given, else its URL without the query") {
  endpoint e = to("http://h:8080/in?token=secret");
  CHECK(shown_name(e) == "http://h:8080/in");
  e.name = "orders";
  CHECK(shown_name(e) == "orders");
}

TEST_CASE("validate names a contradiction in a sentence; the defaults have none") {
  CHECK(!validate({to("http://a/"), to("http://b/")}, {}));
  CHECK(validate({}, {}) == "a sink needs an endpoint");
  CHECK(validate({to("http://a/")}, {.in_flight = 0}) == "in_flight must be at least 1");
  CHECK(validate({to("http://a/")}, {.queue = -1}) == "queue must not be negative");
  CHECK(validate({to("http://a/?x=1"), to("http://a/?x=2")}, {}) ==
        "two endpoints are called http://a/; give them names");
  endpoint e = to("http://a/");
  e.policy.attempts = 0;
  CHECK(validate({e}, {}) == "http://a/: attempts_must_be_at_least_1");
  e = to("http://a/");
  e.in_flight = 0;
  CHECK(validate({e}, {}) == "http://a/: in_flight must be at least 1");
}
