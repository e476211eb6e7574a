// SPDX-License-Identifier: MIT
#include <again/guard.hpp>

#include <again/retry.hpp>
#include <again/testing.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;
using peer = again::testing::script<int, trouble>;

namespace {
const trouble stopped{0, again::disposition::aborted};
}

TEST_CASE("a guard lets through while closed, and fails at once with nothing sent while open") {
  world w;
  again::breaker b{{.consecutive = 2, .open_for = 5s}};
  peer p{stopped};
  p.gives(1).fails(trouble{2}).fails(trouble{3}).gives(4);
  auto op = again::guard(b, std::ref(p));
  CHECK(w.run(op).value() == 1);
  const auto failed = w.run(op);
  CHECK(failed.error().reason() == stop_reason::attempts_exhausted);
  CHECK(failed.error().error()->number == 2);
  CHECK(failed.error().attempts() == 1);
  CHECK(failed.error().trace().size() == 1);
  (void)w.run(op);
  const auto refused = w.run(op);
  CHECK(refused.error().reason() == stop_reason::breaker_open);
  CHECK(refused.error().error() == nullptr);
  CHECK(refused.error().attempts() == 0);
  CHECK(p.calls().size() == 3);
  w.time.advance(5s);
  CHECK(w.run(op).value() == 4);
  CHECK(b.state() == again::breaker_state::closed);
}

TEST_CASE("a retry around a guard ends with the guard's reason") {
  world w;
  again::breaker b{{.consecutive = 2}};
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2});
  const auto r =
      w.run(again::retry(again::policy{.attempts = 5, .jitter = again::jitter::none}, again::guard(b, std::ref(p))));
  CHECK(r.error().reason() == stop_reason::breaker_open);
  CHECK(r.error().error()->number == 2);
  CHECK(r.error().attempts() == 2);
}

TEST_CASE("an exception says nothing of the peer and frees the probe's place") {
  world w;
  again::breaker b{{.consecutive = 1, .open_for = 1s}};
  b.trip(w.time.now());
  w.time.advance(1s);
  peer p{stopped};
  p.throws(std::runtime_error{"broken"}).gives(1);
  auto op = again::guard(b, std::ref(p));
  CHECK_THROWS_AS(w.run(op), std::runtime_error);
  CHECK(b.state() == again::breaker_state::half_open);
  CHECK(w.run(op).value() == 1);
}

TEST_CASE("a guard says of its operation whether it may be repeated") {
  peer p{stopped};
  again::breaker b;
  CHECK(again::guard(b, std::ref(p)).repeatable());
}
