// SPDX-License-Identifier: MIT
#include <again/journal/detail/free_places.hpp>

#include <doctest/doctest.h>

#include <chrono>

using namespace again;
using namespace std::chrono_literals;
using journal::detail::free_places;

namespace {
constexpr time_point t0{100s};
constexpr time_point at_once = time_point::min();
}  // namespace

TEST_CASE("a full sink takes nothing, one with a quarter of its places free takes at once") {
  free_places p{100};
  CHECK(p.worth_a_take(0, true, t0) == never);
  CHECK(p.worth_a_take(25, true, t0) == at_once);
  CHECK(p.worth_a_take(100, true, t0) == at_once);
}

TEST_CASE("few free places wait for more, but not for long") {
  free_places p{100};
  CHECK(p.worth_a_take(1, true, t0) == t0 + 2ms);
  CHECK(p.worth_a_take(7, true, t0 + 1ms) == t0 + 2ms);
  CHECK(p.worth_a_take(8, true, t0 + 2ms) == at_once);
  // The next ones wait anew.
  CHECK(p.worth_a_take(3, true, t0 + 3ms) == t0 + 5ms);
  CHECK(p.worth_a_take(25, true, t0 + 4ms) == at_once);
  CHECK(p.worth_a_take(2, true, t0 + 9ms) == t0 + 11ms);
}

TEST_CASE("without a backlog one free place is enough, and a small sink never waits for more") {
  free_places p{100};
  CHECK(p.worth_a_take(1, false, t0) == at_once);
  free_places small{4};
  CHECK(small.worth_a_take(1, true, t0) == at_once);
}
