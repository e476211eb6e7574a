// SPDX-License-Identifier: MIT
#include <again/journal/durable_options.hpp>

#include <again/policy/explain.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace again;
using namespace std::chrono_literals;

TEST_CASE("the defaults are valid, and finite") {
  const durable_options o;
  CHECK(!validate(o));
  CHECK(o.schedule.deadline < forever);
  CHECK(o.short_wait < o.lease);
}

TEST_CASE("each contradiction is one sentence") {
  const auto complaint = [](auto change) {
    durable_options o;
    change(o);
    return validate(o).value_or("");
  };
  CHECK(complaint([](durable_options& o) { o.held = 0; }) == "held must be at least 1");
  CHECK(complaint([](durable_options& o) { o.lease = 9ms; }) == "lease must be at least 10 ms");
  CHECK(complaint([](durable_options& o) { o.short_wait = -1s; }) == "short_wait must not be negative");
  CHECK(complaint([](durable_options& o) { o.poll = 0s; }) == "poll must be above 0");
  CHECK(complaint([](durable_options& o) { o.record_within = -1s; }) == "record_within must not be negative");
  CHECK(complaint([](durable_options& o) { o.schedule.attempts = 0; }) == "schedule: attempts_must_be_at_least_1");
}
