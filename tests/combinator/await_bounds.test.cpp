// SPDX-License-Identifier: MIT
// Every combinator has `.stop(token)` and `.within(duration)`, and both do the same everywhere.
#include <again/again.hpp>
#include <again/metrics.hpp>
#include <again/testing/chaos.hpp>

#include "support/call.hpp"
#include "support/far_loop.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;
using again::stop_reason;
using again::task;
using again_test::outcome;
using again_test::world;

namespace {

constexpr again::policy patient{
    .attempts = 2, .backoff = again::constant(1h), .jitter = again::jitter::none, .deadline = 10h};

// An attempt that ends when it is asked to, and one that has finished at once.
struct slow {
  task<outcome> operator()() const {
    const bool slept = co_await again::sleep_for(2s);
    co_return slept ? outcome{7} : again_test::aborted(2);
  }
};
struct at_once {
  task<outcome> operator()() const { co_return 3; }
};

struct fails {
  task<outcome> operator()() const { co_return again_test::fail(1); }
};

struct shared_parts {
  again::breaker breaks;
  again::limiter limits;
  std::deque<again::rate_limiter> rates;  // one for each call: each test begins at the same pretend time
  again::adaptive_rate learned;
  again::resilience all{{.retrying = patient}};
  again::retry_metrics numbers{"bounds"};
};

// Calls `each(name, make)` for every combinator; `make(op)` is a new one around the operation.
template <class F> void for_each_combinator(shared_parts& s, F each) {
  each("retry", [](auto op) { return again::retry(patient, op); });
  each("retry with hooks",
       [](auto op) { return again::retry(patient, op).observe([](const again::attempt_record&) {}).seed(1); });
  each("timeout", [](auto op) { return again::timeout(1h, op); });
  each("guard", [&](auto op) { return again::guard(s.breaks, op); });
  each("limit", [&](auto op) { return again::limit(s.limits, op); });
  each("rate", [&](auto op) { return again::rate(s.rates.emplace_back(again::rates{.per_second = 1}), op); });
  each("adaptive rate", [&](auto op) { return again::rate(s.learned, op); });
  each("hedge", [](auto op) { return again::hedge({.delay = 1h}, op); });
  each("fallback", [](auto op) { return again::fallback(op, 9); });
  each("fallback to an operation", [](auto op) { return again::fallback(op, slow{}); });
  each("resilient", [&](auto op) { return again::resilient(s.all, op); });
  each("a pipe", [](auto op) { return op | again::timeout(1h) | again::retry(patient) | again::timeout(2h); });
  each("chaos", [](auto op) { return again::chaos({.faults = 0}, op, [] { return again_test::trouble{1}; }); });
  each("metrics", [&](auto op) { return again::measure(s.numbers, again::retry(patient, op)); });
  each("one in the other", [&](auto op) {
    return again::limit(s.limits, again::guard(s.breaks, again::retry(patient, op)).within(2h)).within(3h);
  });
}

}  // namespace

TEST_CASE("every combinator: stop(token) ends it beside the token of the awaiting context") {
  shared_parts shared;
  for_each_combinator(shared, [](const std::string& name, auto make) {
    CAPTURE(name);
    for (const bool by_token : {true, false}) {
      world w;
      again::inplace_stop_source mine, callers;
      again_test::ring end{[&] { (by_token ? mine : callers).request_stop(); }};
      w.loop.arm(end, w.time.now() + 500ms);
      auto op = make(slow{}).stop(mine.get_token());
      static_assert(again::fallible_operation<decltype(op)>);
      static_assert(
          std::is_same_v<again::operation_result_t<decltype(op)>, again::operation_result_t<decltype(make(slow{}))>>);
      CHECK_FALSE(w.run(op, callers.get_token()).has_value());
      CHECK(w.elapsed() == 500ms);
      CHECK(w.loop.timers() == 0);
    }
  });
}

