// SPDX-License-Identifier: MIT
// Every combinator × {success, error, exception, cancelled before, during and after, timeout, destroyed while suspended}: each
// pair a test of its own, generated below. What must hold for all of them: exactly one result, the operation's own error never
// replaced, nothing left armed, queued, reserved or running.
#include <again/again.hpp>
#include <again/chaos.hpp>
#include <again/testing.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;
using peer = again::testing::script<int, trouble>;

namespace {

const trouble stopped{0, again::disposition::aborted};
constexpr again::policy twice{.attempts = 2,
                              .backoff = again::constant(100ms),
                              .jitter = again::jitter::none,
                              .attempt_timeout = again::forever,
                              .deadline = again::forever};

// What is shared, one of each, so that it can be asked afterwards whether all was given back.
struct shared_parts {
  again::budget slots{again::budgets::in_flight{.share = 0, .floor = 1}};
  again::breaker breaker{{.consecutive = 1000}};
  again::limiter limiter{{.in_flight = 1, .queue = 1}};
  again::rate_limiter rate{{.per_second = 1e6, .burst = 1000}};
  again::adaptive_rate learned;
  again::resilience all{{.retrying = twice, .at_once = {.in_flight = 1, .queue = 1}}};
  again::scheduler* loop = nullptr;

  void check_all_given_back(world& w) {
    CHECK(slots.balance(w.time.now()) == 1);
    CHECK(limiter.in_flight() == 0);
    CHECK(limiter.queued() == 0);
    CHECK(all.limiter().in_flight() == 0);
    CHECK(w.loop.timers() == 0);
  }
};

// The combinators: a name, and how it is put around an operation.
struct with_retry {
  auto operator()(shared_parts&, auto op) const { return again::retry(twice, op); }
};
struct with_retry_bounded {
  auto operator()(shared_parts&, auto op) const {
    again::policy p = twice;
    p.attempt_timeout = 1h;
    p.deadline = 2h;
    return again::retry(p, op);
  }
};
struct with_retry_guarded {
  auto operator()(shared_parts& s, auto op) const { return again::retry(twice, op).budget(s.slots).breaker(s.breaker); }
};
struct with_retry_observed {
  auto operator()(shared_parts&, auto op) const {
    return again::retry(twice, op).observe([](const again::attempt_record&) {});
  }
};
struct with_retry_on {
  auto operator()(shared_parts& s, auto op) const { return again::retry(twice, op).on(*s.loop); }
};
struct with_timeout {
  auto operator()(shared_parts&, auto op) const { return again::timeout(2h, op); }
};
struct with_hedge {
  auto operator()(shared_parts&, auto op) const { return again::hedge({.delay = 3h}, op); }
};
struct with_hedge_sent {
  auto operator()(shared_parts& s, auto op) const { return again::hedge({.delay = 1ms}, op).budget(s.slots); }
};
struct with_guard {
  auto operator()(shared_parts& s, auto op) const { return again::guard(s.breaker, op); }
};
struct with_limit {
  auto operator()(shared_parts& s, auto op) const { return again::limit(s.limiter, op); }
};
struct with_rate {
  auto operator()(shared_parts& s, auto op) const { return again::rate(s.rate, op); }
};
struct with_adaptive_rate {
  auto operator()(shared_parts& s, auto op) const { return again::rate(s.learned, op); }
};
struct with_fallback_operation {
  auto operator()(shared_parts&, auto op) const {
    return again::fallback(op, []() -> again::task<outcome> { co_return fail(77); });
  }
};
struct with_chaos {
  auto operator()(shared_parts&, auto op) const {
    return again::chaos({.slow = 1, .latency = 1ms}, op, [] { return trouble{9}; });
  }
};
struct with_resilient {
  auto operator()(shared_parts& s, auto op) const { return again::resilient(s.all, op); }
};
struct with_pipe {
  auto operator()(shared_parts& s, auto op) const {
    return op | again::timeout(3h) | again::guard(s.breaker) | again::hedge({.delay = 3h}) |
           again::retry(twice).budget(s.slots) | again::limit(s.limiter) | again::timeout(4h);
  }
};

template <class E> int number_of(const E& e) {
  if constexpr (requires { e.number; }) {
    return e.number;
  } else {
    return e.error() != nullptr ? e.error()->number : -1;
  }
}
template <class E> std::optional<stop_reason> reason_of(const E& e) {
  if constexpr (requires { e.reason(); }) return e.reason();
  return std::nullopt;
}

// Awaits `op` as a coroutine of its own that can be stopped and destroyed from outside.
template <class Op> struct call {
  using result = again::operation_result_t<Op>;
  std::optional<result> got{};
  std::exception_ptr thrown{};
  int results = 0;
  again::task<> run(Op& op) {
    try {
      got.emplace(co_await op());
    } catch (...) { thrown = std::current_exception(); }
    ++results;
  }
};

// A world, the shared parts, the peer, the combinator around it.
template <class Combinator> struct bench {
  world w;
  shared_parts parts;
  peer p{stopped};
  using op_type = decltype(Combinator{}(std::declval<shared_parts&>(), std::ref(std::declval<peer&>())));
  std::optional<op_type> op;
  call<op_type> c;
  bench() {
    parts.loop = &w.loop;
    op.emplace(Combinator{}(parts, std::ref(p)));
  }

  // Runs the call; `during` happens after a minute; at the end all must have been given back.
  template <class During> void run(During during) {
    auto all = [&]() -> again::task<> {
      auto calls = std::make_unique<again::scope>(co_await again::get_context());
      calls->spawn(c.run(*op));
      if (c.results == 0) {
        (void)co_await again::sleep_for(1min);
        during(calls);
      }
      if (calls) co_await calls->join();
    };
    w.run(all());
    parts.check_all_given_back(w);
    for (const again::testing::call_record& made : p.calls()) CHECK((made.ended != again::never || c.results == 0));
  }
  void run() {
    run([](auto&) {});
  }
};

constexpr bool substitutes(const with_fallback_operation&) { return true; }
constexpr bool substitutes(const auto&) { return false; }

}  // namespace

