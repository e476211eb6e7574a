// SPDX-License-Identifier: MIT
#include <again/protection/breaker_rules.hpp>

#include <again/protection/breaker.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

using namespace again;
using namespace std::chrono_literals;

static_assert(std::is_trivially_copyable_v<breaker_rules>);
// The documented defaults.
static_assert(breaker_rules{} == breaker_rules{.consecutive = 5,
                                               .rate = 0,
                                               .window = 10s,
                                               .least = 20,
                                               .open_for = 5s,
                                               .growth = 2,
                                               .open_max = 1min,
                                               .probes = 1});
static_assert(complaint(breaker_rules{}) == nullptr);
// The limits of what is valid.
static_assert(complaint(breaker_rules{.consecutive = 1}) == nullptr);
static_assert(complaint(breaker_rules{.consecutive = 0, .rate = 1, .window = 1ns, .least = 1}) == nullptr);
static_assert(complaint(breaker_rules{.open_for = 1ns, .growth = 1, .open_max = 1ns, .probes = 1}) == nullptr);

TEST_CASE("rules of a breaker that make no sense are refused with a sentence") {
  const auto refused = [](const breaker_rules& rules, const std::string& sentence) {
    CHECK(complaint(rules) == sentence);
    CHECK_THROWS_WITH_AS(breaker{rules}, sentence.c_str(), std::invalid_argument);
  };
  constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
  refused({.consecutive = -1}, "again::breaker_rules: consecutive must not be negative");
  refused({.rate = -0.1}, "again::breaker_rules: rate must be between 0 and 1");
  refused({.rate = 2}, "again::breaker_rules: rate must be between 0 and 1");
  refused({.rate = not_a_number}, "again::breaker_rules: rate must be between 0 and 1");
  refused({.consecutive = 0}, "again::breaker_rules: neither consecutive nor rate would ever open it");
  refused({.window = 0s}, "again::breaker_rules: window must be positive");
  refused({.least = 0}, "again::breaker_rules: least must be at least 1");
  refused({.open_for = 0s}, "again::breaker_rules: open_for must be positive");
  refused({.growth = 0.5}, "again::breaker_rules: growth must be at least 1");
  refused({.growth = not_a_number}, "again::breaker_rules: growth must be at least 1");
  refused({.open_for = 2s, .open_max = 1s}, "again::breaker_rules: open_max must not be below open_for");
  refused({.probes = 0}, "again::breaker_rules: probes must be at least 1");
}

TEST_CASE("every state of a breaker has a name") {
  CHECK(name(breaker_state::closed) == "closed");
  CHECK(name(breaker_state::open) == "open");
  CHECK(name(breaker_state::half_open) == "half_open");
  CHECK(name(breaker_state::isolated) == "isolated");
}
