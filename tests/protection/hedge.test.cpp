// SPDX-License-Identifier: MIT
#include <again/protection/hedge.hpp>

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/scripted_peer.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;
using again::stop_reason;

namespace {
constexpr again::hedging soon{.delay = 100ms};
}  // namespace

TEST_CASE("a first attempt that is quick enough is the only one") {
  world w;
  peer p{stopped};
  p.gives(1).takes(99ms).gives(2);
  auto op = again::hedge(soon, std::ref(p));
  CHECK(w.run(op).value() == 1);
  CHECK(w.run(op).value() == 2);
  CHECK(p.calls().size() == 2);
  CHECK(w.loop.timers() == 0);
}

TEST_CASE("the second attempt wins, the first is stopped and awaited before the result is given") {
  world w;
  peer p{stopped};
  p.hangs().gives(2).takes(50ms);
  CHECK(w.run(again::hedge(soon, std::ref(p))).value() == 2);
  CHECK(w.elapsed() == 150ms);
  CHECK(p.calls()[0].stopped);
  CHECK(p.calls()[0].ended == p.calls()[1].ended);
  CHECK(p.calls()[1].began - p.calls()[0].began == 100ms);
  CHECK_FALSE(p.calls()[0].repeated);
  CHECK(p.calls()[1].repeated);
}

TEST_CASE("a loser that does not listen is waited for") {
  world w;
  peer p{stopped};
  p.gives(1).takes(10s).deaf().gives(2);
  CHECK(w.run(again::hedge(soon, std::ref(p))).value() == 2);
  CHECK(w.elapsed() == 10s);
}

TEST_CASE("once an attempt has won, no further one is started while the losers are awaited") {
  world w;
  peer p{stopped};
  p.gives(1).takes(10s).deaf().gives(2).takes(10ms).gives(3);
  CHECK(w.run(again::hedge({.delay = 100ms, .attempts = 3}, std::ref(p))).value() == 2);
  CHECK(w.elapsed() == 10s);
  CHECK(p.calls().size() == 2);
}

TEST_CASE("a first attempt that has lost counts for the latency, with the time until it was stopped") {
  world w;
  peer p{stopped};
  p.hangs().gives(2).takes(50ms);
  again::latency seen{{.at_first = 100ms, .enough = 1}};
  CHECK(w.run(again::hedge({.after = &seen}, std::ref(p))).value() == 2);
  CHECK(seen.value() >= 150ms);
  CHECK(seen.value() <= 150ms * 9 / 8);  // a bucket is an eighth wide
}

TEST_CASE("the first attempt may still win") {
  world w;
  peer p{stopped};
  p.gives(1).takes(120ms).hangs();
  CHECK(w.run(again::hedge(soon, std::ref(p))).value() == 1);
  CHECK(w.elapsed() == 120ms);
  CHECK(p.calls()[1].stopped);
}

TEST_CASE("an attempt that fails waits for the others, and does not bring the next one forward") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).takes(150ms).gives(2).takes(100ms);
  CHECK(w.run(again::hedge(soon, std::ref(p))).value() == 2);
  CHECK(w.elapsed() == 200ms);
}

TEST_CASE("a failure with nothing else running is the result, without waiting for the hedge") {
  world w;
  peer p{stopped};
  p.fails(trouble{1, again::disposition::permanent}).takes(10ms);
  const auto r = w.run(again::hedge(soon, std::ref(p)));
  CHECK(r.error().reason() == stop_reason::permanent);
  CHECK(r.error().error()->number == 1);
  CHECK(w.elapsed() == 10ms);
}

TEST_CASE("when all fail the last real error is given, counting all sends") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).takes(500ms).fails(trouble{2}).takes(300ms).fails(trouble{3}).takes(400ms);
  const auto r = w.run(again::hedge({.delay = 100ms, .attempts = 3}, std::ref(p)));
  CHECK(r.error().reason() == stop_reason::attempts_exhausted);
  CHECK(r.error().error()->number == 3);
  CHECK(r.error().attempts() == 3);
  CHECK(r.error().trace().size() == 3);
  CHECK(r.error().elapsed() == 600ms);
}

