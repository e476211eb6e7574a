// SPDX-License-Identifier: MIT
#include <again/policy/attempt_trace.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <type_traits>

using namespace std::chrono_literals;
using again::attempt_record;
using again::attempt_trace;
using again::decision;
using again::disposition;
using again::stop_reason;
using again::verdict;
using again::wait_by;

static_assert(std::is_trivially_copyable_v<attempt_record>);
static_assert(attempt_record::succeeded(1).ok && !attempt_record::failed(1, verdict{}, decision{}).ok);

namespace {

constexpr verdict unavailable{
    .kind = disposition::transient, .reach = again::reach::answered, .server_delay = 2s, .code = 503, .name = "status"};

}  // namespace

TEST_CASE("the record of a failed attempt holds what its error said and what was decided") {
  const attempt_record r =
      attempt_record::failed(2, unavailable, {.again = true, .wait = 2100ms, .by = wait_by::server});
  CHECK(r.attempt == 2);
  CHECK_FALSE(r.ok);
  CHECK_FALSE(r.last);
  CHECK_FALSE(r.timed_out);
  CHECK(r.reach == again::reach::answered);
  CHECK(r.kind == disposition::transient);
  CHECK(r.by == wait_by::server);
  CHECK(r.code == 503);
  CHECK(r.name == "status");
  CHECK(r.wait == 2100ms);
  CHECK(r.began < 0s);
  CHECK(r.took < 0s);
}

TEST_CASE("the record of a failed attempt that ends the call says why") {
  const verdict gone{.kind = disposition::permanent, .reach = again::reach::not_sent, .name = "refused"};
  const attempt_record r = attempt_record::failed(1, gone, {.again = false, .stop = stop_reason::permanent});
  CHECK(r.last);
  CHECK(r.stop == stop_reason::permanent);
  CHECK(r.kind == disposition::permanent);
  CHECK(r.reach == again::reach::not_sent);
  CHECK(r.by == wait_by::none);
  CHECK(r.wait == 0s);
}

TEST_CASE("the record of a successful attempt is the last and has its code") {
  const attempt_record r = attempt_record::succeeded(3, 201);
  CHECK(r.attempt == 3);
  CHECK(r.ok);
  CHECK(r.last);
  CHECK(r.code == 201);
  CHECK(r.reach == again::reach::answered);
  CHECK(r.name.empty());
  CHECK(r.wait == 0s);
  CHECK(r.took < 0s);
}

TEST_CASE("the trace keeps the last eight attempts and counts what it dropped") {
  attempt_trace trace;
  CHECK(trace.size() == 0);
  for (int n = 1; n <= 20; ++n) {
    attempt_record r;
    r.attempt = n;
    trace.push(r);
    CHECK(trace.size() + trace.dropped() == static_cast<std::size_t>(n));
    CHECK(trace[trace.size() - 1].attempt == n);
  }
  REQUIRE(trace.size() == attempt_trace::capacity);
  CHECK(trace.dropped() == 12);
  for (std::size_t i = 0; i < trace.size(); ++i) CHECK(trace[i].attempt == static_cast<int>(13 + i));
}

TEST_CASE("resend_count is absent on the first send, then 1, 2 (OpenTelemetry)") {
  attempt_record r;
  r.attempt = 1;
  CHECK_FALSE(r.resend_count().has_value());
  r.attempt = 2;
  CHECK(r.resend_count() == 1);
  r.attempt = 3;
  CHECK(r.resend_count() == 2);
}
