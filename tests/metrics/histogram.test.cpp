// SPDX-License-Identifier: MIT
#include <again/metrics/histogram.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

using namespace again;
using namespace std::chrono_literals;

TEST_CASE("a histogram counts what took at most each bound, the bound itself included") {
  constexpr duration bounds[] = {1ms, 10ms, 1s};
  histogram h{bounds};
  for (const duration d : {duration{0}, duration{1ms}, duration{1ms + 1ns}, duration{10ms}, duration{2s}}) h.observe(d);
  CHECK(h.size() == 3);
  CHECK(h.bound(2) == 1s);
  CHECK(h.up_to(0) == 2);
  CHECK(h.up_to(1) == 4);
  CHECK(h.up_to(2) == 4);
  CHECK(h.count() == 5);
  CHECK(h.sum() == 2012ms + 1ns);
}

TEST_CASE("bounds that do not rise, or are too many, are refused") {
  constexpr duration falling[] = {2ms, 1ms};
  CHECK_THROWS_AS(histogram{falling}, std::invalid_argument);
  const std::vector<duration> many(histogram::capacity + 1, duration{1});
  CHECK_THROWS_AS(histogram{many}, std::invalid_argument);
}
