// SPDX-License-Identifier: MIT
#include <again/protection/budgets.hpp>

#include <again/protection/budget.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <stdexcept>
#include <string>

using namespace again;
using namespace std::chrono_literals;

// The defaults are valid, and so are the limits of what is.
static_assert(complaint(budgets::ratio{}) == nullptr);
static_assert(complaint(budgets::tokens{}) == nullptr);
static_assert(complaint(budgets::throttle{}) == nullptr);
static_assert(complaint(budgets::in_flight{}) == nullptr);
static_assert(complaint(budgets::cumulative{}) == nullptr);
static_assert(complaint(budgets::aws_v2_0) == nullptr);
static_assert(complaint(budgets::aws_v2_1) == nullptr);
static_assert(complaint(budgets::ratio{.share = 1000, .floor_per_second = 1e6, .window = 24h}) == nullptr);
static_assert(complaint(budgets::ratio{.share = 0, .floor_per_second = 0, .window = 1ns}) == nullptr);
static_assert(complaint(budgets::tokens{
                  .capacity = 0, .cost = 1, .throttling_cost = 1, .timeout_cost = 1, .first_try = 0}) == nullptr);
static_assert(complaint(budgets::throttle{.max = 2000, .ratio = 2000}) == nullptr);
static_assert(complaint(budgets::throttle{.max = 0.002, .ratio = 0.001}) == nullptr);
static_assert(complaint(budgets::in_flight{.share = 1000, .floor = 0}) == nullptr);
static_assert(complaint(budgets::cumulative{.share = 1000}) == nullptr);

namespace {

// The budget's constructor throws the sentence, which names the setting.
template <class Kind> void refused(const Kind& settings, const std::string& sentence) {
  CHECK(complaint(settings) == sentence);
  CHECK_THROWS_WITH_AS(budget{settings}, sentence.c_str(), std::invalid_argument);
}
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("settings of a budget that make no sense are refused with a sentence") {
  SUBCASE("ratio") {
    const std::string share = "again::budgets::ratio: share must be between 0 and 1000";
    refused(budgets::ratio{.share = -1}, share);
    refused(budgets::ratio{.share = 1000.5}, share);
    refused(budgets::ratio{.share = not_a_number}, share);
    const std::string floor = "again::budgets::ratio: floor_per_second must be between 0 and a million";
    refused(budgets::ratio{.floor_per_second = -1}, floor);
    refused(budgets::ratio{.floor_per_second = 2e6}, floor);
    const std::string window = "again::budgets::ratio: window must be between 0 and a day";
    refused(budgets::ratio{.window = 0s}, window);
    refused(budgets::ratio{.window = 25h}, window);
  }
  SUBCASE("tokens") {
    refused(budgets::tokens{.capacity = -1}, "again::budgets::tokens: capacity must not be negative");
    const std::string cost = "again::budgets::tokens: every cost must be at least 1";
    refused(budgets::tokens{.cost = 0}, cost);
    refused(budgets::tokens{.throttling_cost = 0}, cost);
    refused(budgets::tokens{.timeout_cost = 0}, cost);
    refused(budgets::tokens{.first_try = -1}, "again::budgets::tokens: first_try must not be negative");
  }
  SUBCASE("throttle") {
    const std::string max = "again::budgets::throttle: max must be between 0.002 and 2000";
    refused(budgets::throttle{.max = 0}, max);
    refused(budgets::throttle{.max = 0.0019}, max);
    refused(budgets::throttle{.max = 3000}, max);
    const std::string ratio = "again::budgets::throttle: ratio must be above 0 and at most 2000";
    refused(budgets::throttle{.ratio = 0}, ratio);
    refused(budgets::throttle{.ratio = 2001}, ratio);
  }
  SUBCASE("in_flight") {
    refused(budgets::in_flight{.share = -0.1}, "again::budgets::in_flight: share must be between 0 and 1000");
    refused(budgets::in_flight{.floor = -1}, "again::budgets::in_flight: floor must not be negative");
  }
  SUBCASE("cumulative") {
    refused(budgets::cumulative{.share = 2000}, "again::budgets::cumulative: share must be between 0 and 1000");
  }
}

TEST_CASE("a throttle is not replaced by one that makes no sense") {
  budget b{budgets::throttle{.max = 4, .ratio = 1}};
  CHECK_THROWS_AS(b.replace(budgets::throttle{.max = -1}), std::invalid_argument);
  CHECK(b.balance(time_point{1h}) == 4);
}

TEST_CASE("throttling is what the peer says, by status 429 or by a delay; a timeout is our own bound") {
  CHECK(cause_of(verdict{}, false) == retry_cause::transient);
  CHECK(cause_of(verdict{}, true) == retry_cause::timeout);
  CHECK(cause_of(verdict{.code = 503}, false) == retry_cause::transient);
  CHECK(cause_of(verdict{.code = 429}, true) == retry_cause::throttling);
  CHECK(cause_of(verdict{.server_delay = 0s}, false) == retry_cause::throttling);
}
