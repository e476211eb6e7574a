// SPDX-License-Identifier: MIT
// A retry with a shared budget, a shared breaker, or both.
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/protection/breaker.hpp>
#include <again/protection/budget.hpp>
#include <again/retry.hpp>
#include <again/testing.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;
using peer = again::testing::script<int, trouble>;

namespace {

const trouble stopped{0, again::disposition::aborted};

constexpr again::policy steady(int attempts, again::backoff b = again::constant(100ms)) {
  return {.attempts = attempts,
          .backoff = b,
          .jitter = again::jitter::none,
          .attempt_timeout = again::forever,
          .deadline = again::forever};
}

}  // namespace

TEST_CASE("a retry without guards is not larger because it could have them") {
  using hooks = again::detail::retry_hooks<>;
  static_assert(!hooks::guarded);
  static_assert(std::is_empty_v<hooks> && std::is_empty_v<hooks::guards::call>);
}

TEST_CASE("the first attempt deposits, each retry withdraws before its wait") {
  world w;
  again::budget shared{again::budgets::ratio{.share = 0.5, .floor_per_second = 0, .window = 10s}};
  for (int i = 0; i < 4; ++i) shared.first_attempt(w.time.now());
  CHECK(shared.balance(w.time.now()) == 2);
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2}).gives(3);
  std::vector<double> left;
  auto op = again::retry(steady(4), std::ref(p)).budget(shared).observe([&](const again::attempt_record&) {
    left.push_back(shared.balance(w.time.now()));
  });
  CHECK(w.run(op()).value() == 3);
  CHECK(left == std::vector<double>{1.5, 0.5, 0.5});
  CHECK(p.complaint({100ms, 100ms}) == "");
}

TEST_CASE("an exhausted budget ends the retry with the last real error") {
  world w;
  again::budget shared{again::budgets::tokens{.capacity = 1, .cost = 1}};
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2});
  const auto r = w.run(again::retry(steady(4), std::ref(p)).budget(shared));
  CHECK(r.error().reason() == stop_reason::budget_exhausted);
  CHECK(r.error().error()->number == 2);
  CHECK(r.error().attempts() == 2);
  CHECK(r.error().trace()[1].stop == stop_reason::budget_exhausted);
  CHECK(r.error().trace()[1].last);
  CHECK(p.complaint({100ms}) == "");
  CHECK(shared.refused() == 1);
  CHECK(shared.granted() == 1);
}

TEST_CASE("a budget is not asked if the policy allows no further attempt") {
  world w;
  again::budget shared{again::budgets::tokens{.capacity = 100, .cost = 10, .first_try = 0}};
  peer p{stopped};
  p.fails(trouble{1, again::disposition::permanent})
      .fails(trouble{2, again::disposition::not_replayable})
      .fails(trouble{3});
  (void)w.run(again::retry(steady(4), std::ref(p)).budget(shared));
  (void)w.run(again::retry(steady(4), std::ref(p)).budget(shared));
  (void)w.run(again::retry(steady(1), std::ref(p)).budget(shared));
  CHECK(shared.granted() + shared.refused() == 0);
  CHECK(shared.balance(w.time.now()) == 100);
}

TEST_CASE("a reservation is given back when the wait is cancelled") {
  world w;
  again::budget shared{again::budgets::tokens{.capacity = 100, .cost = 10}};
  peer p{stopped};
  p.fails(trouble{1});
  again::inplace_stop_source stop;
  auto op = again::retry(steady(4, again::constant(1h)), std::ref(p)).budget(shared);
  auto canceller = [&]() -> again::task<> {
    (void)co_await again::sleep_for(1s);
    CHECK(shared.balance(w.time.now()) == 90);
    stop.request_stop();
  };
  auto both = [&]() -> again::task<stop_reason> {
    again::scope side{co_await again::get_context()};
    again::context ctx = co_await again::get_context();
    side.spawn(canceller());
    auto run = op();
    ctx.stop = stop.get_token();
    bool done = false;
    if (!run.start({[](void* d) noexcept { *static_cast<bool*>(d) = true; }, &done}, ctx)) {
      while (!done) (void)co_await again::sleep_for(100ms);
    }
    CHECK(shared.balance(w.time.now()) == 100);  // before the run is destroyed
    CHECK(shared.returned() == 1);
    auto r = run.take();
    co_await side.join();
    co_return r.error().reason();
  };
  CHECK(w.run(both()) == stop_reason::cancelled_in_delay);
}

