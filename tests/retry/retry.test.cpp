// SPDX-License-Identifier: MIT
#include <again/retry.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/timeout.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using again::attempt_record;
using again::disposition;
using again::duration;
using again::expected;
using again::jitter;
using again::policy;
using again::retry;
using again::stop_reason;
using again::task;
using again_test::aborted;
using again_test::fail;
using again_test::outcome;
using again_test::trouble;
using again_test::world;

namespace {

constexpr policy steady{.attempts = 4, .backoff = again::constant(1s), .jitter = jitter::none, .deadline = 1min};

// Fails at once with the attempt's number, `until` that attempt, which gives its number.
struct fails {
  int until = 1'000'000;
  disposition kind = disposition::transient;
  std::shared_ptr<int> sends = std::make_shared<int>(0);
  explicit fails(int n, disposition k = disposition::transient) : until{n}, kind{k} {}
  fails() = default;
  task<outcome> operator()() const {
    const int n = ++*sends;
    if (n < until) co_return fail(n, kind);
    co_return n;
  }
};

// Each attempt lasts for `span`, unless it is cut short, and reports that.
struct lasts {
  duration span;
  bool tells;  // true: a stop is an abort; false: an ordinary error
  std::shared_ptr<int> sends = std::make_shared<int>(0);
  explicit lasts(duration d, bool t = true) : span{d}, tells{t} {}
  task<outcome> operator()() const {
    const int n = ++*sends;
    const bool slept = co_await again::sleep_for(span);
    if (!slept && tells) co_return aborted(n);
    co_return fail(n);
  }
};

// Runs `op` and requests stop at `d`.
template <class Op> auto run_and_stop(world& w, Op op, duration d) {
  again::inplace_stop_source stop;
  const auto both = [&]() -> task<typename Op::run_type::result_type> {
    const auto stopper = [&]() -> task<> {  // its own sleep must survive the stop
      (void)co_await again::sleep_for(d);
      stop.request_stop();
    };
    auto [result, none] = co_await again::when_all(std::move(op), stopper());
    (void)none;
    co_return std::move(result);
  };
  return w.run(both(), stop.get_token());
}

}  // namespace

TEST_CASE("the last retry fails: the awaiting caller gets the error") {
  world w;
  bool told = false;
  const auto caller = [&]() -> task<int> {
    auto result = co_await retry(steady, fails{});
    told = true;
    CHECK_FALSE(result.has_value());
    const again::failure<trouble>& f = result.error();
    CHECK(f.reason() == stop_reason::attempts_exhausted);
    CHECK(f.attempts() == 4);
    CHECK(f.elapsed() == 3s);
    CHECK(f.reach() == again::reach::answered);
    co_return f.error() != nullptr ? f.error()->number : 0;
  };
  CHECK(w.run(caller()) == 4);
  CHECK(told);
}

TEST_CASE("a failure that is not retried reaches the caller too") {
  struct row {
    disposition kind;
    stop_reason reason;
  };
  for (const row r : {row{disposition::permanent, stop_reason::permanent},
                      row{disposition::not_replayable, stop_reason::not_replayable},
                      row{disposition::forbidden, stop_reason::server_forbade},
                      row{disposition::aborted, stop_reason::cancelled_in_attempt}}) {
    world w;
    const fails op{1'000'000, r.kind};
    const auto result = w.run(retry(steady, op));
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().reason() == r.reason);
    REQUIRE(result.error().error() != nullptr);
    CHECK(result.error().error()->number == 1);
    CHECK(result.error().attempts() == 1);
    CHECK(*op.sends == 1);
    CHECK(w.elapsed() == 0s);
  }
}

TEST_CASE("a success at the first or at a later attempt is the value") {
  for (int n = 1; n <= 4; ++n) {
    world w;
    const auto result = w.run(retry(steady, fails{n}));
    REQUIRE(result.has_value());
    CHECK(*result == n);
    CHECK(w.elapsed() == (n - 1) * 1s);
  }
}

