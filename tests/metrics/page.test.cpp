// SPDX-License-Identifier: MIT
#include <again/metrics/page.hpp>

#include <again/metrics/retry_metrics.hpp>

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace again;
using namespace std::chrono_literals;

TEST_CASE("a histogram on a page has cumulative buckets, a sum in seconds and a count") {
  constexpr duration bounds[] = {1ms, 10ms, 1s};
  histogram h{bounds};
  for (const duration d : {duration{0}, duration{1ms}, duration{1ms + 1ns}, duration{10ms}, duration{2s}}) h.observe(d);
  metrics_page page;
  page.add("took_seconds", "How long.", h);
  CHECK(page.text() ==
        "# HELP took_seconds How long.\n# TYPE took_seconds histogram\n"
        "took_seconds_bucket{le=\"0.001\"} 2\ntook_seconds_bucket{le=\"0.01\"} 4\ntook_seconds_bucket{le=\"1\"} 4\n"
        "took_seconds_bucket{le=\"+Inf\"} 5\ntook_seconds_sum 2.012000001\ntook_seconds_count 5\n");
}

TEST_CASE("labels are escaped, and a metric has one HELP and TYPE however many groups are on the page") {
  retry_metrics odd{"a\"b\\c\nd"}, other{"e"};
  const std::string page = metrics_page{}.add(odd).add(other).text();
  const std::string head = "# TYPE again_calls_in_flight gauge\n";
  const auto at = page.find(head);
  REQUIRE(at != std::string::npos);
  CHECK(page.find(head, at + 1) == std::string::npos);
  CHECK(page.substr(at + head.size())
            .starts_with("again_calls_in_flight{call=\"a\\\"b\\\\c\\nd\"} 0\nagain_calls_in_flight{call=\"e\"} 0\n"));
}

TEST_CASE("promtool accepts the page") {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    MESSAGE("promtool (package prometheus) is not installed: not checked");  // and a test of the programs is skipped
    return;
  }
  retry_metrics numbers{"quotes \"of\" the\\day"};
  numbers.began();
  numbers.attempted({.attempt = 1, .ok = true, .took = 3ms});
  numbers.succeeded(4ms);
  const std::string page = metrics_page{}.add(numbers).text();
  std::FILE* const check = ::popen("promtool check metrics", "w");
  REQUIRE(check);
  CHECK(std::fwrite(page.data(), 1, page.size(), check) == page.size());
  CHECK(::pclose(check) == 0);
}
