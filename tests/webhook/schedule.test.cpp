// SPDX-License-Identifier: MIT
#include <again/webhook/schedule.hpp>

#include <again/journal/durable_options.hpp>
#include <again/policy/explain.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace again;
using namespace again::webhook;
using namespace std::chrono_literals;

static_assert(meaning(200) == response_meaning::delivered && meaning(299) == response_meaning::delivered);
static_assert(meaning(199) == response_meaning::failed && meaning(300) == response_meaning::failed);
static_assert(name(response_meaning::throttled) == "throttled");

TEST_CASE("the schedule is the specification's: 75 h 35 min 5 s in all, without jitter") {
  duration since_start{};
  std::vector<duration> times;
  for (int n = 1; n < standard_policy->attempts; ++n)
    times.push_back(since_start += nominal_delay(standard_schedule, n));
  CHECK(times == std::vector<duration>{5s, 5min + 5s, 35min + 5s, 2h + 35min + 5s, 7h + 35min + 5s, 17h + 35min + 5s,
                                       31h + 35min + 5s, 51h + 35min + 5s, 75h + 35min + 5s});
}

TEST_CASE("the policy makes all ten attempts, also with the longest waits and attempts that time out") {
  CHECK(standard_policy->attempts == 10);
  CHECK(worst_case(standard_policy).sends == 10);
  CHECK(worst_case(standard_policy).time < standard_policy->deadline);
  CHECK(worst_case(standard_policy).time > 83h);
  CHECK(attempt_bound(standard_policy) >= 15s);
  CHECK(attempt_bound(standard_policy) <= 30s);
}

TEST_CASE("the policy can be the schedule of a durable sink") {
  const durable_options o{.schedule = standard_policy};
  CHECK_FALSE(validate(o));
  CHECK(o.schedule == *standard_policy);
}

TEST_CASE("2xx alone is a success, and every other status is worth another attempt but for 410 and 415") {
  const http::request_facts post{.method = http::method::post};
  const auto kind = [&post](int status) { return judge(standard_rules, post, {.status = status}).kind; };
  for (const int status : {200, 201, 202, 204, 299}) CHECK(accepted(standard_rules, {}, status));
  for (const int status : {300, 301, 302, 307, 400, 401, 404, 409, 422, 429, 500, 501, 502, 503, 504, 599, 700}) {
    CAPTURE(status);
    CHECK_FALSE(accepted(standard_rules, {}, status));
    CHECK(kind(status) == disposition::transient);
  }
  for (const int status : {410, 415}) {
    CHECK_FALSE(accepted(standard_rules, {}, status));
    CHECK(kind(status) == disposition::permanent);
  }
}

TEST_CASE("a Retry-After of up to a day is obeyed; a longer one ends the delivery") {
  const auto asked = [](duration wait) {
    return judge(standard_rules, {.method = http::method::post}, {.status = 429, .retry_after = wait});
  };
  CHECK(asked(24h).server_delay == 24h);
  CHECK_FALSE(asked(24h).server_delay_too_long);
  CHECK(asked(25h).server_delay_too_long);
  CHECK(standard_policy->server_delay_max == 24h);
}

TEST_CASE("errors that the receiver may mend are worth another attempt, those of the request are not") {
  const auto kind = [](http::error_kind k) {
    return judge(standard_rules, {.method = http::method::post}, {.kind = k, .reach = reach::maybe_sent}).kind;
  };
  using enum http::error_kind;
  for (const auto k : {resolve, refused, connect_timeout, tls_handshake, tls_verify, reset, closed, timeout, protocol})
    CHECK(kind(k) == disposition::transient);
  for (const auto k : {invalid_request, denied, unsupported}) CHECK(kind(k) == disposition::permanent);
}

TEST_CASE("410 disables the endpoint, 429, 502 and 504 slow it down, the rest is a failure") {
  CHECK(meaning(410) == response_meaning::gone);
  for (const int status : {429, 502, 504}) CHECK(meaning(status) == response_meaning::throttled);
  for (const int status : {0, 301, 400, 404, 415, 500, 503}) CHECK(meaning(status) == response_meaning::failed);
}
