// SPDX-License-Identifier: MIT
// Every combinator × {success, error, exception, cancelled before, during and after, timeout, destroyed while suspended}: one
// test for each pair, generated below. What must hold for all of them: exactly one result, the operation's own error never
// replaced, nothing left armed, queued, reserved or running.
#include <again/again.hpp>
#include <again/metrics.hpp>
#include <again/testing/chaos.hpp>

#include "support/far_loop.hpp"
#include "support/scripted_peer.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;

namespace {

constexpr again::policy twice{.attempts = 2,
                              .backoff = again::constant(100ms),
                              .jitter = again::jitter::none,
                              .attempt_timeout = again::forever,
                              .deadline = again::forever};

// One object of each shared kind. The tests check afterwards that everything was given back to it.
struct shared_parts {
  again::budget slots{again::budgets::in_flight{.share = 0, .floor = 1}};
  again::breaker breaker{{.consecutive = 1000}};
  again::limiter limiter{{.in_flight = 1, .queue = 1}};
  again::rate_limiter rate{{.per_second = 1e6, .burst = 1000}};
  again::adaptive_rate learned;
  again::resilience all{{.retrying = twice, .at_once = {.in_flight = 1, .queue = 1}}};
  again::retry_metrics numbers{"matrix"};
  again::scheduler* loop = nullptr;

  void check_all_given_back(world& w) {
    CHECK(slots.balance(w.time.now()) == 1);
    CHECK(limiter.in_flight() == 0);
    CHECK(limiter.queued() == 0);
    CHECK(all.limiter().in_flight() == 0);
    CHECK(numbers.calls_in_flight() == 0);
    CHECK(w.loop.timers() == 0);
  }
};

// The combinators: a name, and a function that wraps an operation in it.
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
struct with_fallback_value {
  auto operator()(shared_parts&, auto op) const { return again::fallback(op, 77); }
};
struct with_fallback_function {
  auto operator()(shared_parts&, auto op) const {
    return again::fallback(op, [](const trouble& t) { return t.number + 72; });
  }
};
struct with_fallback_when {  // no failure here satisfies its predicate
  auto operator()(shared_parts&, auto op) const {
    return again::fallback(op, 77).when([](const trouble& t) { return t.number > 100; });
  }
};
struct with_catching {
  auto operator()(shared_parts&, auto op) const {
    return again::catching([op]() mutable -> again::task<int> {
      const auto r = co_await op();
      if (!r) throw r.error();
      co_return *r;
    });
  }
};
struct with_when_all {
  auto operator()(shared_parts&, auto op) const {
    return [op]() -> again::task<outcome> {
      auto [first, second] = co_await again::when_all(op, []() -> again::task<int> { co_return 1; });
      co_return first;
    };
  }
};
struct with_when_any {
  auto operator()(shared_parts&, auto op) const {
    return [op]() -> again::task<outcome> {
      const auto never_first = []() -> again::task<outcome> {
        (void)co_await again::sleep_for(1000h);
        co_return aborted(0);
      };
      auto first = co_await again::when_any(op, never_first);
      co_return first.index() == 0 ? std::get<0>(std::move(first)) : std::get<1>(std::move(first));
    };
  }
};
struct with_measure {
  auto operator()(shared_parts& s, auto op) const { return again::measure(s.numbers, op); }
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
  if constexpr (std::is_same_v<E, std::exception_ptr>) {
    try {
      std::rethrow_exception(e);
    } catch (const trouble& t) { return t.number; }
  } else if constexpr (requires { e.number; }) {
    return e.number;
  } else {
    return e.error() != nullptr ? e.error()->number : -1;
  }
}
template <class E> std::optional<stop_reason> reason_of(const E& e) {
  if constexpr (requires { e.reason(); }) return e.reason();
  return std::nullopt;
}

// Awaits `op` in a coroutine that the test can stop and destroy.
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

// A loop in pretend time, the shared parts, the peer, and the combinator around it.
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

  // Runs the call, and `during` after a minute of it. Checks at the end that everything was given back.
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
template <class C>
constexpr bool never_fails = std::is_same_v<C, with_fallback_value> || std::is_same_v<C, with_fallback_function>;
template <class C> constexpr bool catches = std::is_same_v<C, with_catching>;

}  // namespace

#define COMBINATORS                                                                                                 \
  with_retry, with_retry_bounded, with_retry_guarded, with_retry_observed, with_retry_on, with_timeout, with_hedge, \
      with_hedge_sent, with_guard, with_limit, with_rate, with_adaptive_rate, with_fallback_operation,              \
      with_fallback_value, with_fallback_function, with_fallback_when, with_catching, with_when_all, with_when_any, \
      with_measure, with_chaos, with_resilient, with_pipe

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
    if constexpr (never_fails<C>) {
      CHECK(b.c.got->value() == 77);
    } else {
      CHECK(number_of(b.c.got->error()) == (substitutes(C{}) ? 77 : 5));
    }
  }
}