#define COMBINATORS                                                                                                 \
  with_retry, with_retry_bounded, with_retry_guarded, with_retry_observed, with_retry_on, with_timeout, with_hedge, \
      with_hedge_sent, with_guard, with_limit, with_rate, with_adaptive_rate, with_fallback_operation, with_chaos,  \
      with_resilient, with_pipe

TEST_CASE_TEMPLATE("success: the value, once", C, COMBINATORS) {
  for (const again::duration takes : {0ms, 5ms}) {
    bench<C> b;
    b.p.gives(42).takes(takes).gives(43).takes(1h);
    b.run();
    CHECK(b.c.results == 1);
    REQUIRE(b.c.got);
    CHECK(b.c.got->value() == 42);
  }
}

TEST_CASE_TEMPLATE("error: the operation's own, once", C, COMBINATORS) {
  for (const again::duration takes : {0ms, 5ms}) {
    bench<C> b;
    b.p.fails(trouble{5, again::disposition::permanent})
        .takes(takes)
        .fails(trouble{5, again::disposition::permanent})
        .takes(takes);
    b.run();
    CHECK(b.c.results == 1);
    REQUIRE(b.c.got);
    CHECK(number_of(b.c.got->error()) == (substitutes(C{}) ? 77 : 5));
  }
}

TEST_CASE_TEMPLATE("exception: rethrown, once", C, COMBINATORS) {
  for (const again::duration takes : {0ms, 5ms}) {
    bench<C> b;
    b.p.throws(std::runtime_error{"broken"}).takes(takes).hangs();
    b.run();
    CHECK(b.c.results == 1);
    CHECK_FALSE(b.c.got);
    REQUIRE(b.c.thrown);
    CHECK_THROWS_AS(std::rethrow_exception(b.c.thrown), std::runtime_error);
  }
}

TEST_CASE_TEMPLATE("cancelled before: nothing runs to its end, and the result says so", C, COMBINATORS) {
  bench<C> b;
  b.p.hangs().hangs();
  again::inplace_stop_source stop;
  stop.request_stop();
  b.w.run(b.c.run(*b.op), stop.get_token());
  CHECK(b.c.results == 1);
  REQUIRE(b.c.got);
  REQUIRE_FALSE(b.c.got->has_value());
  if (const auto reason = reason_of(b.c.got->error())) CHECK(*reason == stop_reason::cancelled_before_start);
  for (const again::testing::call_record& made : b.p.calls()) CHECK(made.stopped);
  CHECK(b.w.elapsed() == 0ms);
  b.parts.check_all_given_back(b.w);
}

TEST_CASE_TEMPLATE("cancelled during an attempt: it ends at once, and the result says so", C, COMBINATORS) {
  bench<C> b;
  b.p.hangs().hangs();
  b.run([](auto& calls) { calls->request_stop(); });
  CHECK(b.c.results == 1);
  REQUIRE(b.c.got);
  REQUIRE_FALSE(b.c.got->has_value());
  if (const auto reason = reason_of(b.c.got->error())) CHECK(*reason == stop_reason::cancelled_in_attempt);
  CHECK(b.w.elapsed() == 1min);
}

TEST_CASE_TEMPLATE("cancelled after: a result that is there stays", C, COMBINATORS) {
  bench<C> b;
  b.p.gives(42).gives(43);
  again::inplace_stop_source stop;
  b.w.run(b.c.run(*b.op), stop.get_token());
  stop.request_stop();
  CHECK(b.c.results == 1);
  CHECK(b.c.got->value() == 42);
  b.parts.check_all_given_back(b.w);
}

TEST_CASE_TEMPLATE("timeout around it: the time is up, and the result says so", C, COMBINATORS) {
  bench<C> b;
  b.p.hangs().hangs();
  auto bounded = again::timeout(1s, *b.op);
  const auto r = b.w.run(bounded);
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == stop_reason::deadline_reached);
  CHECK(b.w.elapsed() == 1s);
  b.parts.check_all_given_back(b.w);
}

TEST_CASE_TEMPLATE("destroyed while suspended: no result, and nothing is left", C, COMBINATORS) {
  bench<C> b;
  b.p.hangs().hangs();
  b.run([](auto& calls) { calls.reset(); });
  CHECK(b.c.results == 0);
}

TEST_CASE_TEMPLATE("destroyed at the moment at which it would be resumed: no result, and nothing is left", C,
                   COMBINATORS) {
  bench<C> b;
  b.p.gives(1).takes(1min).gives(2).takes(1h);
  b.run([](auto& calls) { calls.reset(); });
  CHECK(b.c.results <= 1);
}

TEST_CASE_TEMPLATE("it is an operation: started again it gives another result", C, COMBINATORS) {
  bench<C> b;
  b.p.gives(1).gives(2);
  b.w.run(b.c.run(*b.op));
  CHECK(b.c.got->value() == 1);
  b.w.run(b.c.run(*b.op));
  CHECK(b.c.got->value() == 2);
  CHECK(b.c.results == 2);
}
