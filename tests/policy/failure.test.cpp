// SPDX-License-Identifier: MIT
#include <again/policy/failure.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;
using again::disposition;
using again::failure;
using again::stop_reason;
using again_test::trouble;

static_assert(sizeof(failure<std::string>) == sizeof(void*));
static_assert(std::is_nothrow_move_constructible_v<failure<std::string>>);
static_assert(std::is_same_v<again::merged_error_t<failure<int>>, int> &&
              std::is_same_v<again::merged_error_t<int>, int>);

namespace {

failure<trouble> stopped(stop_reason reason, disposition kind = disposition::transient) {
  failure<trouble>::report r;
  r.reason = reason;
  r.attempts = 3;
  r.elapsed = 2s;
  r.farthest = again::reach::maybe_sent;
  r.error.emplace(trouble{503, kind});
  return failure<trouble>{std::move(r)};
}

}  // namespace

TEST_CASE("a failure tells reason, last error, attempts, elapsed time and reach") {
  const failure<trouble> f = stopped(stop_reason::attempts_exhausted);
  CHECK(f.reason() == stop_reason::attempts_exhausted);
  REQUIRE(f.error() != nullptr);
  CHECK(f.error()->number == 503);
  CHECK(f.attempts() == 3);
  CHECK(f.elapsed() == 2s);
  CHECK(f.reach() == again::reach::maybe_sent);
}

TEST_CASE("a failure before the first send holds no error") {
  failure<trouble>::report r;
  r.reason = stop_reason::cancelled_before_start;
  const failure<trouble> f{std::move(r)};
  CHECK(f.error() == nullptr);
  CHECK(f.attempts() == 0);
  CHECK(f.reach() == again::reach::not_sent);
  CHECK(f.verdict().reach == again::reach::not_sent);
  CHECK(f.verdict().name == "cancelled_before_start");
}

TEST_CASE("an empty failure is filled through its details") {
  failure<trouble> f{std::in_place};
  CHECK(f.error() == nullptr);
  CHECK(f.attempts() == 0);
  CHECK(f.trace().size() == 0);
  f.details().attempts = 2;
  f.details().error.emplace(trouble{503});
  CHECK(f.attempts() == 2);
  CHECK(f.error()->number == 503);
}

TEST_CASE("a copy owns its own report, and a move takes it") {
  failure<std::string>::report r;
  r.error = "broken";
  failure<std::string> a{std::move(r)};
  failure<std::string> b = a;
  *b.error() = "changed";
  CHECK(*a.error() == "broken");
  a = b;
  CHECK(*a.error() == "changed");
  const failure<std::string>& self = a;
  a = self;
  CHECK(*a.error() == "changed");
  failure<std::string> c = std::move(a);
  CHECK(*c.error() == "changed");
  a = c;
  CHECK(*a.error() == "changed");
}

TEST_CASE("to a retry around it, a failure that ran out of attempts means what its last error means") {
  CHECK(stopped(stop_reason::attempts_exhausted).verdict().kind == disposition::transient);
  CHECK(stopped(stop_reason::nested_limit).verdict().kind == disposition::transient);
  CHECK(stopped(stop_reason::attempts_exhausted, disposition::not_replayable).verdict().kind ==
        disposition::not_replayable);
  CHECK(stopped(stop_reason::deadline_too_near).verdict().kind == disposition::transient);
  CHECK(stopped(stop_reason::deadline_reached, disposition::aborted).verdict().kind == disposition::transient);
}

TEST_CASE("to a retry around it, a failure that a caller, a server, a budget or a breaker ended is a stop") {
  CHECK(stopped(stop_reason::permanent).verdict().kind == disposition::permanent);
  CHECK(stopped(stop_reason::budget_exhausted).verdict().kind == disposition::permanent);
  CHECK(stopped(stop_reason::breaker_open).verdict().kind == disposition::permanent);
  CHECK(stopped(stop_reason::overloaded).verdict().kind == disposition::permanent);
  CHECK(stopped(stop_reason::server_delay_too_long).verdict().kind == disposition::permanent);
  CHECK(stopped(stop_reason::server_forbade).verdict().kind == disposition::forbidden);
  CHECK(stopped(stop_reason::not_replayable).verdict().kind == disposition::not_replayable);
  CHECK(stopped(stop_reason::cancelled_in_attempt).verdict().kind == disposition::aborted);
  CHECK(stopped(stop_reason::cancelled_in_delay).verdict().kind == disposition::aborted);
  CHECK(stopped(stop_reason::cancelled_before_start).verdict().kind == disposition::aborted);
}

TEST_CASE("to a retry around it, a permanent error that a deadline cut off is worth another attempt") {
  CHECK(stopped(stop_reason::deadline_reached, disposition::permanent).verdict().kind == disposition::transient);
}

TEST_CASE("to a retry around it, attempts that the retry's own timeouts cut off are worth another one") {
  CHECK(stopped(stop_reason::attempts_exhausted, disposition::aborted).verdict().kind == disposition::transient);
  CHECK(stopped(stop_reason::nested_limit, disposition::aborted).verdict().kind == disposition::transient);
}

TEST_CASE("an aborted attempt that is not repeatable stays so when a deadline ended it") {
  failure<trouble>::report r;
  r.reason = stop_reason::deadline_reached;
  trouble cut{1, disposition::aborted};
  cut.repeatable = false;
  r.error.emplace(cut);
  CHECK(failure<trouble>{std::move(r)}.verdict().kind == disposition::not_replayable);
}