TEST_CASE("a stop while it waits for the breaker, before the first send, is cancelled_before_start") {
  world w;
  again::inplace_stop_source stop;
  again::breaker shared{{.consecutive = 1}};
  peer p{stopped};
  p.fails(trouble{1}).gives(2);
  const again::policy one{.attempts = 1, .jitter = again::jitter::none, .deadline = 1h};
  CHECK_FALSE(w.run(again::retry(one, std::ref(p)).breaker(shared)).has_value());
  const again::policy more{.attempts = 3, .jitter = again::jitter::none, .deadline = 1h};
  auto both = [&]() -> again::task<> {
    auto [r, none] = co_await again::when_all(again::retry(more, std::ref(p)).breaker(shared), [&]() -> again::task<> {
      (void)co_await again::sleep_for(1s);
      stop.request_stop();
    }());
    (void)none;
    CHECK(r.error().reason() == stop_reason::cancelled_before_start);
    CHECK(r.error().attempts() == 0);
  };
  w.run(both(), stop.get_token());
  CHECK(p.calls().size() == 1);
}

TEST_CASE("a reservation is given back when the waiting coroutine is destroyed") {
  world w;
  again::budget shared{again::budgets::in_flight{.share = 0, .floor = 1}};
  peer p{stopped};
  p.fails(trouble{1});
  auto all = [&]() -> again::task<> {
    {
      again::scope side{co_await again::get_context()};
      side.spawn([](peer& to, again::budget& b) -> again::task<> {
        (void)co_await again::retry(steady(4, again::constant(1h)), std::ref(to)).budget(b);
      }(p, shared));
      (void)co_await again::sleep_for(1s);
      CHECK(shared.balance(w.time.now()) == 0);
    }
    CHECK(shared.balance(w.time.now()) == 1);
  };
  w.run(all());
}

TEST_CASE("an attempt's exception gives back what the budget holds") {
  world w;
  again::budget shared{again::budgets::in_flight{.share = 0, .floor = 1}};
  peer p{stopped};
  p.fails(trouble{1}).throws(std::runtime_error{"broken"});
  auto op = again::retry(steady(4), std::ref(p)).budget(shared);
  auto run = op();
  CHECK_THROWS_AS(w.run(run), std::runtime_error);
  CHECK(shared.balance(w.time.now()) == 1);
}

// ── AWS standard mode: response -> delay, quota after ──
namespace {

struct aws_case {
  again::budgets::tokens rules;
  again::policy policy;
  std::vector<int> responses;  // 200, or a failing status; 0: a connection that timed out
  std::vector<again::duration> delays;
  std::vector<int> quota;
  stop_reason ends = stop_reason::attempts_exhausted;  // unless the last response is 200
};

// An HTTP status as an error type.
struct status_error {
  int status = 0;
  again::verdict verdict() const { return {.reach = again::reach::answered, .code = status}; }
};

void check(again::budget& shared, const aws_case& c) {
  world w;
  again::testing::script<int, status_error> p{status_error{}};
  for (const int status : c.responses) status == 200 ? p.gives(200) : p.fails(status_error{status});
  std::vector<int> quota;
  std::vector<again::duration> delays;
  auto op = again::retry(c.policy, std::ref(p)).budget(shared).observe([&](const again::attempt_record& r) {
    quota.push_back(static_cast<int>(shared.balance(w.time.now())));
    if (!r.last) delays.push_back(r.wait);
  });
  const auto r = w.run(op());
  CHECK(quota == c.quota);
  CHECK(delays == c.delays);
  CHECK(p.waits() == c.delays);
  CHECK(p.calls().size() == c.responses.size());
  if (c.responses.back() == 200) {
    CHECK(r.has_value());
  } else {
    CHECK(r.error().reason() == c.ends);
  }
}
void check(const aws_case& c) {
  again::budget shared{c.rules};
  check(shared, c);
}

constexpr again::policy v20(int attempts = 3, again::duration cap = 20s) {
  return steady(attempts, again::exponential(1s, cap));
}
constexpr again::policy v21(int attempts = 3, again::duration base = 50ms, again::duration cap = 20s) {
  return steady(attempts, again::exponential(base, cap));
}
again::budgets::tokens quota(again::budgets::tokens t, int capacity) {
  t.capacity = capacity;
  return t;
}

}  // namespace

TEST_CASE("AWS v2.0, standard mode vectors") {
  using again::budgets::aws_v2_0;
  SUBCASE("eventual success") { check({aws_v2_0, v20(), {500, 500, 200}, {1s, 2s}, {495, 490, 495}}); }
  SUBCASE("max attempts") { check({aws_v2_0, v20(), {500, 500, 500}, {1s, 2s}, {495, 490, 490}}); }
  SUBCASE("a quota of 5") {
    check({quota(aws_v2_0, 5), v20(), {500, 500}, {1s}, {0, 0}, stop_reason::budget_exhausted});
  }
  SUBCASE("no quota") { check({quota(aws_v2_0, 0), v20(), {500}, {}, {0}, stop_reason::budget_exhausted}); }
  SUBCASE("a bucket of 100 at 10 each") {
    check({{.capacity = 100, .cost = 10}, v20(), {500, 500, 200}, {1s, 2s}, {90, 80, 90}});
  }
  SUBCASE("backoff") {
    check({aws_v2_0, v20(5), {500, 500, 500, 500, 500}, {1s, 2s, 4s, 8s}, {495, 490, 485, 480, 480}});
  }
  SUBCASE("a cap of 3 s") {
    check({aws_v2_0, v20(5, 3s), {500, 500, 500, 500, 500}, {1s, 2s, 3s, 3s}, {495, 490, 485, 480, 480}});
  }
  SUBCASE("no overflow at attempt 33") { CHECK(again::nominal_delay(v20().backoff, 33) == 20s); }
}

