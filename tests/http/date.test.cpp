// SPDX-License-Identifier: MIT
#include <again/http/date.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <string>

using namespace again::http;
using namespace std::chrono;

namespace {

constexpr date at(int y, unsigned m, unsigned d, int h = 0, int min = 0, int s = 0) {
  return sys_days{year{y} / month{m} / day{d}} + hours{h} + minutes{min} + seconds{s};
}
constexpr again::wall_time now(int y, unsigned m = 6, unsigned d = 3) { return again::wall_time{at(y, m, d)}; }

}  // namespace

static_assert(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", now(2019)) == at(1994, 11, 6, 8, 49, 37));

TEST_CASE("the three forms of RFC 9110 5.6.7 are read as the same time") {
  for (const std::string text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    CAPTURE(text);
    CHECK(parse_http_date(text, now(2019)) == at(1994, 11, 6, 8, 49, 37));
  }
}

TEST_CASE("a date that is written is read as itself, in all forms, from year 0 to 9999") {
  const std::pair<date_form, std::string> forms[] = {{date_form::imf, "Thu, 29 Feb 2024 23:59:59 GMT"},
                                                     {date_form::rfc850, "Thursday, 29-Feb-24 23:59:59 GMT"},
                                                     {date_form::asctime, "Thu Feb 29 23:59:59 2024"}};
  for (const auto& [form, text] : forms) CHECK(format_http_date(at(2024, 2, 29, 23, 59, 59), form) == text);
  for (const date_form form : {date_form::imf, date_form::rfc850, date_form::asctime}) {
    for (date t = at(2023, 12, 25, 1, 2, 3); t < at(2025, 1, 10); t += hours{7} + seconds{11}) {
      if (parse_http_date(format_http_date(t, form), now(2024)) != t) FAIL(format_http_date(t, form));
    }
  }
  for (const date t : {at(1, 1, 1), at(1969, 12, 31, 23, 59, 59), at(9999, 12, 31, 23, 59, 59)}) {
    CHECK(parse_http_date(format_http_date(t), now(2024)) == t);
    CHECK(parse_http_date(format_http_date(t, date_form::asctime), now(2024)) == t);
  }
}

TEST_CASE("a two-digit year is the latest that is at most 50 years ahead") {
  const auto read = [](const std::string& day, again::wall_time when) {
    return parse_http_date("Monday, " + day + " 00:00:00 GMT", when);
  };
  CHECK(read("03-Jun-68", now(2019)) == at(2068, 6, 3));
  CHECK(read("03-Jun-69", now(2019)) == at(2069, 6, 3));  // 50 years exactly are not more than 50
  CHECK(read("04-Jun-69", now(2019)) == at(1969, 6, 4));
  CHECK(read("03-Jun-70", now(2019)) == at(1970, 6, 3));
  CHECK(read("03-Jun-19", now(2019)) == at(2019, 6, 3));
  CHECK(read("01-Jan-05", now(2099)) == at(2105, 1, 1));  // next century
  CHECK(read("01-Jan-99", now(2000)) == at(1999, 1, 1));
  CHECK(read("29-Feb-24", now(2019)) == at(2024, 2, 29));
  CHECK_FALSE(read("29-Feb-23", now(2019)));
  CHECK(read("29-Feb-00", now(2019)) == at(2000, 2, 29));
}

TEST_CASE("the rfc850 form with a four-digit year, as nginx writes it, is read") {
  CHECK(parse_http_date("Sunday, 22-Nov-2026 07:06:12 GMT", now(2026)) == at(2026, 11, 22, 7, 6, 12));
}

TEST_CASE("the day's name is not compared, a leap second is the next second, an asctime day is padded with a space or "
          "a zero") {
  CHECK(parse_http_date("Mon, 06 Nov 1994 08:49:37 GMT", now(2019)) == at(1994, 11, 6, 8, 49, 37));
  CHECK(parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT", now(2019)) == at(2017, 1, 1));
  CHECK(parse_http_date("Sun Nov 06 08:49:37 1994", now(2019)) == at(1994, 11, 6, 8, 49, 37));
}

TEST_CASE("a text that is not exactly one of the forms is no date") {
  for (const std::string bad : {"",
                                "Sun",
                                "Sun,",
                                "Sunday",
                                "Sun, 06 Nov 1994",
                                "Sun, 06 Nov 1994 08:49:37",
                                "Sun, 06 Nov 1994 08:49:37 UTC",
                                "Sun, 06 Nov 1994 08:49:37 GMT ",
                                " Sun, 06 Nov 1994 08:49:37 GMT",
                                "Sun, 06 Nov 1994 08:49:37 GMTx",
                                "sun, 06 nov 1994 08:49:37 gmt",
                                "Sun, 6 Nov 1994 08:49:37 GMT",
                                "Sun,  6 Nov 1994 08:49:37 GMT",
                                "Sun, 06 Nov 94 08:49:37 GMT",
                                "Sun, 06-Nov-1994 08:49:37 GMT",
                                "Sun, 32 Dec 2030 10:00:00 GMT",
                                "Sun, 00 Dec 2030 10:00:00 GMT",
                                "Sun, 31 Nov 2030 10:00:00 GMT",
                                "Wed, 29 Feb 2023 00:00:00 GMT",
                                "Sun, 06 Nov 1994 24:00:00 GMT",
                                "Sun, 06 Nov 1994 08:60:00 GMT",
                                "Sun, 06 Nov 1994 08:49:61 GMT",
                                "Sun, 06 Nov 1994 8:49:37 GMT",
                                "Sun, 06 Nov 1994 08:49 GMT",
                                "Sun, 06 Nov -994 08:49:37 GMT",
                                "Sun, 06 Foo 1994 08:49:37 GMT",
                                "Sunn, 06 Nov 1994 08:49:37 GMT",
                                "Sunday 06-Nov-94 08:49:37 GMT",
                                "Sunday, 06-Nov-9 08:49:37 GMT",
                                "Sunday, 06-Nov-994 08:49:37 GMT",
                                "Sun Nov 6 08:49:37 1994",
                                "Sun Nov  6 08:49:37 1994 GMT",
                                "Sun Nov  6 08:49:37 94",
                                "Sun Nov 06 1994 08:49:37 GMT",
                                "1994-11-06T08:49:37Z",
                                "784111777"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_http_date(bad, now(2019)));
  }
  const std::string good = "Sun, 06 Nov 1994 08:49:37 GMT";
  for (std::size_t n = 0; n < good.size(); ++n) CHECK_FALSE(parse_http_date(good.substr(0, n), now(2019)));
}
