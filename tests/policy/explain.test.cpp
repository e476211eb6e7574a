// SPDX-License-Identifier: MIT
#include <again/policy/explain.hpp>

#include "support/comma_locale.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace std::chrono_literals;
using again::policy;
using again::worst_case;

constexpr auto polite =
    again::checked({.attempts = 4, .backoff = again::exponential(100ms, 2s), .attempt_timeout = 1s, .deadline = 5s});
static_assert(worst_case(polite).sends == 4 && worst_case(polite).time <= 5s);

TEST_CASE("explain prints the schedule of the header's example") {
  CHECK(again::explain(polite) == "attempt 1  at once\n"
                                  "attempt 2  after 0 ms ... 100 ms\n"
                                  "attempt 3  after 0 ms ... 200 ms\n"
                                  "attempt 4  after 0 ms ... 400 ms\n"
                                  "each attempt at most 1 s; all of it at most 4 sends and 4.7 s\n");
}

TEST_CASE("explain of an unbounded schedule shows its beginning and says that it goes on") {
  policy p{.attempts = again::unlimited,
           .backoff = again::constant(1s).at_once_first(),
           .jitter = again::jitter::none,
           .deadline = 1h};
  p.attempt_timeout = again::forever;
  const std::string text = again::explain(p);
  CHECK(text.find("attempt 2  at once\n") != std::string::npos);
  CHECK(text.find("attempt 12  after 1 s\n") != std::string::npos);
  CHECK(text.find("attempt 13") == std::string::npos);
  CHECK(text.find("and so on\nno bound on one attempt; all of it at most 3601 sends and 1 h\n") != std::string::npos);
}

TEST_CASE("one send is written in the singular") {
  CHECK(again::explain(policy{.attempts = 1, .deadline = 2s}) ==
        "attempt 1  at once\neach attempt at most 2 s; all of it at most 1 send and 2 s\n");
}

TEST_CASE("the worst case counts full attempts and longest waits, up to the deadline") {
  CHECK(worst_case(policy{}).sends == 4);
  CHECK(worst_case(policy{}).time == 30s);
  const policy p{.attempts = 3,
                 .backoff = again::constant(2s),
                 .jitter = again::jitter::none,
                 .attempt_timeout = 1s,
                 .deadline = 1min};
  CHECK(worst_case(p) == again::cost_bound{3, 7s});
  const policy jittered{.attempts = 3,
                        .backoff = again::constant(2s),
                        .jitter = again::jitter::proportional(0.5),
                        .attempt_timeout = 1s,
                        .deadline = 1min};
  CHECK(worst_case(jittered) == again::cost_bound{3, 9s});
}

TEST_CASE("where the longest wait does not fit, a shorter one may, and its attempt lasts until the deadline") {
  const policy p{.attempts = 4, .backoff = again::exponential(1s, 8s), .attempt_timeout = 1s, .deadline = 5s};
  CHECK(worst_case(p) == again::cost_bound{4, 5s});
  const policy steady{.attempts = 4,
                      .backoff = again::exponential(1s, 8s),
                      .jitter = again::jitter::none,
                      .attempt_timeout = 2s,
                      .deadline = 6s};
  CHECK(worst_case(steady).time == 6s);  // attempts that fail fast leave room for a third
}

TEST_CASE("where there is no bound the worst case says so") {
  const policy p{.attempts = 5, .attempt_timeout = again::forever, .deadline = again::forever};
  CHECK(worst_case(p) == again::cost_bound{5, again::forever});
  const policy many{
      .attempts = again::unlimited, .backoff = again::constant(1ns), .jitter = again::jitter::none, .deadline = 1h};
  CHECK(worst_case(many) == again::cost_bound{again::unlimited, 1h});
  const policy polly{.attempts = 7, .backoff = again::polly_v2(1s, 10s), .deadline = 2s};
  CHECK(worst_case(polly).sends == 7);  // its waits may be almost zero
}

TEST_CASE("durations are printed for people") {
  CHECK(again::to_string(0ns) == "0 ms");
  CHECK(again::to_string(1ns) == "1 ns");
  CHECK(again::to_string(1500us) == "1.5 ms");
  CHECK(again::to_string(250ms) == "250 ms");
  CHECK(again::to_string(90s) == "1.5 min");
  CHECK(again::to_string(1h) == "1 h");
  CHECK(again::to_string(-2s) == "-2 s");
  CHECK(again::to_string(1234567890ns) == "1.235 s");
  CHECK(again::to_string(again::forever) == "no bound");
  CHECK(again::to_string(1050us) == "1.05 ms");
  CHECK(again::to_string(1005us) == "1.005 ms");
  CHECK(again::to_string(999'999'900ns) == "1000 ms");
  CHECK(again::to_string(999'999'400ns) == "999.999 ms");
  CHECK(again::to_string(-1500us) == "-1.5 ms");
  CHECK(again::to_string(again::forever - 1ns) == "2562047.788 h");
  CHECK(again::to_string(again::duration::min()) == "-2562047.788 h");
}

TEST_CASE("durations and schedules have a decimal point whatever the locale of the program is") {
  const again_test::comma_locale comma;
  if (!comma.of_c()) MESSAGE("no locale with a decimal comma is installed: printf is not tested, streams are");
  CHECK(again::to_string(1500us) == "1.5 ms");
  CHECK(again::to_string(1234567s) == "342.935 h");
  CHECK(again::explain({.attempts = 2, .backoff = again::constant(1500us), .jitter = again::jitter::none}) ==
        "attempt 1  at once\nattempt 2  after 1.5 ms\neach attempt at most 10 s; all of it at most 2 sends and 20.002 "
        "s\n");
}