TEST_CASE("AWS v2.1, standard mode vectors") {
  using again::budgets::aws_v2_1;
  SUBCASE("eventual success") { check({aws_v2_1, v21(), {500, 500, 200}, {50ms, 100ms}, {486, 472, 486}}); }
  SUBCASE("max attempts") { check({aws_v2_1, v21(), {500, 500, 500}, {50ms, 100ms}, {486, 472, 472}}); }
  SUBCASE("a quota of 14") {
    check({quota(aws_v2_1, 14), v21(), {500, 500}, {50ms}, {0, 0}, stop_reason::budget_exhausted});
  }
  SUBCASE("no quota") { check({quota(aws_v2_1, 0), v21(), {500}, {}, {0}, stop_reason::budget_exhausted}); }
  SUBCASE("a quota of 20") {
    check({quota(aws_v2_1, 20), v21(), {500, 500}, {50ms}, {6, 6}, stop_reason::budget_exhausted});
  }
  SUBCASE("a quota of 30, then a new operation") {
    again::budget shared{quota(aws_v2_1, 30)};
    check(shared, {aws_v2_1, v21(), {500, 500, 200}, {50ms, 100ms}, {16, 2, 16}});
    check(shared, {aws_v2_1, v21(), {500, 200}, {50ms}, {2, 16}});
  }
  SUBCASE("throttling costs less") { check({aws_v2_1, v21(3, 1s), {429, 200}, {1s}, {495, 500}}); }
  SUBCASE("a cap of 200 ms") {
    check({aws_v2_1,
           v21(5, 50ms, 200ms),
           {500, 500, 500, 500, 500},
           {50ms, 100ms, 200ms, 200ms},
           {486, 472, 458, 444, 444}});
  }
  SUBCASE("DynamoDB") {
    check({aws_v2_1, v21(4, 25ms), {500, 500, 500, 500}, {25ms, 50ms, 100ms}, {486, 472, 458, 458}});
  }
}

