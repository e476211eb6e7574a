// SPDX-License-Identifier: MIT
#include <again/policy/policy.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>

using namespace std::chrono_literals;
using again::policy;
using again::policy_rule;

static_assert(std::is_trivially_copyable_v<policy> && std::is_aggregate_v<policy>);
static_assert(std::is_trivially_copyable_v<again::checked_policy>);
constexpr auto polite =
    again::checked({.attempts = 4, .backoff = again::exponential(100ms, 2s), .attempt_timeout = 1s, .deadline = 5s});
static_assert(polite->attempts == 4 && polite->jitter == again::jitter::full);

namespace {

template <class Change> std::string broken(Change change) {
  policy p;
  change(p);
  const auto rule = again::validate(p);
  return rule ? std::string{again::name(*rule)} : std::string{};
}

}  // namespace

TEST_CASE("the default policy keeps all rules and every bound of it is finite") {
  constexpr policy p;
  CHECK_FALSE(again::validate(p).has_value());
  CHECK(p.attempts == 4);
  CHECK(p.deadline == 30s);
  CHECK(again::attempt_bound(p) == 10s);
  CHECK(p.backoff.cap == 10s);
  CHECK(p.server_delay_max == 1h);
}

TEST_CASE("a broken rule is reported by its name, and a policy at the edge of the rule is accepted") {
  CHECK(broken([](policy& p) { p.attempts = 0; }) == "attempts_must_be_at_least_1");
  CHECK(broken([](policy& p) { p.attempts = -1; }) == "attempts_must_be_at_least_1");
  CHECK(broken([](policy& p) { p.attempts = 1; }).empty());
  CHECK(broken([](policy& p) { p.attempts = again::unlimited, p.deadline = again::forever; }) ==
        "unlimited_attempts_need_a_deadline");
  CHECK(broken([](policy& p) { p.attempts = again::unlimited; }).empty());
  CHECK(broken([](policy& p) { p.attempts = again::unlimited, p.backoff = again::constant(0s); }) ==
        "unlimited_attempts_need_a_backoff");
  CHECK(broken([](policy& p) { p.attempts = again::unlimited, p.backoff = again::fixed(1s, 0s); }) ==
        "unlimited_attempts_need_a_backoff");
  CHECK(broken([](policy& p) { p.backoff = again::constant(-1ns); }) == "backoff_must_not_be_negative");
  CHECK(broken([](policy& p) { p.backoff = again::fixed(1s, -1s); }) == "backoff_must_not_be_negative");
  CHECK(broken([](policy& p) { p.backoff = again::exponential(1s, -1s); }) == "backoff_must_not_be_negative");
  CHECK(broken([](policy& p) { p.backoff = again::linear(2s, 1s); }) == "backoff_base_must_not_exceed_cap");
  CHECK(broken([](policy& p) { p.backoff = again::linear(2s, 2s); }).empty());
  CHECK(broken([](policy& p) { p.backoff = again::exponential(1s, 2s, 0.99); }) == "backoff_factor_must_be_at_least_1");
  CHECK(broken([](policy& p) { p.backoff = again::exponential(1s, 2s, std::numeric_limits<double>::quiet_NaN()); }) ==
        "backoff_factor_must_be_at_least_1");
  CHECK(broken([](policy& p) { p.backoff = again::exponential(1s, 2s, std::numeric_limits<double>::infinity()); }) ==
        "backoff_factor_must_be_at_least_1");
  CHECK(broken([](policy& p) { p.backoff = again::exponential(1s, 2s, 1); }).empty());
  CHECK(broken([](policy& p) { p.backoff = again::fixed(1s), p.backoff.series_size = 0; }) ==
        "backoff_series_must_not_be_empty");
  CHECK(broken([](policy& p) {
          p.backoff = again::fixed(1s), p.backoff.series_size = again::backoff::series_capacity + 1;
        }) == "backoff_series_must_not_be_empty");
  CHECK(broken([](policy& p) { p.jitter = again::jitter::proportional(1.01); }) ==
        "jitter_share_must_be_between_0_and_1");
  CHECK(broken([](policy& p) { p.jitter = again::jitter::proportional(std::numeric_limits<double>::quiet_NaN()); }) ==
        "jitter_share_must_be_between_0_and_1");
  CHECK(broken([](policy& p) { p.jitter = again::jitter::proportional(1); }).empty());
  CHECK(broken([](policy& p) { p.attempt_timeout = 0s; }) == "attempt_timeout_must_be_positive");
  CHECK(broken([](policy& p) { p.attempt_timeout = -2s; }) == "attempt_timeout_must_be_positive");
  CHECK(broken([](policy& p) { p.attempt_timeout = 31s; }) == "attempt_timeout_must_not_exceed_deadline");
  CHECK(broken([](policy& p) { p.attempt_timeout = 30s; }).empty());
  CHECK(broken([](policy& p) { p.attempt_timeout = again::forever; }).empty());
  CHECK(broken([](policy& p) { p.deadline = 0s; }) == "deadline_must_be_positive");
  CHECK(broken([](policy& p) { p.server_delay_max = -1s; }) == "server_delay_max_must_not_be_negative");
  CHECK(broken([](policy& p) { p.server_delay_max = 0s; }).empty());
}

TEST_CASE("every rule has a name, and no two have the same") {
  std::set<std::string> names;
  int count = 0;
  while (again::name(static_cast<policy_rule>(count)) != "unknown")
    names.emplace(again::name(static_cast<policy_rule>(count++)));
  CHECK(count == static_cast<int>(policy_rule::server_delay_max_must_not_be_negative) + 1);
  CHECK(names.size() == static_cast<std::size_t>(count));
  CHECK(again::name(policy_rule::attempts_must_be_at_least_1) == "attempts_must_be_at_least_1");
  CHECK(again::name(policy_rule::server_delay_max_must_not_be_negative) == "server_delay_max_must_not_be_negative");
}

TEST_CASE("a nonsense policy made at run time is refused with the name of the broken rule") {
  policy p;
  p.attempts = 0;
  CHECK_THROWS_WITH_AS((void)again::checked_policy{p}, "again::policy: attempts_must_be_at_least_1",
                       std::invalid_argument);
}

TEST_CASE("the automatic bound on an attempt is 10 s, or the deadline where that is less") {
  CHECK(again::attempt_bound(policy{.deadline = 3s}) == 3s);
  CHECK(again::attempt_bound(policy{.deadline = 1h}) == 10s);
  CHECK(again::attempt_bound(policy{.deadline = again::forever}) == 10s);
  CHECK(again::attempt_bound(policy{.attempt_timeout = 20s}) == 20s);
  CHECK(again::attempt_bound(policy{.attempt_timeout = again::forever}) == again::forever);
}

TEST_CASE("policies compare member by member") {
  policy p;
  CHECK(p == policy{});
  p.backoff.factor = 3;
  CHECK_FALSE(p == policy{});
}