TEST_CASE("cancellation between attempts keeps the last real error, at once") {
  world w;
  const auto result = run_and_stop(w, retry(steady, fails{}), 1500ms);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().reason() == stop_reason::cancelled_in_delay);
  REQUIRE(result.error().error() != nullptr);
  CHECK(result.error().error()->number == 2);
  CHECK(result.error().error()->kind == disposition::transient);
  CHECK(result.error().attempts() == 2);
  CHECK(w.elapsed() == 1500ms);
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("cancellation in an attempt keeps the last real error of the attempts before it") {
  world w;
  int sends = 0;
  const auto op = [&]() -> task<outcome> {
    const int n = ++sends;
    if (n == 1) co_return fail(503);
    (void)co_await again::sleep_for(1h);
    co_return aborted(499);
  };
  const auto result = run_and_stop(w, retry(steady, op), 2s);
  CHECK(result.error().reason() == stop_reason::cancelled_in_attempt);
  CHECK(result.error().error()->number == 503);
  CHECK(result.error().attempts() == 2);
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("cancellation in the first attempt gives that attempt's own error") {
  world w;
  const auto result = run_and_stop(w, retry(steady, lasts{10s}), 2s);
  CHECK(result.error().reason() == stop_reason::cancelled_in_attempt);
  REQUIRE(result.error().error() != nullptr);
  CHECK(result.error().error()->kind == disposition::aborted);
  CHECK(result.error().attempts() == 1);
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("an attempt that reports a stop as an ordinary error is cancelled nevertheless, also if it was the last") {
  for (const int attempts : {1, 4}) {
    world w;
    policy p = steady;
    p.attempts = attempts;
    const auto result = run_and_stop(w, retry(p, lasts{5s, false}), 2s);
    CHECK(result.error().reason() == stop_reason::cancelled_in_attempt);
    CHECK(result.error().attempts() == 1);
  }
}

TEST_CASE("an attempt that succeeds although it was asked to stop has succeeded") {
  world w;
  const auto stubborn = []() -> task<outcome> {
    (void)co_await again::sleep_for(10s);
    co_return 5;
  };
  CHECK(*run_and_stop(w, retry(steady, stubborn), 2s) == 5);
}

TEST_CASE("cancellation before the start sends nothing and holds no error") {
  for (const bool bounded : {true, false}) {
    world w;
    again::inplace_stop_source stop;
    stop.request_stop();
    policy p = steady;
    if (!bounded) p.deadline = p.attempt_timeout = again::forever;
    const fails op;
    const auto result = w.run(retry(p, op), stop.get_token());
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().reason() == stop_reason::cancelled_before_start);
    CHECK(result.error().error() == nullptr);
    CHECK(result.error().attempts() == 0);
    CHECK(result.error().trace().size() == 0);
    CHECK(result.error().elapsed() == 0s);
    CHECK(*op.sends == 0);
  }
}

TEST_CASE("a stop at the moment at which a wait ends prevents a further attempt") {
  world w;
  again::inplace_stop_source stop;
  const fails op;
  const auto both = [&]() -> task<> {
    const auto stopper = [&]() -> task<> {
      (void)co_await again::sleep_for(1s);  // armed before the retry's own wait of one second
      stop.request_stop();
    };
    auto [none, result] = co_await again::when_all(stopper(), retry(steady, op));
    (void)none;
    CHECK(result.error().reason() == stop_reason::cancelled_in_delay);
    CHECK(result.error().attempts() == 1);
  };
  w.run(both(), stop.get_token());
  CHECK(*op.sends == 1);
}

TEST_CASE("a deadline during an attempt ends the retry, with the last real error") {
  for (const bool tells : {true, false}) {
    world w;
    int sends = 0;
    policy p = steady;
    p.deadline = 5s;
    const auto op = [&]() -> task<outcome> {
      const int n = ++sends;
      if (n == 1) co_return fail(503);
      const bool slept = co_await again::sleep_for(1h);
      co_return slept || !tells ? fail(n) : aborted(n);
    };
    const auto result = w.run(retry(p, op));
    CHECK(result.error().reason() == stop_reason::deadline_reached);
    CHECK(result.error().error()->number == (tells ? 503 : 2));
    CHECK(result.error().attempts() == 2);
    CHECK(result.error().elapsed() == 5s);
    CHECK(result.error().trace()[1].timed_out);
  }
}

TEST_CASE("a wait that would not end before the deadline is not begun") {
  world w;
  policy p = steady;
  p.backoff = again::constant(3s);
  p.deadline = 5s;
  const auto result = w.run(retry(p, fails{}));
  CHECK(result.error().reason() == stop_reason::deadline_too_near);
  CHECK(result.error().attempts() == 2);
  CHECK(result.error().error()->number == 2);
  CHECK(w.elapsed() == 3s);
}

TEST_CASE("no further attempt is made if the loop was held up until the deadline") {
  world w;
  policy p = steady;
  p.deadline = 5s;
  const fails op;
  const auto both = [&]() -> task<> {
    const auto holds_up = [&]() -> task<> {
      (void)co_await again::sleep_for(500ms);
      w.time.advance(1h);
    };
    auto [none, result] = co_await again::when_all(holds_up(), retry(p, op));
    (void)none;
    CHECK(result.error().reason() == stop_reason::deadline_reached);
    CHECK(result.error().error()->number == 1);
  };
  w.run(both());
  CHECK(*op.sends == 1);
}

TEST_CASE("no further attempt is made if the loop was held up until an inherited deadline") {
  world w;
  policy p = steady;
  p.attempt_timeout = p.deadline = again::forever;
  const fails op;
  const auto both = [&]() -> task<> {
    const auto holds_up = [&]() -> task<> {
      (void)co_await again::sleep_for(500ms);
      w.time.advance(1h);
    };
    auto [none, result] = co_await again::when_all(holds_up(), again::timeout(5s, retry(p, op)));
    (void)none;
    CHECK(result.error().reason() == stop_reason::deadline_reached);
    CHECK(result.error().error()->number == 1);
  };
  w.run(both());
  CHECK(*op.sends == 1);
}

TEST_CASE("the elapsed time ends with the retry, not when its result is taken") {
  world w;
  policy p = steady;
  const auto both = [&]() -> task<> {
    auto [slept, result] = co_await again::when_all(again::sleep_for(1h), retry(p, fails{}));
    CHECK(slept);
    CHECK(result.error().elapsed() == 3s);
  };
  w.run(both());
  p.attempt_timeout = p.deadline = again::forever;  // the retry reads no clock
  w.run(both());
}

TEST_CASE("an attempt's timeout costs that attempt, and is retried") {
  world w;
  policy p = steady;
  p.attempt_timeout = 2s;
  const lasts op{1h};
  const auto result = w.run(retry(p, op));
  CHECK(result.error().reason() == stop_reason::attempts_exhausted);
  CHECK(result.error().attempts() == 4);
  CHECK(w.elapsed() == 4 * 2s + 3 * 1s);
  CHECK(result.error().trace()[0].timed_out);
  CHECK(result.error().trace()[0].took == 2s);
  CHECK(result.error().trace()[1].began == 3s);
  CHECK(w.loop.timers() == 0);
}

namespace {

/// An operation of an error type that is permanent unless told otherwise. It is cut off in its first two attempts.
struct opinionated {
  int* calls;
  bool repeatable = true;
  bool judges_timeouts = false;

  struct error {
    bool repeatable, judges_timeouts;
    again::verdict verdict() const {
      return {.kind = disposition::permanent,
              .reach = again::reach::answered,
              .repeatable = repeatable,
              .judges_timeouts = judges_timeouts};
    }
  };
  task<again::expected<int, error>> operator()() const {
    const opinionated self = *this;
    if (++*self.calls <= 2 && !co_await again::sleep_for(1h))
      co_return again::unexpected<error>{error{self.repeatable, self.judges_timeouts}};
    co_return 7;
  }
};

}  // namespace

TEST_CASE("an attempt that our timeout cut off is repeated, whatever the error type says of its own errors") {
  world w;
  policy p = steady;
  p.attempt_timeout = 2s;
  int calls = 0;
  const auto result = w.run(retry(p, opinionated{&calls}));
  REQUIRE(result);
  CHECK(calls == 3);

  calls = 0;
  const auto once = w.run(retry(p, opinionated{&calls, false}));
  CHECK(once.error().reason() == stop_reason::not_replayable);
  CHECK(calls == 1);

  calls = 0;
  const auto judged = w.run(retry(p, opinionated{&calls, true, true}));
  CHECK(judged.error().reason() == stop_reason::permanent);
  CHECK(calls == 1);

  calls = 0;
  const auto overruled = w.run(retry(p, opinionated{&calls}).when([](const opinionated::error&) { return false; }));
  CHECK(overruled.error().reason() == stop_reason::permanent);
  CHECK(calls == 1);
}

TEST_CASE("a deadline that cuts an attempt off is the reason, whatever the error type says of its own errors") {
  world w;
  policy p = steady;
  p.attempt_timeout = again::forever;
  p.deadline = 2s;
  int calls = 0;
  const auto result = w.run(retry(p, opinionated{&calls}));
  CHECK(result.error().reason() == stop_reason::deadline_reached);
  CHECK(calls == 1);
}

TEST_CASE("a permanent error in time stays permanent") {
  world w;
  policy p = steady;
  p.attempt_timeout = 2s;
  const auto result = w.run(retry(p, fails{9, disposition::permanent}));
  CHECK(result.error().reason() == stop_reason::permanent);
  CHECK(result.error().attempts() == 1);
}

TEST_CASE("an attempt that was cut short is not repeated if it is not repeatable") {
  world w;
  policy p = steady;
  p.attempt_timeout = 2s;
  const auto op = []() -> task<outcome> {
    (void)co_await again::sleep_for(1h);
    trouble t{1, disposition::aborted};
    t.repeatable = false;
    co_return outcome{again::unexpect, t};
  };
  const auto result = w.run(retry(p, op));
  CHECK(result.error().reason() == stop_reason::not_replayable);
  CHECK(result.error().attempts() == 1);
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("an inherited deadline ends a retry that has none: in an attempt, in a wait, and before the start") {
  policy p = steady;
  p.attempt_timeout = again::forever;
  p.deadline = again::forever;
  p.attempts = 1000;
  SUBCASE("in an attempt") {
    world w;
    const auto result = w.run(again::timeout(2s, retry(p, lasts{1h})));
    CHECK(result.error().reason() == stop_reason::deadline_reached);
    CHECK(result.error().attempts() == 1);
    CHECK(w.elapsed() == 2s);
  }
  SUBCASE("in a wait it is not even begun") {
    world w;
    const auto result = w.run(again::timeout(2500ms, retry(p, fails{})));
    CHECK(result.error().reason() == stop_reason::deadline_too_near);
    CHECK(result.error().attempts() == 3);
    CHECK(w.elapsed() == 2s);
  }
  SUBCASE("before the start") {
    world w;
    int starts = 0;
    const auto late = [&]() -> task<outcome> {
      w.time.advance(3s);  // holds up the loop
      auto inner = co_await retry(p, [&]() -> task<outcome> {
        ++starts;
        co_return 1;
      });
      CHECK(inner.error().reason() == stop_reason::deadline_reached);
      CHECK(inner.error().attempts() == 0);
      CHECK(inner.error().error() == nullptr);
      co_return fail(9);
    };
    (void)w.run(again::timeout(2s, late));
    CHECK(starts == 0);
  }
}

TEST_CASE("a retry waits for the server's delay, plus jitter; beyond the maximum it stops or shortens the wait") {
  const auto asks = [](duration d) {
    return [d, sends = 0]() mutable -> task<outcome> {
      trouble t{429};
      t.server_delay = d;
      if (++sends == 2) co_return sends;
      co_return outcome{again::unexpect, t};
    };
  };
  policy p = steady;
  {
    world w;
    CHECK(w.run(retry(p, asks(7s))).has_value());
    CHECK(w.elapsed() == 7s);
  }
  p.jitter = jitter::full;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    world w;
    CHECK(w.run(retry(p, asks(7s)).seed(seed)).has_value());
    CHECK(w.elapsed() >= 7s);
    CHECK(w.elapsed() <= 8s);
  }
  p.server_delay_max = 5s;
  {
    world w;
    const auto result = w.run(retry(p, asks(7s)));
    CHECK(result.error().reason() == stop_reason::server_delay_too_long);
    CHECK(result.error().error()->number == 429);
    CHECK(w.elapsed() == 0s);
  }
  p.server_delay_over = again::over_max::cap;
  p.jitter = jitter::none;
  {
    world w;
    CHECK(w.run(retry(p, asks(7s))).has_value());
    CHECK(w.elapsed() == 5s);
  }
  {
    world w;
    p.server_delay_max = 1h;
    CHECK(w.run(retry(p, asks(1min))).error().reason() == stop_reason::deadline_too_near);
  }
}

TEST_CASE("a predicate decides what is worth another attempt, but never makes an unsafe request safe") {
  world w;
  const auto never = w.run(retry(steady, fails{}).when([](const trouble&) { return false; }));
  CHECK(never.error().reason() == stop_reason::permanent);
  const auto always = w.run(retry(steady, fails{3, disposition::permanent}).when([](const trouble&) { return true; }));
  CHECK(*always == 3);
  for (const disposition unsafe : {disposition::not_replayable, disposition::forbidden, disposition::aborted}) {
    const fails op{3, unsafe};
    CHECK_FALSE(w.run(retry(steady, op).when([](const trouble&) { return true; })).has_value());
    CHECK(*op.sends == 1);
  }
  const auto unrepeatable = []() -> task<outcome> {
    trouble t{1, disposition::permanent};
    t.repeatable = false;
    co_return outcome{again::unexpect, t};
  };
  CHECK(w.run(retry(steady, unrepeatable).when([](const trouble&) { return true; })).error().reason() ==
        stop_reason::not_replayable);
  const auto whole = w.run(retry(steady, fails{}).when([](const trouble& t) {
    return again::verdict{.kind = t.number < 2 ? disposition::transient : disposition::forbidden};
  }));
  CHECK(whole.error().reason() == stop_reason::server_forbade);
  CHECK(whole.error().attempts() == 2);
}

TEST_CASE("an observer sees every attempt and the decision; two observers are called in the order of attaching") {
  world w;
  std::vector<attempt_record> seen;
  std::string order;
  const auto result = w.run(retry(steady, fails{3})
                                .observe([&](const attempt_record& r) {
                                  seen.push_back(r);
                                  order += 'a';
                                })
                                .observe([&](const attempt_record&) { order += 'b'; }));
  CHECK(result.has_value());
  CHECK(order == "ababab");
  REQUIRE(seen.size() == 3);
  for (int i = 0; i < 3; ++i) {
    const attempt_record& r = seen[static_cast<std::size_t>(i)];
    CHECK(r.attempt == i + 1);
    CHECK(r.ok == (i == 2));
    CHECK(r.last == (i == 2));
    CHECK(r.began == i * 1s);
    CHECK(r.took == 0s);
    CHECK(r.code == (i == 2 ? 0 : i + 1));
    CHECK(r.wait == (i == 2 ? 0s : 1s));
    CHECK(r.by == (i == 2 ? again::wait_by::none : again::wait_by::backoff));
    CHECK(r.name == (i == 2 ? "" : "trouble"));
  }
}

TEST_CASE("the trace in the failure is what the observer saw") {
  world w;
  std::vector<attempt_record> seen;
  policy p = steady;
  p.attempts = 11;
  const auto result = w.run(retry(p, fails{}).observe([&](const attempt_record& r) { seen.push_back(r); }));
  const again::attempt_trace& trace = result.error().trace();
  REQUIRE(seen.size() == 11);
  CHECK(trace.size() == again::attempt_trace::capacity);
  CHECK(trace.dropped() == 3);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    CHECK(trace[i].attempt == seen[i + 3].attempt);
    CHECK(trace[i].began == seen[i + 3].began);
    CHECK(trace[i].stop == seen[i + 3].stop);
  }
  CHECK(trace[7].last);
  CHECK(trace[7].stop == stop_reason::attempts_exhausted);
}

