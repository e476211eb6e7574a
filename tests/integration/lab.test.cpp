// SPDX-License-Identifier: MIT
// The laboratory's simulations give what others have published (tests/data/aws_backoff_simulation.csv: a re-run of the
// model of "Exponential Backoff And Jitter"), and what docs/laboratory.md says of them.
#include "../bench/lab/amplification.hpp"
#include "../bench/lab/metastable.hpp"
#include "../bench/lab/optimistic_concurrency.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <utility>

namespace {

using row = std::pair<double, double>;  // completion time, calls

std::map<std::pair<int, std::string>, row> published() {
  std::map<std::pair<int, std::string>, row> rows;
  std::ifstream file{"tests/data/aws_backoff_simulation.csv"};
  REQUIRE(file);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    int clients = 0;
    char name[32] = {};
    row r;
    REQUIRE(std::sscanf(line.c_str(), "%d,%31[^,],%lf,%lf", &clients, name, &r.first, &r.second) == 4);
    rows[{clients, name}] = r;
  }
  return rows;
}

const lab::named_backoff& algorithm(const std::string& name) {
  for (const lab::named_backoff& b : lab::aws_backoffs) {
    if (b.name == name) return b;
  }
  FAIL("no algorithm " << name);
  return lab::aws_backoffs.front();
}

}  // namespace

TEST_CASE("backoff and jitter: time and calls agree with the published ones within 15 %") {
  const auto rows = published();
  CHECK(rows.size() == 50);
  for (const auto& [key, expected] : rows) {
    if (key.first != 10 && key.first != 50 && key.first != 110) continue;  // the figures have all of them
    CAPTURE(key.first);
    CAPTURE(key.second);
    const lab::contention got = lab::compete(key.first, algorithm(key.second), key.first == 10 ? 40 : 10, 7);
    CHECK(got.completion_time == doctest::Approx(expected.first).epsilon(0.15));
    CHECK(got.calls == doctest::Approx(expected.second).epsilon(0.15));
  }
}

TEST_CASE("backoff and jitter: full jitter makes less than half of the calls in less than 15 % of the time; none is "
          "quickest and dearest") {
  const lab::contention plain = lab::compete(100, algorithm("Exponential"), 5, 3);
  const lab::contention full = lab::compete(100, algorithm("FullJitter"), 5, 3);
  const lab::contention none = lab::compete(100, algorithm("None"), 5, 3);
  CHECK(full.calls < plain.calls / 2);
  CHECK(full.completion_time < plain.completion_time * 0.15);
  for (const lab::named_backoff& b : lab::aws_backoffs) {
    const lab::contention c = lab::compete(100, b, 5, 3);
    CHECK(c.completion_time >= none.completion_time);
    CHECK(c.calls <= none.calls);
  }
}

TEST_CASE("amplification under total outage is exact for every budget") {
  const long expected[] = {30'000, 11'000, 12'100, 10'100, 10'035, 10'003, 10'033};
  for (std::size_t i = 0; i < lab::budgets.size(); ++i)
    CHECK(lab::amplify(lab::budgets[i], 10'000, 1.0, 1).sends == expected[i]);
}

TEST_CASE("a metastable outage: clients that bound their load recover, others never do") {
  std::map<lab::strategy, lab::course> courses;
  for (const lab::named_strategy& s : lab::strategies) courses.emplace(s.which, lab::outage(s.which, 42));
  using lab::strategy;
  CHECK(courses.at(strategy::none).recovered >= 0);
  CHECK(courses.at(strategy::naive).recovered == -1);
  CHECK(courses.at(strategy::jitter).recovered == -1);
  CHECK(courses.at(strategy::budget).recovered >= 0);
  CHECK(courses.at(strategy::breaker).recovered >= 0);
  CHECK(courses.at(strategy::hedge).recovered == -1);
  CHECK(courses.at(strategy::hedge_budget).recovered >= 0);
  CHECK(courses.at(strategy::resilient).recovered >= 0);
  CHECK(courses.at(strategy::breaker_wait).recovered > courses.at(strategy::breaker).recovered);
  CHECK(courses.at(strategy::resilient).share_answered() > courses.at(strategy::none).share_answered());
  CHECK(courses.at(strategy::naive).share_answered() < 0.1);
}

TEST_CASE("the same seed gives the same outage, to the last send") {
  const lab::course a = lab::outage(lab::strategy::resilient, 7);
  const lab::course b = lab::outage(lab::strategy::resilient, 7);
  CHECK(a.load == b.load);
  CHECK(a.good == b.good);
}