TEST_CASE("further attempts follow one delay after another, up to the number given") {
  world w;
  peer p{stopped};
  p.hangs().hangs().hangs().gives(4).takes(1s);
  CHECK(w.run(again::hedge({.delay = 100ms, .attempts = 4}, std::ref(p))).value() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(p.calls()[i].began - p.calls()[0].began == 100ms * i);
}

TEST_CASE("what is not safe to send twice is sent once") {
  world w;
  peer p{stopped};
  p.gives(1).takes(10s).once_only();
  // A reference wrapper says nothing of what it refers to.
  struct order {
    peer* to;
    auto operator()() { return (*to)(); }
    bool repeatable() const { return to->repeatable(); }
  };
  CHECK(w.run(again::hedge(soon, order{&p})).value() == 1);
  CHECK(p.calls().size() == 1);
  CHECK(w.elapsed() == 10s);
}

TEST_CASE("a hedge in a repeated attempt makes one attempt, a retry in a hedge's second attempt as well") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).gives(2).takes(10s);
  const again::policy twice{
      .attempts = 2, .backoff = again::constant(0ms), .jitter = again::jitter::none, .deadline = 30s};
  CHECK(w.run(again::retry(twice, again::hedge(soon, std::ref(p)))).value() == 2);
  CHECK(p.calls().size() == 2);

  peer q{stopped};
  q.hangs().fails(trouble{2}).gives(3);
  auto inner = [&]() -> again::task<again::expected<int, again::failure<trouble>>> {
    co_return co_await again::retry(twice, std::ref(q));
  };
  const auto r = w.run(again::timeout(1s, again::hedge(soon, inner)));
  CHECK_FALSE(r);
  CHECK(q.calls().size() == 2);  // the second attempt's retry made one send
}

TEST_CASE("no token, no hedge; a hedge's cost is not returned by the call's success") {
  world w;
  again::budget shared{again::budgets::tokens{.capacity = 10, .cost = 10, .first_try = 1}};
  peer p{stopped};
  p.hangs().gives(2).gives(3).takes(500ms);
  CHECK(w.run(again::hedge(soon, std::ref(p)).budget(shared)).value() == 2);
  CHECK(shared.balance(w.time.now()) == 1);
  CHECK(w.run(again::hedge(soon, std::ref(p)).budget(shared)).value() == 3);
  CHECK(p.calls().size() == 3);
  CHECK(shared.refused() == 1);
  again::budget slots{again::budgets::in_flight{.share = 0, .floor = 1}};
  peer q{stopped};
  q.hangs().gives(2).takes(1s).hangs();
  CHECK(w.run(again::hedge({.delay = 100ms, .attempts = 3}, std::ref(q)).budget(slots)).value() == 2);
  CHECK(q.calls().size() == 2);  // the third had no slot while the second was out
  CHECK(slots.balance(w.time.now()) == 1);
}

TEST_CASE("an attempt that has ended frees its slot of an in-flight budget for the next one") {
  world w;
  peer p{stopped};
  p.hangs().fails(trouble{2}).takes(50ms).gives(3).takes(10ms);
  again::budget slots{again::budgets::in_flight{.share = 0, .floor = 1}};
  CHECK(w.run(again::hedge({.delay = 100ms, .attempts = 3}, std::ref(p)).budget(slots)).value() == 3);
  CHECK(w.elapsed() == 210ms);
  CHECK(slots.balance(w.time.now()) == 1);
}

TEST_CASE("a repeated attempt of an outer retry deposits nothing, and gives back no slot that it did not take") {
  world w;
  const again::policy three{
      .attempts = 3, .backoff = again::constant(0ms), .jitter = again::jitter::none, .deadline = 30s};
  const auto down = []() -> again::task<outcome> { co_return fail(1); };
  again::budget inside{again::budgets::ratio{.share = 0.5, .floor_per_second = 0}};
  for (int i = 0; i < 10; ++i) CHECK_FALSE(w.run(again::retry(three, again::hedge(soon, down).budget(inside))));
  CHECK(inside.balance(w.time.now()) == 5);  // ten calls

  again::budget both{again::budgets::ratio{.share = 0.5, .floor_per_second = 0}};
  auto twice = again::retry(three, again::hedge(soon, down).budget(both)).budget(both);
  for (int i = 0; i < 10; ++i) CHECK_FALSE(w.run(twice));
  CHECK(both.granted() ==
        10);  // two deposits a call, as two layers say so: not four, of which each retry would make one
  CHECK(both.balance(w.time.now()) == 0);

  again::budget slots{again::budgets::in_flight{.share = 1, .floor = 0}};
  CHECK_FALSE(w.run(again::retry(three, again::hedge(soon, down).budget(slots))));
  CHECK(slots.balance(w.time.now()) == 0);  // no call is in flight

  again::budget tokens{again::budgets::tokens{.capacity = 10, .cost = 5, .first_try = 1}};
  {
    auto spent = tokens.reserve(w.time.now());
    spent.sent();
  }
  int sends = 0;
  const auto second = [&]() -> again::task<outcome> {
    if (++sends % 2 == 1) co_return fail(1);
    co_return 2;
  };
  CHECK(w.run(again::retry(three, again::hedge(soon, second).budget(tokens))));
  CHECK(tokens.balance(w.time.now()) == 5);  // no first try has succeeded
}

