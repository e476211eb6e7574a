// SPDX-License-Identifier: MIT
#include <again/http/retry_after.hpp>

#include <doctest/doctest.h>

#include <support/json.hpp>

#include <chrono>
#include <string>

using namespace again::http;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

constexpr again::wall_time noon = sys_days{year{2019} / 6 / 3} + 11h;

std::optional<again::duration> wish(const headers& fields, bool rate_limit = true) {
  return retry_after(fields, noon, rate_limit);
}

}  // namespace

static_assert(parse_retry_after("120", noon) == again::duration{120s});
static_assert(!parse_retry_after("-1", noon));

TEST_CASE("every Retry-After vector of other clients' test suites is read as they expect") {
  const auto file = support::json::read_file("tests/data/http_cases.json");
  int seen = 0;
  for (const auto& v : file["retry_after_vectors"].array()) {
    const std::string value = v["value"].string(), source = v["source"].string(), note = v["note"].string_or("");
    CAPTURE(value);
    CAPTURE(source);
    std::string when = v["now"].string();  // 2019-06-03T11:00:00Z
    const sys_days day =
        year{std::stoi(when.substr(0, 4))} / std::stoi(when.substr(5, 2)) / std::stoi(when.substr(8, 2));
    const again::wall_time now = day + hours{std::stoi(when.substr(11, 2))} + minutes{std::stoi(when.substr(14, 2))} +
                                 seconds{std::stoi(when.substr(17, 2))};
    const auto got = parse_retry_after(value, now);
    const bool may_be_absent = note.find("may return null") != std::string::npos;
    if (v["expected_s"].is_null()) {
      CHECK_FALSE(got);
    } else if (!may_be_absent || got) {
      REQUIRE(got);
      CHECK(*got == again::duration{seconds{static_cast<long long>(v["expected_s"].number())}});
    }
    ++seen;
  }
  CHECK(seen == 26);
}

TEST_CASE("seconds are digits and nothing else, and saturate instead of overflowing") {
  CHECK(parse_retry_after(" 5 ", noon) == again::duration{5s});
  CHECK(parse_retry_after("0005", noon) == again::duration{5s});
  CHECK(parse_retry_after("9223372036", noon) == again::duration{9223372036s});
  for (const std::string huge : {"9223372037", "18446744073709551616", "99999999999999999999999999999999999999"}) {
    CAPTURE(huge);
    CHECK(parse_retry_after(huge, noon) == again::forever);
  }
  for (const std::string bad :
       {"", " ", "+1", "-0", "1.5", "1e3", "0x10", "1s", "1 s", "1,2", "1, 2", "1;2", "\"1\"", "soon", "NaN", "inf"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_retry_after(bad, noon));
  }
}

