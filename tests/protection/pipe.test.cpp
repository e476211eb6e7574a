// SPDX-License-Identifier: MIT
#include <again/protection/pipe.hpp>

#include <again/combinator/catching.hpp>
#include <again/coro/task.hpp>

#include "support/scripted_peer.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <stdexcept>
#include <type_traits>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;

namespace {
constexpr again::policy thrice{.attempts = 3, .backoff = again::constant(100ms), .jitter = again::jitter::none};
}  // namespace

TEST_CASE("a pipe is the nested call: the same type, the last word outermost") {
  peer p{stopped};
  auto op = std::ref(p);
  static_assert(std::is_same_v<decltype(op | again::timeout(1s) | again::retry(thrice) | again::timeout(5s)),
                               decltype(again::timeout(5s, again::retry(thrice, again::timeout(1s, op))))>);
  again::limiter l;
  again::breaker b;
  again::rate_limiter r{{}};
  static_assert(
      std::is_same_v<
          decltype(op | again::guard(b) | again::rate(r) | again::hedge({}) | again::limit(l) | again::fallback(3)),
          decltype(again::fallback(again::limit(l, again::hedge({}, again::rate(r, again::guard(b, op)))), 3))>);
}

TEST_CASE("a pipe does what the nested call does") {
  world w;
  peer p{stopped};
  p.hangs().hangs().gives(3);
  auto op = std::ref(p) | again::timeout(1s) | again::retry(thrice) | again::timeout(5s);
  CHECK(w.run(op).value() == 3);
  CHECK(w.elapsed() == 2200ms);
  CHECK(p.complaint({100ms, 100ms}) == "");
}

TEST_CASE("a peer's whole protection is a stage too; a function that throws begins a pipe as catching") {
  world w;
  again::resilience all{{.retrying = thrice}};
  peer p{stopped};
  p.fails(trouble{1}).gives(2);
  auto op = std::ref(p) | again::resilient(all);
  static_assert(std::is_same_v<decltype(op), decltype(again::resilient(all, std::ref(p)))>);
  CHECK(w.run(op).value() == 2);
  int calls = 0;
  const auto throws_once = [&]() -> again::task<int> {
    if (++calls == 1) throw std::runtime_error{"busy"};
    co_return calls;
  };
  CHECK(w.run(again::catching(throws_once) | again::retry(thrice)).value() == 2);
}

TEST_CASE("the outer timeout bounds all of it") {
  world w;
  peer p{stopped};
  p.hangs().hangs();
  const auto r = w.run(std::ref(p) | again::timeout(1s) | again::retry(thrice) | again::timeout(1500ms));
  CHECK(r.error().reason() == stop_reason::deadline_reached);
  CHECK(r.error().attempts() == 2);
  CHECK(w.elapsed() == 1500ms);
}

TEST_CASE("a stage takes what its combinator takes") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2});
  again::budget shared{again::budgets::tokens{.capacity = 1, .cost = 1}};
  again::breaker b;
  int seen = 0;
  const auto r = w.run(std::ref(p) | again::retry(thrice)
                                         .budget(shared)
                                         .breaker(b)
                                         .when([](const trouble&) { return true; })
                                         .observe([&](const again::attempt_record&) { ++seen; })
                                         .nested(again::allow)
                                         .seed(1));
  CHECK(r.error().reason() == stop_reason::budget_exhausted);
  CHECK(seen == 2);
}

TEST_CASE("stages make a stage that serves many operations") {
  world w;
  const auto usual = again::timeout(1s) | again::retry(thrice) | again::fallback(42);
  peer p{stopped};
  p.hangs().gives(1);
  peer q{stopped};
  q.fails(trouble{1, again::disposition::permanent});
  CHECK(w.run(std::ref(p) | usual).value() == 1);
  CHECK(w.run(std::ref(q) | usual).value() == 42);
}

TEST_CASE("a checked policy and one known at run time") {
  world w;
  peer p{stopped};
  p.gives(1).gives(2);
  CHECK(w.run(std::ref(p) | again::retry(again::checked({.attempts = 2}))).value() == 1);
  CHECK(w.run(std::ref(p) | again::retry({.attempts = 2})).value() == 2);
  CHECK_THROWS_AS((void)again::retry(again::policy{.attempts = 0}), std::invalid_argument);
}