TEST_CASE("nothing is started after the inherited deadline, however late the loop is") {
  world w;
  peer p{stopped};
  p.hangs();
  auto all = [&]() -> again::task<> {
    again::scope side{co_await again::get_context()};
    side.spawn([](again::virtual_clock& time) -> again::task<> {
      (void)co_await again::sleep_for(500ms);
      time.advance(10s);
    }(w.time));
    auto op = again::hedge({.delay = 1s}, std::ref(p));
    const auto result = co_await again::timeout(5s, op);
    CHECK(result.error().reason() == stop_reason::deadline_reached);
    co_await side.join();
  };
  w.run(all());
  CHECK(p.calls().size() == 1);
}

TEST_CASE("many loops on threads of their own share a latency and a budget") {
  again::latency seen{{.least = 0ms, .at_first = 0ms}};
  again::budget shared{again::budgets::tokens{.capacity = 100, .cost = 1, .first_try = 0}};
  std::atomic<int> done{0};
  std::atomic<int> sends{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      again::run_loop loop;
      const auto send = [&]() -> again::task<outcome> {
        ++sends;
        co_await again::yield{};
        co_await again::yield{};
        co_return 1;
      };
      auto op = again::hedge({.after = &seen}, send).budget(shared);
      for (int i = 0; i < 200; ++i) done += again::sync_wait(loop, op).has_value();
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(done == 800);
  CHECK(sends <= 900);
  CHECK(static_cast<int>(shared.granted()) == sends - 800);
}

TEST_CASE("a stop request reaches all attempts, and nothing is started after it") {
  world w;
  peer p{stopped};
  p.hangs().hangs();
  const auto r = w.run(again::timeout(150ms, again::hedge({.delay = 100ms, .attempts = 3}, std::ref(p))));
  CHECK(r.error().reason() == stop_reason::deadline_reached);
  CHECK(p.calls().size() == 2);
  CHECK(w.elapsed() == 150ms);
}

TEST_CASE("an exception stops the others, which are awaited, and is rethrown") {
  world w;
  peer p{stopped};
  p.hangs().throws(std::runtime_error{"broken"}).takes(10ms);
  auto op = again::hedge(soon, std::ref(p));
  CHECK_THROWS_WITH(w.run(op), "broken");
  CHECK(p.calls()[0].stopped);
}

namespace {

struct unreadable {
  again::verdict verdict() const { throw std::runtime_error{"no verdict"}; }
};
// Cannot be moved any more once it was looked at.
struct stuck {
  bool looked_at = false;
  stuck() = default;
  stuck(const stuck&) = default;
  stuck(stuck&& other) : looked_at{other.looked_at} {
    if (looked_at) throw std::runtime_error{"no move"};
  }
  stuck& operator=(const stuck&) = default;
  ~stuck() = default;
  again::verdict verdict() const { return {}; }
};
struct fails_stuck {
  using result_type = again::expected<int, stuck>;
  result_type result{again::unexpect, stuck{}};
  static bool start(again::continuation, const again::context&) noexcept { return true; }
  result_type take() { return result; }
  static std::exception_ptr exception() noexcept { return nullptr; }
  result_type* peek() noexcept {
    result.error().looked_at = true;
    return &result;
  }
};
static_assert(again::startable<fails_stuck>);

}  // namespace

TEST_CASE("an error whose verdict throws, or which cannot be moved, ends the hedge with that exception") {
  world w;
  int sends = 0;
  SUBCASE("at once") {
    auto op = again::hedge(soon, [&]() -> again::task<again::expected<int, unreadable>> {
      ++sends;
      co_return again::expected<int, unreadable>{again::unexpect, unreadable{}};
    });
    CHECK_THROWS_WITH(w.run(op), "no verdict");
    CHECK(sends == 1);
  }
  SUBCASE("while another attempt runs, which is stopped and awaited") {
    bool stopped_first = false;
    auto op = again::hedge(soon, [&]() -> again::task<again::expected<int, unreadable>> {
      if (++sends == 1) {
        stopped_first = !co_await again::sleep_for(1h);
        co_return 1;
      }
      co_return again::expected<int, unreadable>{again::unexpect, unreadable{}};
    });
    CHECK_THROWS_WITH(w.run(op), "no verdict");
    CHECK(stopped_first);
    CHECK(w.elapsed() == 100ms);
  }
  SUBCASE("the move") {
    auto op = again::hedge(soon, [&] {
      ++sends;
      return fails_stuck{};
    });
    CHECK_THROWS_WITH(w.run(op), "no move");
    CHECK(sends == 1);
  }
}

TEST_CASE("a hedge that failed before its delay launches nothing more, however long it is kept") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).takes(10ms).gives(2);
  auto op = again::hedge(soon, std::ref(p));
  const auto [r, slept] = w.run(again::when_all(op, again::sleep_for(1h)));
  CHECK(slept);
  CHECK(r.error().error()->number == 1);
  CHECK(p.calls().size() == 1);
}