TEST_CASE(
    "every combinator: within(duration) is a nearer deadline; a later one, and a token that never stops, do nothing") {
  shared_parts shared;
  for_each_combinator(shared, [](const std::string& name, auto make) {
    CAPTURE(name);
    {
      world w;
      CHECK_FALSE(w.run(make(slow{}).within(500ms)).has_value());
      CHECK(w.elapsed() == 500ms);
      CHECK(w.loop.timers() == 0);
    }
    {
      world w;
      again::inplace_stop_source never;
      CHECK(*w.run(make(slow{}).within(1min).stop(never.get_token())) == 7);
      CHECK(*w.run(make(at_once{}).stop(never.get_token()).within(1min).within(2min)) == 3);
      CHECK(w.elapsed() == 2s);
      CHECK(w.loop.timers() == 0);
    }
    {
      world w;
      CHECK_FALSE(w.run(again::timeout(1s, make(slow{}).within(1min))).has_value());
      CHECK(w.elapsed() == 1s);
    }
  });
}

TEST_CASE("within: the result says that the deadline ended it") {
  shared_parts s;
  const auto reason = [](auto op) {
    world w;
    return w.run(std::move(op)).error().reason();
  };
  CHECK(reason(again::guard(s.breaks, slow{}).within(1s)) == stop_reason::deadline_reached);
  CHECK(reason(again::limit(s.limits, slow{}).within(1s)) == stop_reason::deadline_reached);
  CHECK(reason(again::hedge({.delay = 1h}, slow{}).within(1s)) == stop_reason::deadline_reached);
  CHECK(reason(again::retry(patient, slow{}).within(1s)) == stop_reason::deadline_reached);
  CHECK(reason(again::limit(s.limits, again::retry(patient, fails{})).within(1s)) == stop_reason::deadline_too_near);
  for (const again::duration none : {again::duration{0}, again::duration{-1s}}) {
    world w;
    int sends = 0;
    const auto counted = [&]() -> task<outcome> {
      ++sends;
      co_return 1;
    };
    CHECK(w.run(again::limit(s.limits, counted).within(none)).error().reason() == stop_reason::deadline_reached);
    CHECK(sends == 0);
  }
}