TEST_CASE_TEMPLATE("exception: rethrown (or caught, where that was asked for), once", C, COMBINATORS) {
  for (const again::duration takes : {0ms, 5ms}) {
    bench<C> b;
    b.p.throws(std::runtime_error{"broken"}).takes(takes).hangs();
    b.run();
    CHECK(b.c.results == 1);
    if constexpr (catches<C>) {  // it turns the exception into an error
      REQUIRE(b.c.got);
      CHECK_THROWS_AS(std::rethrow_exception(b.c.got->error()), std::runtime_error);
    } else {
      CHECK_FALSE(b.c.got);
      REQUIRE(b.c.thrown);
      CHECK_THROWS_AS(std::rethrow_exception(b.c.thrown), std::runtime_error);
    }
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

// ── `.on` another loop, on another thread: the same rows, in real time (pretend time works for one loop) ──

namespace {

// What an attempt on the other loop does, and how many attempts have begun and ended.
struct far_peer {
  enum class acts : std::uint8_t { gives, fails, throws, hangs } act = acts::gives;
  again::duration takes{};
  std::atomic<int> begun{0};
  std::atomic<int> ended{0};

  again::task<outcome> operator()() {
    struct at_end {
      std::atomic<int>& count;
      explicit at_end(std::atomic<int>& c) : count{c} {}
      at_end(const at_end&) = delete;
      at_end& operator=(const at_end&) = delete;
      ~at_end() { ++count; }
    };
    const at_end mark{ended};
    ++begun;
    if (act == acts::hangs) {
      (void)co_await again::sleep_for(24h);
      co_return aborted(0);
    }
    if (takes != again::duration::zero()) (void)co_await again::sleep_for(takes);
    if (act == acts::throws) throw std::runtime_error{"broken"};
    if (act == acts::fails) co_return fail(5, again::disposition::permanent);
    co_return 42;
  }
};

// A call from this thread's loop. `during` runs once the attempt has begun on the other loop. Every attempt that has begun has
// ended afterwards.
struct far_bench {
  far_peer peer;
  far_loop far;
  again::run_loop home;
  using op_type =
      decltype(again::retry(twice, std::ref(std::declval<far_peer&>())).on(std::declval<again::scheduler&>()));
  op_type op = again::retry(twice, std::ref(peer)).on(far.loop);
  call<op_type> c;

  template <class During> void run(During during) {
    auto all = [&]() -> again::task<> {
      auto calls = std::make_unique<again::scope>(co_await again::get_context());
      calls->spawn(c.run(op));
      while (peer.begun == 0) co_await again::yield();
      during(calls);
      if (calls) co_await calls->join();
    };
    again::sync_wait(home, all());
    while (peer.ended != peer.begun) std::this_thread::yield();  // attempts of a destroyed call
    CHECK(home.timers() == 0);
  }
  void run() {
    run([](auto&) {});
  }
};
using acts = far_peer::acts;

}  // namespace

TEST_CASE("on another loop, success: the value, once") {
  for (const again::duration takes : {0ms, 1ms}) {
    far_bench b;
    b.peer.takes = takes;
    b.run();
    CHECK(b.c.results == 1);
    CHECK(b.c.got->value() == 42);
    CHECK(b.peer.begun == 1);
  }
}

TEST_CASE("on another loop, error: the operation's own, once") {
  far_bench b;
  b.peer.act = acts::fails;
  b.run();
  CHECK(b.c.results == 1);
  CHECK(number_of(b.c.got->error()) == 5);
}

TEST_CASE("on another loop, exception: rethrown here, once") {
  far_bench b;
  b.peer.act = acts::throws;
  b.run();
  CHECK(b.c.results == 1);
  CHECK_FALSE(b.c.got);
  CHECK_THROWS_AS(std::rethrow_exception(b.c.thrown), std::runtime_error);
}

TEST_CASE("on another loop, cancelled before: nothing is begun there, and the result says so") {
  far_bench b;
  b.peer.act = acts::hangs;
  again::inplace_stop_source stop;
  stop.request_stop();
  again::sync_wait(b.home, b.c.run(b.op), stop.get_token());
  CHECK(b.c.results == 1);
  CHECK(*reason_of(b.c.got->error()) == stop_reason::cancelled_before_start);
  CHECK(b.peer.begun == 0);
}

TEST_CASE("on another loop, cancelled during an attempt: it ends at once, and the result says so") {
  far_bench b;
  b.peer.act = acts::hangs;
  b.run([](auto& calls) { calls->request_stop(); });
  CHECK(b.c.results == 1);
  CHECK(*reason_of(b.c.got->error()) == stop_reason::cancelled_in_attempt);
}

TEST_CASE("on another loop, cancelled after: a result that is there stays") {
  far_bench b;
  again::inplace_stop_source stop;
  again::sync_wait(b.home, b.c.run(b.op), stop.get_token());
  stop.request_stop();
  CHECK(b.c.results == 1);
  CHECK(b.c.got->value() == 42);
}

TEST_CASE("on another loop, timeout around it: the time is up, and the result says so") {
  far_bench b;
  b.peer.act = acts::hangs;
  auto bounded = again::timeout(5ms, b.op);
  const auto r = again::sync_wait(b.home, bounded);
  REQUIRE_FALSE(r.has_value());
  CHECK(r.error().reason() == stop_reason::deadline_reached);
  CHECK(b.peer.ended == b.peer.begun);
}

TEST_CASE("on another loop, destroyed while suspended: no result, and what has begun there ends") {
  far_bench b;
  b.peer.act = acts::hangs;
  b.run([](auto& calls) { calls.reset(); });
  CHECK(b.c.results == 0);
  CHECK(b.peer.begun == 1);
}

TEST_CASE("on another loop, destroyed at about the moment at which it would be resumed: at most one result") {
  for (int round = 0; round < 100; ++round) {
    far_bench b;
    b.run([](auto& calls) { calls.reset(); });
    CHECK(b.c.results <= 1);
  }
}

TEST_CASE("on another loop it is an operation: started again it gives another result") {
  far_bench b;
  for (int i = 1; i <= 2; ++i) {
    b.run();
    CHECK(b.c.results == i);
    CHECK(b.peer.begun == i);
  }
}