TEST_CASE("an exception ends the retry and is rethrown: from an attempt, from making it, from predicate and observer") {
  world w;
  const auto text = [&](auto op) -> std::string {
    try {
      (void)w.run(std::move(op));
    } catch (const std::runtime_error& e) { return e.what(); }
    return "none";
  };
  int sends = 0;
  CHECK(text(retry(steady, [&]() -> task<outcome> {
          if (++sends == 2) throw std::runtime_error{"attempt"};
          co_return fail(sends);
        })) == "attempt");
  CHECK(sends == 2);
  sends = 0;
  CHECK(text(retry(steady, [&]() -> task<outcome> {
          (void)co_await again::sleep_for(1s);
          if (++sends == 2) throw std::runtime_error{"later"};
          co_return fail(sends);
        })) == "later");
  sends = 0;
  const fails op{2};
  CHECK(text(retry(steady, [&]() -> task<outcome> {
          if (++sends == 2) throw std::runtime_error{"making"};
          return op();
        })) == "making");
  CHECK(text(retry(steady, fails{}).when([](const trouble&) -> bool { throw std::runtime_error{"predicate"}; })) ==
        "predicate");
  CHECK(text(retry(steady, fails{}).observe([](const attempt_record& r) {
          if (r.attempt == 2) throw std::runtime_error{"observer"};
        })) == "observer");
  CHECK(text(retry(steady, fails{1}).observe([](const attempt_record&) { throw std::runtime_error{"of success"}; })) ==
        "of success");
  policy unbounded = steady;
  unbounded.deadline = unbounded.attempt_timeout = again::forever;
  CHECK(text(retry(unbounded, fails{}).when([](const trouble&) -> bool { throw std::runtime_error{"unbounded"}; })) ==
        "unbounded");
  CHECK(text(retry(unbounded, []() -> task<outcome> { throw std::runtime_error{"not made"}; })) == "not made");
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("an error that cannot be moved out of its attempt ends the retry with what the move threw") {
  static bool throws = false;
  struct fragile {
    fragile() = default;
    fragile(fragile&&) {
      if (throws) throw std::runtime_error{"moved"};
    }
  };
  using fragile_outcome = again::expected<int, fragile>;
  for (const int attempts : {2, 1}) {  // when the next attempt begins, and when the result is taken
    world w;
    int sends = 0;
    throws = false;
    const auto op = [&]() -> task<fragile_outcome> {
      ++sends;
      co_return fragile_outcome{again::unexpect, fragile{}};
    };
    const again::policy p{.attempts = attempts, .backoff = again::constant(1s), .jitter = again::jitter::none};
    CHECK_THROWS_AS((void)w.run(again::retry(p, op).when([](const fragile&) { return throws = true; })),
                    std::runtime_error);
    CHECK(sends == 1);
  }
}

TEST_CASE("values and errors may be nothing, or only movable") {
  world w;
  const auto nothing = [n = 0]() mutable -> task<expected<void, trouble>> {
    if (++n < 2) co_return expected<void, trouble>{again::unexpect, trouble{n}};
    co_return expected<void, trouble>{};
  };
  CHECK(w.run(retry(steady, nothing)).has_value());
  const auto movable = []() -> task<expected<std::unique_ptr<int>, std::unique_ptr<int>>> {
    co_return std::make_unique<int>(7);
  };
  CHECK(**w.run(retry(steady, movable)) == 7);
  const auto bad = []() -> task<expected<int, std::unique_ptr<int>>> {
    co_return expected<int, std::unique_ptr<int>>{again::unexpect, std::make_unique<int>(8)};
  };
  auto result = w.run(retry(steady, bad));
  CHECK(**result.error().error() == 8);
}

TEST_CASE("a retry is an operation: each start begins anew") {
  world w;
  auto op = retry(steady, fails{3});
  CHECK(*w.run(op) == 3);
  CHECK(*w.run(op) == 4);
  CHECK(w.elapsed() == 2s);
  const auto body = [&]() -> task<int> {
    auto a = co_await op;
    auto b = co_await op();
    co_return *a + *b;
  };
  CHECK(w.run(body()) == 5 + 6);
}

TEST_CASE("an impossible policy at run time is refused before anything is sent") {
  policy p = steady;
  p.attempts = 0;
  CHECK_THROWS_WITH_AS((void)retry(p, fails{}), "again::policy: attempts_must_be_at_least_1", std::invalid_argument);
}

TEST_CASE("a seed repeats the waits; without one no two retries have the same waits") {
  policy p = steady;
  p.attempts = 8;
  p.jitter = jitter::full;
  const auto waits = [&](auto decorate) {
    world w;  // the loop's own seed is the same each time
    std::vector<std::vector<duration>> all(2);
    const auto both = [&]() -> task<> {
      const auto see = [&](std::size_t i) { return [&all, i](const attempt_record& r) { all[i].push_back(r.wait); }; };
      (void)co_await again::when_all(decorate(retry(p, fails{}), 1U).observe(see(0)),
                                     decorate(retry(p, fails{}), 2U).observe(see(1)));
    };
    w.run(both());
    return all;
  };
  const auto plain = [](auto op, std::uint64_t) { return op; };
  const auto seeded = [](auto op, std::uint64_t) { return std::move(op).seed(7); };
  const auto seeded_apart = [](auto op, std::uint64_t s) { return std::move(op).seed(s); };
  const auto a = waits(plain);
  CHECK(a == waits(plain));  // a seeded loop repeats the whole run
  CHECK(a[0] != a[1]);
  const auto b = waits(seeded);
  CHECK(b[0] == b[1]);
  CHECK(b == waits(seeded));
  const auto c = waits(seeded_apart);
  CHECK(c[0] != c[1]);
  again::virtual_clock time;
  again::run_loop one{time};
  again::run_loop two{time};
  CHECK(again::sync_wait(one, retry(p, fails{})).error().elapsed() !=
        again::sync_wait(two, retry(p, fails{})).error().elapsed());
}

TEST_CASE("the farthest reach of all attempts is kept, and not_sent proves that the peer saw nothing") {
  world w;
  const auto at = [](std::vector<again::reach> all) {
    return [all = std::move(all), n = std::size_t{0}]() mutable -> task<outcome> {
      trouble t{static_cast<int>(n)};
      t.reach = all[n++];
      co_return outcome{again::unexpect, t};
    };
  };
  using again::reach;
  CHECK(
      w.run(retry(steady, at({reach::not_sent, reach::not_sent, reach::not_sent, reach::not_sent}))).error().reach() ==
      reach::not_sent);
  CHECK(w.run(retry(steady, at({reach::not_sent, reach::maybe_sent, reach::not_sent, reach::not_sent})))
            .error()
            .reach() == reach::maybe_sent);
}
