// SPDX-License-Identifier: MIT
#include <again/testing.hpp>

#include <again/retry.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>

using namespace again_test;
using namespace std::chrono_literals;
using peer = again::testing::script<int, trouble>;

static_assert(again::fallible_operation<std::reference_wrapper<peer>>);
static_assert(again::startable<peer::call>);
static_assert(!std::is_copy_constructible_v<peer>);

namespace {
const trouble stopped{0, again::disposition::aborted};
constexpr again::policy steady{.attempts = 4, .backoff = again::constant(100ms), .jitter = again::jitter::none};
}  // namespace

TEST_CASE("a script gives its outcomes in order and remembers the waits between them") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).takes(30ms).fails(trouble{2}).gives(3).takes(5ms);
  CHECK(w.run(again::retry(steady, std::ref(p))).value() == 3);
  CHECK(p.complaint({100ms, 100ms}) == "");
  CHECK(w.elapsed() == 235ms);
  CHECK(p.calls()[0].ended - p.calls()[0].began == 30ms);
  CHECK_FALSE(p.calls()[0].repeated);
  CHECK(p.calls()[1].repeated);
}

TEST_CASE("a complaint says what differs") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).gives(2).gives(3);
  CHECK(p.complaint({}) == "0 calls instead of 3");
  (void)w.run(again::retry(steady, std::ref(p)));
  CHECK(p.complaint({100ms}) == "2 calls instead of 3");
  (void)w.run(again::retry(steady, std::ref(p)));
  CHECK(p.complaint({100ms, 50ms}) == "waits: 100 ms 0 ms; expected: 100 ms 50 ms");
}

TEST_CASE("a call that is not in the script throws") {
  world w;
  peer p{stopped};
  p.fails(trouble{1});
  CHECK_THROWS_WITH_AS(w.run(again::retry(steady, std::ref(p))), "again::testing::script: call 2 was not expected",
                       std::logic_error);
}

TEST_CASE("a scripted exception is thrown") {
  world w;
  peer p{stopped};
  p.throws(std::runtime_error{"broken"});
  CHECK_THROWS_WITH_AS(w.run(again::retry(steady, std::ref(p))), "broken", std::runtime_error);
}

TEST_CASE("a hanging call ends with the error for stopped calls when stop is requested, and knows its deadline") {
  world w;
  peer p{stopped};
  p.hangs();
  again::policy impatient = steady;
  impatient.attempts = 1;
  impatient.attempt_timeout = 2s;
  const auto r = w.run(again::retry(impatient, std::ref(p)));
  CHECK_FALSE(r);
  CHECK(w.elapsed() == 2s);
  CHECK(p.calls()[0].stopped);
  CHECK(p.calls()[0].allowed == 2s);
}

TEST_CASE("a deaf call goes on to its own end") {
  world w;
  peer p{stopped};
  p.gives(1).takes(5s).deaf();
  again::policy impatient = steady;
  impatient.attempt_timeout = 2s;
  CHECK(w.run(again::retry(impatient, std::ref(p))).value() == 1);
  CHECK(w.elapsed() == 5s);
  CHECK_FALSE(p.calls()[0].stopped);
}

TEST_CASE("a script of calls that give nothing") {
  world w;
  again::testing::script<void, trouble> p{stopped};
  p.gives();
  CHECK(w.run(again::retry(steady, std::ref(p))));
}