TEST_CASE("a date far away saturates, a past one is 0, a fraction of now counts") {
  CHECK(parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", noon) == again::forever);
  CHECK(parse_retry_after("Mon, 01 Jan 0001 00:00:00 GMT", noon) == again::duration::zero());
  CHECK(parse_retry_after("Mon, 03 Jun 2019 11:00:02 GMT", noon + 700ms) == again::duration{1300ms});
  CHECK(parse_retry_after("Mon, 03 Jun 2019 11:00:00 GMT", noon + 700ms) == again::duration::zero());
  CHECK(parse_retry_after("Thu, 01 Jan 1970 00:00:10 GMT", again::wall_time{-2500ms}) == again::duration{12500ms});
}

TEST_CASE("a date is compared with the response's own Date, so that a wrong clock does not matter") {
  const std::string soon = "Mon, 03 Jun 2019 11:00:30 GMT";
  CHECK(wish({{"Retry-After", soon}}) == again::duration{30s});
  CHECK(wish({{"Date", "Mon, 03 Jun 2019 11:00:20 GMT"}, {"Retry-After", soon}}) == again::duration{10s});
  CHECK(wish({{"Date", "Mon, 03 Jun 2019 10:00:30 GMT"}, {"Retry-After", soon}}) == again::duration{1h});
  CHECK(wish({{"Date", "Mon, 03 Jun 2019 12:00:00 GMT"}, {"Retry-After", soon}}) == again::duration::zero());
  CHECK(wish({{"Date", "yesterday"}, {"Retry-After", soon}}) == again::duration{30s});
  CHECK(wish({{"Date", "Fri, 31 Dec 9999 23:59:59 GMT"}, {"Retry-After", soon}}) ==
        again::duration{30s});  // beyond our clock
  CHECK(wish({{"Date", "Mon, 03 Jun 2019 10:00:30 GMT"}, {"Retry-After", "7"}}) == again::duration{7s});
}

TEST_CASE("the server's time of a stored response is its Date plus its Age (RFC 9111 5.1)") {
  const std::string soon = "Mon, 03 Jun 2019 11:00:30 GMT", old = "Mon, 03 Jun 2019 10:58:20 GMT";
  CHECK(wish({{"Date", old}, {"Age", "100"}, {"Retry-After", soon}}) == again::duration{30s});
  CHECK(wish({{"Date", old}, {"Age", "0"}, {"Retry-After", soon}}) == again::duration{130s});
  CHECK(wish({{"Date", old}, {"Age", " 100, 7"}, {"Retry-After", soon}}) == again::duration{30s});
  CHECK(wish({{"Date", old}, {"Age", "2147483648"}, {"Retry-After", soon}}) == again::duration::zero());
  for (const std::string bad : {"", "-1", "1.5", "100 s", "soon"}) {
    CAPTURE(bad);
    CHECK(wish({{"Date", old}, {"Age", bad}, {"Retry-After", soon}}) == again::duration{130s});
  }
  CHECK(wish({{"Date", old}, {"Age", "99999999999999999999"}, {"Retry-After", soon}}) == again::duration{30s});
  CHECK(wish({{"Age", "100"}, {"Retry-After", soon}}) == again::duration{30s});  // no Date: our clock, as it is
  CHECK(wish({{"Date", old}, {"Age", "100"}, {"Retry-After", "7"}}) == again::duration{7s});
  CHECK(wish({{"Date", old}, {"Age", "100"}, {"X-RateLimit-Reset", "1559559630"}}) == again::duration{30s});
}

TEST_CASE("of repeated fields the first counts, and one that cannot be read is absent and not 0") {
  CHECK(wish({{"Retry-After", "2"}, {"retry-after", "3"}}) == again::duration{2s});
  CHECK_FALSE(wish({{"Retry-After", "soon"}}));
  CHECK_FALSE(wish({}));
}

TEST_CASE("rate limit fields are read only on request, and only without Retry-After, even an empty one") {
  CHECK_FALSE(wish({{"RateLimit-Reset", "5"}}, false));
  CHECK(wish({{"RateLimit-Reset", "5"}}) == again::duration{5s});
  CHECK(wish({{"Retry-After", "1"}, {"RateLimit-Reset", "2000000000"}}) == again::duration{1s});
  CHECK_FALSE(wish({{"Retry-After", ""}, {"RateLimit-Reset", "2000000000"}}));
}

TEST_CASE("the RateLimit field asks for the longest wait among the quotas that are used up") {
  CHECK(wish({{"RateLimit", "\"default\";r=0;t=30"}}) == again::duration{30s});
  CHECK(wish({{"RateLimit", "\"burst\";r=0;t=5, \"day,;r=0;t=9\";r=0; t=60;pk=:Zm9v:"}}) == again::duration{60s});
  CHECK(wish({{"RateLimit", "\"burst\";r=0;t=5, \"day\";r=100;t=3600"}}) == again::duration{5s});
  CHECK_FALSE(wish({{"RateLimit", "\"day\";r=100;t=3600"}}));
  CHECK_FALSE(wish({{"RateLimit", "\"day\";t=3600"}}));
  CHECK(wish({{"RateLimit", "limit=100, remaining=0, reset=50"}}) == again::duration{50s});
  CHECK_FALSE(wish({{"RateLimit", "limit=100, remaining=1, reset=50"}}));
  for (const std::string bad : {"", "\"", "\"x\\", ";;;", "r=0;t=x", "\"a\";r=0;t=-1", "reset=x", ",,,"}) {
    CAPTURE(bad);
    CHECK_FALSE(wish({{"RateLimit", bad}}));
  }
}

TEST_CASE("the X-RateLimit family is understood as spans, seconds since 1970 or milliseconds since 1970") {
  const long long epoch = duration_cast<seconds>(noon.time_since_epoch()).count();
  CHECK(wish({{"X-RateLimit-Reset", "60"}}) == again::duration{60s});
  CHECK(wish({{"X-RateLimit-Reset", std::to_string(epoch + 60)}}) == again::duration{60s});
  CHECK(wish({{"X-RateLimit-Reset", std::to_string((epoch + 60) * 1000)}}) == again::duration{60s});
  CHECK(wish({{"X-RateLimit-Reset", std::to_string(epoch - 60)}}) == again::duration::zero());
  for (const std::string later : {"9223372037", "9999999999", "99999999999", "999999999999"}) {
    CAPTURE(later);  // seconds since 1970, beyond what nanoseconds can count
    CHECK(wish({{"X-RateLimit-Reset", later}}) == again::forever);
  }
  CHECK(wish({{"X-RateLimit-Reset", "1000000000000"}}) == again::duration::zero());  // milliseconds, in 2001
  CHECK(wish({{"X-Rate-Limit-Reset", "9"}}) == again::duration{9s});
  CHECK(wish({{"X-RateLimit-Reset-After", "1.25"}}) == again::duration{1250ms});
  CHECK(wish({{"X-RateLimit-Retry-After", "3"}}) == again::duration{3s});
  CHECK(wish({{"Date", "Mon, 03 Jun 2019 10:59:50 GMT"}, {"X-RateLimit-Reset", std::to_string(epoch)}}) ==
        again::duration{10s});
  CHECK_FALSE(wish({{"X-RateLimit-Remaining", "12"}, {"X-RateLimit-Reset", "60"}}));
  CHECK(wish({{"X-RateLimit-Remaining", "0"}, {"X-RateLimit-Reset", "60"}}) == again::duration{60s});
  for (const std::string bad : {"", "-1", "1.", ".5", "1.x", "soon", "99999999999999999999"}) {
    CAPTURE(bad);
    CHECK_FALSE(wish({{"X-RateLimit-Reset", bad}}));
  }
}

TEST_CASE("X-Should-Retry and Stripe-Should-Retry are read as true or false, and other text as absent") {
  CHECK(should_retry({{"X-Should-Retry", "false"}}) == false);
  CHECK(should_retry({{"x-should-retry", "TRUE"}}) == true);
  CHECK(should_retry({{"Stripe-Should-Retry", "false"}}) == false);
  CHECK(should_retry({{"X-Should-Retry", "maybe"}, {"Stripe-Should-Retry", "true"}}) == true);
  CHECK_FALSE(should_retry({{"X-Should-Retry", "0"}}).has_value());
  CHECK_FALSE(should_retry({}).has_value());
}