TEST_CASE("under total outage the retries of many calls are exactly what the budget allows") {
  const auto outage = [](const auto& kind) {
    world w;
    again::budget shared{kind};
    int sends = 0;
    auto op = again::retry(steady(3, again::constant(0ms)), [&sends]() -> again::task<outcome> {
                ++sends;
                co_return fail(500);
              }).budget(shared);
    auto all = [&]() -> again::task<> {
      for (int i = 0; i < 10'000; ++i) {
        (void)co_await op;
        (void)co_await again::sleep_for(1ms);
      }
    };
    w.run(all());
    return sends;
  };
  CHECK(outage(again::budgets::cumulative{.share = 0.1}) == 11'000);
  CHECK(outage(again::budgets::ratio{}) == 12'100);
  CHECK(outage(again::budgets::aws_v2_0) == 10'100);
  CHECK(outage(again::budgets::aws_v2_1) == 10'035);
  CHECK(outage(again::budgets::throttle{.max = 10}) == 10'003);
  CHECK(outage(again::budgets::throttle{.max = 100}) == 10'033);
}

// ── breaker ──

TEST_CASE("a retry waits for an open breaker if the wait ends before the deadline") {
  world w;
  again::breaker shared{{.consecutive = 2, .open_for = 5s}};
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2}).gives(3);
  CHECK(w.run(again::retry(steady(4), std::ref(p)).breaker(shared)).value() == 3);
  CHECK(p.complaint({100ms, 5s}) == "");
  CHECK(shared.state() == again::breaker_state::closed);
}

TEST_CASE("a breaker that is open beyond the deadline ends the retry with the last error") {
  world w;
  again::breaker shared{{.consecutive = 2, .open_for = 5s}};
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2});
  again::policy bounded = steady(4);
  bounded.deadline = 5s;
  const auto r = w.run(again::retry(bounded, std::ref(p)).breaker(shared));
  CHECK(r.error().reason() == stop_reason::breaker_open);
  CHECK(r.error().error()->number == 2);
  CHECK(r.error().attempts() == 2);
  CHECK(w.elapsed() == 200ms);
  CHECK(p.complaint({100ms}) == "");
}

TEST_CASE("if the breaker is open from the start, nothing is sent and the failure holds no error") {
  world w;
  again::breaker shared{};
  shared.isolate(w.time.now());
  peer p{stopped};
  const auto r = w.run(again::retry(steady(4), std::ref(p)).breaker(shared));
  CHECK(r.error().reason() == stop_reason::breaker_open);
  CHECK(r.error().error() == nullptr);
  CHECK(r.error().attempts() == 0);
  CHECK(w.elapsed() == 0s);
}

TEST_CASE("a single attempt does not wait for an open breaker") {
  world w;
  again::breaker shared{};
  shared.trip(w.time.now());
  peer p{stopped};
  CHECK(w.run(again::retry(steady(1), std::ref(p)).breaker(shared)).error().reason() == stop_reason::breaker_open);
  CHECK(w.elapsed() == 0s);
}

TEST_CASE("a breaker that never admits is asked as often as the policy has attempts") {
  world w;
  again::breaker shared{{.consecutive = 1, .open_for = 1s}};
  shared.trip(w.time.now());
  const auto probe = shared.admit(w.time.now() + 1s);  // admitted, and never reported back
  REQUIRE(probe);
  peer p{stopped};
  const auto r = w.run(again::retry(steady(4), std::ref(p)).breaker(shared));
  CHECK(r.error().reason() == stop_reason::breaker_open);
  CHECK(r.error().attempts() == 0);
  CHECK(w.elapsed() == 3s);
}

TEST_CASE("a retry that the breaker refuses gives its reservation back to the budget") {
  world w;
  again::breaker breaker{{.consecutive = 1, .open_for = 1h, .open_max = 1h}};
  again::budget budget{again::budgets::tokens{.capacity = 10, .cost = 10}};
  peer p{stopped};
  p.fails(trouble{1});
  again::policy bounded = steady(4);
  bounded.deadline = 30min;
  auto op = again::retry(bounded, std::ref(p)).budget(budget).breaker(breaker);
  const auto r = w.run(op());
  CHECK(r.error().reason() == stop_reason::breaker_open);
  CHECK(budget.balance(w.time.now()) == 10);
  CHECK(budget.returned() == 1);
}

TEST_CASE("an attempt cut short by the caller does not count against the peer; one cut short by its timeout does") {
  world w;
  again::breaker shared{{.consecutive = 1}};
  peer p{stopped};
  p.hangs().hangs();
  auto cancelled = [&]() -> again::task<> {
    again::scope side{co_await again::get_context()};
    side.spawn([](peer& to, again::breaker& b) -> again::task<> {
      const auto r = co_await again::retry(steady(4), std::ref(to)).breaker(b);
      CHECK(r.error().reason() == stop_reason::cancelled_in_attempt);
    }(p, shared));
    (void)co_await again::sleep_for(1s);
    side.request_stop();
    co_await side.join();
  };
  w.run(cancelled());
  CHECK(shared.state() == again::breaker_state::closed);
  again::policy impatient = steady(1);
  impatient.attempt_timeout = 1s;
  CHECK_FALSE(w.run(again::retry(impatient, std::ref(p)).breaker(shared)));
  CHECK(shared.state() == again::breaker_state::open);
}

TEST_CASE("hooks may come in any order") {
  world w;
  again::breaker breaker;
  again::budget budget{again::budgets::tokens{.capacity = 14}};
  peer p{stopped};
  p.fails(trouble{1}).gives(2).fails(trouble{3}).gives(4);
  int seen = 0;
  const auto see = [&](const again::attempt_record&) { ++seen; };
  const auto any = [](const trouble&) { return true; };
  CHECK(w.run(again::retry(steady(4), std::ref(p)).when(any).budget(budget).observe(see).breaker(breaker)));
  CHECK(w.run(again::retry(steady(4), std::ref(p)).breaker(breaker).budget(budget).when(any).seed(1).observe(see)));
  CHECK(seen == 4);
  CHECK(budget.granted() == 2);
}

TEST_CASE("callers refused at the same time ask again at different times, and not too early") {
  world w;
  again::breaker shared{{.consecutive = 1, .open_for = 5s}};
  std::vector<again::duration> waits;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    shared.trip(w.time.now());
    const again::time_point tripped = w.time.now();
    peer p{stopped};
    p.gives(1);
    again::policy spread = steady(4);
    spread.jitter = again::jitter::full;
    CHECK(w.run(again::retry(spread, std::ref(p)).breaker(shared).seed(seed)).value() == 1);
    waits.push_back(p.calls()[0].began - tripped);
    shared.close(w.time.now());
  }
  std::sort(waits.begin(), waits.end());
  CHECK(waits.front() >= 5s);
  CHECK(waits.back() <= 5100ms);
  CHECK(std::adjacent_find(waits.begin(), waits.end()) == waits.end());
}