TEST_CASE("the trace of a hedge around a coroutine that retries holds the sends of the retries") {
  world w;
  peer p{stopped};
  p.fails(trouble{1}).fails(trouble{2}).fails(trouble{3}).takes(1s);
  const again::policy three{
      .attempts = 3, .backoff = again::constant(10ms), .jitter = again::jitter::none, .deadline = 30s};
  auto op = again::hedge({.delay = 1h}, [&]() -> again::task<again::expected<int, again::failure<trouble>>> {
    co_return co_await again::retry(three, std::ref(p));
  });
  const auto r = w.run(op);
  CHECK(r.error().reason() == stop_reason::attempts_exhausted);
  CHECK(r.error().attempts() == 3);
  const again::attempt_trace& trace = r.error().trace();
  REQUIRE(trace.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(trace[i].attempt == static_cast<int>(i) + 1);
    CHECK(trace[i].code == static_cast<int>(i) + 1);
    CHECK(trace[i].last == (i == 2));
  }
  CHECK(trace[0].wait == 10ms);
}

TEST_CASE("destroyed while attempts run: all of them end, the budget gets its slots back") {
  world w;
  again::budget slots{again::budgets::in_flight{.share = 0, .floor = 1}};
  peer p{stopped};
  p.hangs().hangs();
  auto all = [&]() -> again::task<> {
    {
      again::scope side{co_await again::get_context()};
      side.spawn([](peer& to, again::budget& b) -> again::task<> {
        (void)co_await again::hedge(soon, std::ref(to)).budget(b);
      }(p, slots));
      (void)co_await again::sleep_for(1s);
      CHECK(slots.balance(w.time.now()) == 0);
    }
    CHECK(slots.balance(w.time.now()) == 1);
    CHECK(w.loop.timers() == 0);
  };
  w.run(all());
}

namespace {

struct tail {
  again::duration p99{};
  double extra = 0;
};

// A server that responds in 10 ms, but one response in twenty takes a second.
tail slow_server(bool hedged, const again::hedging& how, again::budget* shared) {
  world w;
  again::random_stream random{11};
  int sends = 0;
  const auto send = [&]() -> again::task<outcome> {
    ++sends;
    const again::duration takes = random.draw() < 0.05 ? 1s : 10ms;
    if (!co_await again::sleep_for(takes)) co_return aborted(1);
    co_return 1;
  };
  constexpr int calls = 20'000;
  std::vector<again::duration> took;
  auto all = [&]() -> again::task<> {
    for (int i = 0; i < calls; ++i) {
      const again::time_point began = w.time.now();
      if (hedged) {
        auto op = again::hedge(how, send);
        if (shared != nullptr) {
          (void)co_await std::move(op).budget(*shared);
        } else {
          (void)co_await op;
        }
      } else {
        (void)co_await send();
      }
      took.push_back(w.time.now() - began);
    }
  };
  w.run(all());
  std::sort(took.begin(), took.end());
  return {took[calls * 99 / 100], static_cast<double>(sends) / calls - 1};
}

}  // namespace

TEST_CASE("with a server slow one time in twenty, p99 falls to the delay plus a quick response, for 5 % more load") {
  const tail alone = slow_server(false, {}, nullptr);
  CHECK(alone.p99 == 1s);
  const tail hedged = slow_server(true, {.delay = 20ms}, nullptr);
  CHECK(hedged.p99 == 30ms);  // both slow: 1 in 400, so one in a hundred is delay + quick response; a factor of 33
  CHECK(hedged.extra == doctest::Approx(0.05).epsilon(0.1));
}

TEST_CASE("the extra load stays under the budget") {
  again::budget shared{again::budgets::cumulative{.share = 0.02}};
  const tail hedged = slow_server(true, {.delay = 20ms}, &shared);
  CHECK(hedged.extra <= 0.02);
  CHECK(hedged.extra > 0.019);
}

TEST_CASE("the delay can be a quantile of what was seen: p99 falls as well, without knowing the server") {
  again::latency seen{{.quantile = 0.95, .least = 1ms, .at_first = 500ms}};
  const tail hedged = slow_server(true, {.after = &seen}, nullptr);
  CHECK(hedged.p99 < 50ms);
  CHECK(hedged.extra < 0.11);
}

TEST_CASE("a hedging that makes no sense is refused") {
  peer p{stopped};
  CHECK_THROWS_AS((void)again::hedge({.delay = -1s}, std::ref(p)), std::invalid_argument);
  CHECK_THROWS_AS((void)again::hedge({.attempts = 0}, std::ref(p)), std::invalid_argument);
  CHECK_THROWS_AS((void)again::hedge({.attempts = 5}, std::ref(p)), std::invalid_argument);
}
