// SPDX-License-Identifier: MIT
#include <again/core/stop_reason.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>

TEST_CASE("the names of all stop reasons differ, and a number beyond the last is unknown") {
  std::set<std::string> names;
  int count = 0;
  while (again::name(static_cast<again::stop_reason>(count)) != "unknown") {
    names.emplace(again::name(static_cast<again::stop_reason>(count)));
    ++count;
  }
  CHECK(count == static_cast<int>(again::stop_reason::cancelled_in_delay) + 1);
  CHECK(names.size() == static_cast<std::size_t>(count));
  CHECK(names.count("deadline_too_near") == 1);
}

TEST_CASE("cancelled is true only of the caller's stop requests") {
  int count = 0;
  for (int i = 0; again::name(static_cast<again::stop_reason>(i)) != "unknown"; ++i) {
    const auto reason = static_cast<again::stop_reason>(i);
    const bool by_name = again::name(reason).substr(0, 9) == "cancelled";
    CHECK(again::cancelled(reason) == by_name);
    count += by_name;
  }
  CHECK(count == 3);
}
