// SPDX-License-Identifier: MIT
#include <again/http/status.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

using namespace again::http;

static_assert(std::is_trivially_copyable_v<status_set>);
static_assert(status_set{408, 429}.contains(429) && !status_set{408, 429}.contains(428));
static_assert((status_set::range(500, 599) - status_set{501}).contains(599));
static_assert(reason_phrase(503) == "Service Unavailable" && reason_phrase(599).empty());

TEST_CASE("a set of statuses holds 0 to 639, and nothing outside is in it or gets in") {
  status_set set{0, 639};
  CHECK(set.contains(0));
  CHECK(set.contains(639));
  set.insert(-1);
  set.insert(640);
  set.insert(1 << 30);
  CHECK_FALSE(set.contains(-1));
  CHECK_FALSE(set.contains(640));
  CHECK_FALSE(set.contains(1 << 30));
  set.erase(0);
  set.erase(640);
  CHECK(set == status_set{639});
  set.erase(639);
  CHECK(set.empty());
  CHECK(status_set::range(600, 100000) == status_set::range(600, 639));
}

TEST_CASE("a set prints as a list with ranges, and the list gives the set again") {
  CHECK(status_set{}.text() == "none");
  CHECK(status_set{503, 408}.text() == "408, 503");
  CHECK(status_set{408, 409}.text() == "408, 409");
  const auto set = status_set{408, 425, 429} | status_set::range(500, 599);
  CHECK(set.text() == "408, 425, 429, 500-599");
  REQUIRE(parse_status_set(set.text()));
  CHECK(*parse_status_set(set.text()) == set);
  CHECK(*parse_status_set("429,500-504") == (status_set{429} | status_set::range(500, 504)));
  CHECK(parse_status_set("")->empty());
  CHECK(parse_status_set("none")->empty());
}

TEST_CASE("a text that is no status is refused and quoted") {
  for (const std::string bad :
       {"99", "600", "4x8", "408,,429", "500-", "-500", "504-500", "+408", "0x1F4", "99999999999999999999"}) {
    CAPTURE(bad);
    const auto set = parse_status_set(bad);
    REQUIRE_FALSE(set);
    CHECK(set.error().reason().find("is neither a status from 100 to 599 nor a range") != std::string::npos);
  }
}