TEST_CASE("when_all and when_any, of arguments and of a range, are stopped and bounded where they are awaited") {
  const auto sleeper = [] { return again::sleep_for(1h); };
  const auto two = [] {
    std::vector<again::sleep> range;
    for (int i = 0; i < 2; ++i) range.push_back(again::sleep_for(1h));
    return range;
  };
  for (const bool by_token : {true, false}) {
    const auto check = [&](auto run) {
      world w;
      again::inplace_stop_source source;
      again_test::ring end{[&] { source.request_stop(); }};
      if (by_token) w.loop.arm(end, w.time.now() + 500ms);
      CHECK_FALSE(w.run(run(by_token ? source.get_token() : again::inplace_stop_token{})));
      CHECK(w.elapsed() == 500ms);
      CHECK(w.loop.timers() == 0);
    };
    const again::duration bound = by_token ? again::duration{1min} : again::duration{500ms};
    check([&](again::inplace_stop_token t) -> task<bool> {
      const auto [a, b] = co_await again::when_all(sleeper, sleeper).stop(t).within(bound);
      co_return a || b;
    });
    check([&](again::inplace_stop_token t) -> task<bool> {
      const auto first = co_await again::when_any(sleeper, sleeper).within(bound).stop(t);
      co_return first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
    });
    check([&](again::inplace_stop_token t) -> task<bool> {
      const auto all = co_await again::when_all(two()).stop(t).within(bound);
      co_return all[0] || all[1];
    });
    check([&](again::inplace_stop_token t) -> task<bool> {
      co_return (co_await again::when_any(two()).stop(t).within(bound)).value;
    });
  }
  world w;
  again::inplace_stop_source never;
  const auto [slept] = again::sync_wait(
      w.loop, again::when_all([] { return again::sleep_for(1s); }).within(1min).stop(never.get_token()));
  CHECK(slept);
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("the source of a token may be destroyed as soon as there is a result") {
  shared_parts shared;
  for_each_combinator(shared, [](const std::string& name, auto make) {
    CAPTURE(name);
    world w;
    const auto program = [&]() -> task<int> {
      std::optional<again::inplace_stop_source> mine{std::in_place};
      auto op = make(slow{}).stop(mine->get_token()).within(1h);
      const auto r = co_await op();
      mine.reset();
      co_return *r;
    };
    CHECK(w.run(program()) == 7);
  });
}

TEST_CASE("bounds do not hide what an operation is from the rules of nesting and from a hedge") {
  again::limiter one;
  using bounded_retry = decltype(again::retry(patient, slow{}).within(1s));
  using bounded_hedge = decltype(again::hedge({}, slow{}).within(1s));
  using bounded_value = decltype(again::fallback(slow{}, 1).within(1s));
  using bounded_limit = decltype(again::limit(one, slow{}).within(1s));
  static_assert(again::detail::repeats<bounded_retry> && !again::detail::repeats<bounded_limit>);
  static_assert(again::detail::is_hedge<bounded_hedge> && !again::detail::is_hedge<bounded_limit>);
  static_assert(again::detail::never_fails<bounded_value> && !again::detail::never_fails<bounded_limit>);
  CHECK(again::is_repeatable(again::limit(one, slow{}).within(1s)));
  CHECK_FALSE(again::is_repeatable(again::limit(one, again::once_only(slow{})).within(1s)));
  again::retry_metrics numbers{"repeatable"};
  CHECK_FALSE(again::is_repeatable(again::measure(numbers, again::retry(patient, again::once_only(slow{})))));
}

TEST_CASE("with .on, the order of stop and within makes no difference") {
  again::run_loop here;
  again_test::far_loop far;
  again::inplace_stop_source stopped;
  stopped.request_stop();
  CHECK(again::sync_wait(here, again::retry(patient, slow{}).on(far.loop).stop(stopped.get_token())).error().reason() ==
        stop_reason::cancelled_before_start);
  CHECK(again::sync_wait(here, again::retry(patient, slow{}).stop(stopped.get_token()).within(1h).on(far.loop))
            .error()
            .reason() == stop_reason::cancelled_before_start);
  CHECK(again::sync_wait(here, again::retry(patient, at_once{}).within(0s).on(far.loop)).error().reason() ==
        stop_reason::deadline_reached);
  CHECK(again::sync_wait(here, again::retry(patient, at_once{}).on(far.loop).within(0s)).error().reason() ==
        stop_reason::deadline_reached);
}

TEST_CASE("a stage of a pipe has them, too") {
  world w;
  CHECK_FALSE(w.run(slow{} | again::timeout(1h).within(1s)).has_value());
  again::limiter one;
  again::inplace_stop_source stopped;
  stopped.request_stop();
  const auto usual = again::limit(one).within(1h).stop(stopped.get_token());
  CHECK(w.run(slow{} | usual).error().reason() == stop_reason::cancelled_before_start);
}

TEST_CASE("bounded: the awaiting coroutine may be destroyed at every moment") {
  shared_parts shared;
  for_each_combinator(shared, [](const std::string& name, auto make) {
    CAPTURE(name);
    for (again::duration at{0}; at <= 2500ms; at += 500ms) {
      world w;
      again::inplace_stop_source mine;
      auto awaits = [&]() -> task<> { (void)co_await make(slow{}).stop(mine.get_token()).within(1500ms); };
      std::optional<task<>> awaiting{awaits()};
      again_test::ring end{[&] { awaiting.reset(); }};
      again_test::call begin{[&] {
        (void)awaiting->start({[](void*) noexcept {}, nullptr}, w.loop.root());
        w.loop.arm(end, w.time.now() + at);
      }};
      w.loop.post(begin);
      CHECK_FALSE(w.loop.run());
      CHECK(w.loop.timers() == 0);
      mine.request_stop();
    }
  });
}
