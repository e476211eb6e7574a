// SPDX-License-Identifier: MIT
// Retries with a single bound: a deadline, or an exception.
#include <again/retry.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/budget.hpp>
#include <again/testing.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <new>
#include <stdexcept>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;
using peer = again::testing::script<int, trouble>;

namespace {

const trouble stopped{0, again::disposition::aborted};

// No backoff, and no bounds except those that a test sets.
constexpr again::policy at_once{.attempts = 9,
                                .backoff = again::constant(0s),
                                .jitter = again::jitter::none,
                                .attempt_timeout = again::forever,
                                .deadline = again::forever};

}  // namespace

TEST_CASE("a deadline alone ends a retry without a backoff: attempts that outlast it are not repeated") {
  again::policy p = at_once;
  p.deadline = 5s;
  SUBCASE("an attempt that stops when it is asked to") {
    world w;
    peer to{stopped};
    to.fails(trouble{1}).takes(3s).hangs();
    const auto r = w.run(again::retry(p, std::ref(to)));
    CHECK(r.error().reason() == stop_reason::deadline_reached);
    CHECK(r.error().error()->number == 1);
    CHECK(to.calls().size() == 2);
    CHECK(w.elapsed() == 5s);
  }
  SUBCASE("an attempt that does not, and fails after the deadline") {
    world w;
    peer to{stopped};
    to.fails(trouble{1}).takes(3s).fails(trouble{2}).takes(3s).deaf();
    const auto r = w.run(again::retry(p, std::ref(to)));
    CHECK(r.error().reason() == stop_reason::deadline_reached);
    CHECK(r.error().error()->number == 2);
    CHECK(to.calls().size() == 2);
    CHECK(w.elapsed() == 6s);
  }
  SUBCASE("an attempt that is not started on the loop: it moves the clock itself") {
    world w;
    int sends = 0;
    const auto r = w.run(again::retry(p, [&]() -> again::task<outcome> {
      w.time.advance(3s);
      co_return fail(++sends);
    }));
    CHECK(r.error().reason() == stop_reason::deadline_reached);
    CHECK(r.error().error()->number == 2);
    CHECK(sends == 2);
  }
  SUBCASE("the deadline from outside") {
    world w;
    int sends = 0;
    const auto inner = [&]() -> again::task<outcome> {
      w.time.advance(3s);
      co_return fail(++sends);
    };
    const auto r = w.run(again::retry(p, [&]() -> again::task<again::expected<int, again::failure<trouble>>> {
      co_return co_await again::retry(at_once, inner);
    }));
    CHECK(r.error().reason() == stop_reason::deadline_reached);
    CHECK(sends == 2);
  }
}

TEST_CASE("a run made in dirty memory starts clean, however its first attempt ends") {
  world w;
  enum class act { gives, fails, throws, throws_later } how = act::gives;
  int sends = 0;
  auto op = again::retry(at_once, [&]() -> again::task<outcome> {
    ++sends;
    if (how == act::throws_later) (void)co_await again::sleep_for(1s);
    if (how == act::throws || how == act::throws_later) throw std::runtime_error{"broken"};
    if (how == act::fails) co_return fail(sends, again::disposition::permanent);
    co_return 42;
  });
  using run_type = decltype(op());
  alignas(run_type) static std::byte memory[sizeof(run_type)];
  for (const act a : {act::gives, act::fails, act::throws, act::throws_later}) {
    for (const int pattern : {0x00, 0x5a, 0xff}) {
      CAPTURE(static_cast<int>(a));
      CAPTURE(pattern);
      how = a;
      std::memset(memory, pattern, sizeof memory);
      run_type& run = *::new (static_cast<void*>(memory)) run_type(op());
      if (a == act::throws || a == act::throws_later) {
        CHECK_THROWS_WITH((void)w.run(run), "broken");
      } else {
        const auto r = w.run(run);
        CHECK(r.has_value() == (a == act::gives));
        if (!r) CHECK(r.error().reason() == stop_reason::permanent);
        if (!r) CHECK(r.error().attempts() == 1);
      }
      run.~run_type();
    }
  }
  CHECK(sends == 12);
}

TEST_CASE("with only a budget or a breaker, the trace has the begin and the duration of each attempt") {
  world w;
  again::budget budget{again::budgets::ratio{}};
  again::breaker breaker;
  peer p{stopped};
  again::policy two = at_once;
  two.attempts = 2;
  two.backoff = again::constant(100ms);
  p.fails(trouble{1}).takes(1s).fails(trouble{2}).takes(2s).fails(trouble{3}).takes(1s).fails(trouble{4}).takes(2s);
  const auto check = [](const auto& r) {
    const again::attempt_trace& trace = r.error().trace();
    REQUIRE(trace.size() == 2);
    CHECK(trace[0].began == 0s);
    CHECK(trace[0].took == 1s);
    CHECK(trace[1].began == 1100ms);
    CHECK(trace[1].took == 2s);
  };
  check(w.run(again::retry(two, std::ref(p)).budget(budget)));
  check(w.run(again::retry(two, std::ref(p)).breaker(breaker)));
}
