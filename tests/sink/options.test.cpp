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
  e = to("http://a/");
  e.breaker->probes = 0;
  CHECK(validate({e}, {}) == "http://a/: breaker: probes must be at least 1");
  e.breaker.reset();
  CHECK(!validate({e}, {}));
  e.budget->share = -1;
  CHECK(validate({e}, {}) == "http://a/: budget: share must be between 0 and 1000");
  e.budget.reset();
  e.rate = rates{.per_second = 0};
  CHECK(validate({e}, {}) == "http://a/: rate: per_second must be between 0.001 and a billion");
  e.rate.reset();
  e.disable_after = duration::zero();
  CHECK(validate({e}, {}) == "http://a/: disable_after must be above 0");
  e.disable_after = forever;
  CHECK(!validate({e}, {}));
  for (const double share : {0.0, -0.5, 1.5})
    CHECK(validate({e}, {.largest_share = share}) == "largest_share must be above 0 and at most 1");
}

TEST_CASE("the largest share is a part of all events in the sink, and never less than one") {
  CHECK(events_in_sink({.in_flight = 64, .queue = 256}) == 320);
  CHECK(largest_share({.in_flight = 64, .queue = 256}) == 80);
  CHECK(largest_share({.in_flight = 64, .queue = 256, .largest_share = 1}) == 320);
  CHECK(largest_share({.in_flight = 1, .queue = 0}) == 1);
}
