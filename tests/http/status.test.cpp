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

TEST_CASE("a set of statuses holds 0 to 999, and ignores other numbers") {
  status_set set{0, 999};
  CHECK(set.contains(0));
  CHECK(set.contains(999));
  set.insert(-1);
  set.insert(1000);
  set.insert(1 << 30);
  CHECK_FALSE(set.contains(-1));
  CHECK_FALSE(set.contains(1000));
  CHECK_FALSE(set.contains(1 << 30));
  set.erase(0);
  set.erase(1000);
  CHECK(set == status_set{999});
  set.erase(999);
  CHECK(set.empty());
  CHECK(status_set::range(600, 100000) == status_set::range(600, 999));
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
  for (const std::string bad : {"99", "1000", "4x8", "408,,429", "500-", "-500", "504-500", "+408", "0x1F4",
                                "99999999999999999999", "0xx", "xxx", "5x", "5xxx", "5xx-599", "500-5xx"}) {
    CAPTURE(bad);
    const auto set = parse_status_set(bad);
    REQUIRE_FALSE(set);
    CHECK(set.error().reason().find("'" + (bad == "408,,429" ? "" : bad) + "' is no status from 100 to 999") !=
          std::string::npos);
  }
}

TEST_CASE("a list of statuses may name classes, and codes up to 999") {
  CHECK(*parse_status_set("5xx") == status_set::range(500, 599));
  CHECK(*parse_status_set("408, 5XX, 9xx") ==
        (status_set{408} | status_set::range(500, 599) | status_set::range(900, 999)));
  CHECK(*parse_status_set("520,999") == status_set{520, 999});
  CHECK(*parse_status_set("600 - 999") == status_set::range(600, 999));
  CHECK(*parse_status_set("1xx") == status_set::range(100, 199));
}

TEST_CASE("an unknown status counts as the x00 of its class, and one from 600 on as 500 (RFC 9110 15)") {
  for (const int known : {100, 200, 304, 404, 418, 429, 500, 501, 503, 511}) {
    CAPTURE(known);
    CHECK(equivalent_status(known) == (known == 418 ? 400 : known));
  }
  CHECK(equivalent_status(199) == 100);
  CHECK(equivalent_status(299) == 200);
  CHECK(equivalent_status(399) == 300);
  CHECK(equivalent_status(471) == 400);
  for (const int unknown : {509, 520, 529, 530, 598, 599, 600, 700, 999}) {
    CAPTURE(unknown);
    CHECK(equivalent_status(unknown) == 500);
  }
  for (const int none : {-1, 0, 99}) CHECK(equivalent_status(none) == none);
}
