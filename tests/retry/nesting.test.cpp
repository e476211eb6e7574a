// SPDX-License-Identifier: MIT
// Promise 11: nested retries add up, they do not multiply.
#include <again/retry.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>
#include <again/retry/timeout.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

using namespace std::chrono_literals;
using again::policy;
using again::retry;
using again::stop_reason;
using again::task;
using again_test::fail;
using again_test::outcome;
using again_test::trouble;
using again_test::world;

namespace {

constexpr policy four{.attempts = 4,
                      .backoff = again::constant(1s),
                      .jitter = again::jitter::none,
                      .attempt_timeout = again::forever,
                      .deadline = 1h};
using merged = again::expected<int, again::failure<trouble>>;

}  // namespace

TEST_CASE("three layers of four attempts make 10 sends, each counted, instead of 64") {
  world w;
  int sends = 0;
  const auto send = [&]() -> task<outcome> { co_return fail(++sends); };
  const auto result = w.run(retry(four, retry(four, retry(four, send))));
  static_assert(std::is_same_v<decltype(result), const merged>);  // no failure of a failure
  CHECK(sends == 10);
  CHECK(result.error().attempts() == 10);
  CHECK(result.error().reason() == stop_reason::attempts_exhausted);
  CHECK(result.error().error()->number == 10);
  const again::attempt_trace& trace = result.error().trace();
  CHECK(trace.size() == 8);
  CHECK(trace.dropped() == 2);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    CHECK(trace[i].attempt == static_cast<int>(i) + 3);
    CHECK(trace[i].last == (i == 7));
    CHECK(trace[i].code == static_cast<int>(i) + 3);
    CHECK(trace[i].began == static_cast<int>(i + 2) * 1s);  // on the outermost retry's time
  }
}

TEST_CASE("the same through coroutines: the context carries that an attempt is repeated") {
  world w;
  int sends = 0;
  std::vector<stop_reason> inner_reasons;
  const auto send = [&]() -> task<outcome> { co_return fail(++sends); };
  const auto layer = [&](auto op) {
    return [&, op]() -> task<merged> {
      auto result = co_await retry(four, op);
      inner_reasons.push_back(result.error().reason());
      co_return result;
    };
  };
  const auto two = layer(send);
  const auto result = w.run(retry(four, two));
  CHECK(sends == 7);
  CHECK(result.error().attempts() == 7);
  CHECK(inner_reasons == std::vector<stop_reason>{stop_reason::attempts_exhausted, stop_reason::nested_limit,
                                                  stop_reason::nested_limit, stop_reason::nested_limit});
}

TEST_CASE("with nested(allow) an inner retry multiplies: 64 sends") {
  world w;
  int sends = 0;
  const auto send = [&]() -> task<outcome> { co_return fail(++sends); };
  const auto result = w.run(retry(four, retry(four, retry(four, send).nested(again::allow)).nested(again::allow)));
  CHECK(sends == 64);
  CHECK(result.error().attempts() == 64);
  CHECK(result.error().trace().dropped() == 56);
  CHECK(result.error().trace()[7].attempt == 64);
  sends = 0;
  const auto restored = w.run(retry(four, retry(four, send).nested(again::allow).nested(again::nesting::add)));
  CHECK(restored.error().attempts() == 7);
}

TEST_CASE("inside the first attempt of an outer retry, an inner one makes all its attempts") {
  world w;
  int sends = 0;
  const auto third = [&]() -> task<outcome> {
    if (++sends < 3) co_return fail(sends);
    co_return sends;
  };
  CHECK(*w.run(retry(four, retry(four, third))) == 3);
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("siblings inside a repeated attempt are limited, too, and a timeout does not count as a retry") {
  world w;
  int sends = 0;
  const auto send = [&]() -> task<outcome> { co_return fail(++sends); };
  policy two = four;
  two.attempts = 2;
  const auto both = [&]() -> task<outcome> {
    auto [a, b] = co_await again::when_all(retry(four, send), again::timeout(1min, retry(four, send)));
    CHECK(a.error().reason() == b.error().reason());
    co_return fail(a.error().attempts() + b.error().attempts());
  };
  const auto result = w.run(retry(two, both));
  CHECK(sends == 8 + 2);
  CHECK(result.error().error()->number == 2);  // nested_limit twice, one send each
}

TEST_CASE("a permanent end of an inner retry ends the outer one, with the inner reason") {
  world w;
  int sends = 0;
  const auto permanent = [&]() -> task<outcome> { co_return fail(++sends, again::disposition::permanent); };
  CHECK(w.run(retry(four, retry(four, permanent))).error().reason() == stop_reason::permanent);
  CHECK(sends == 1);
  const auto asks_too_much = [&]() -> task<outcome> {
    trouble t{++sends};
    t.server_delay = 2h;
    co_return outcome{again::unexpect, t};
  };
  const auto result = w.run(retry(four, retry(four, asks_too_much)));
  CHECK(result.error().reason() == stop_reason::server_delay_too_long);
  CHECK(result.error().attempts() == 1);
  CHECK(result.error().trace()[0].stop == stop_reason::server_delay_too_long);
}

TEST_CASE("cancelled while an inner retry waits: the failure has the last real error of all layers, and the reason") {
  world w;
  again::inplace_stop_source stop;
  int sends = 0;
  const auto send = [&]() -> task<outcome> { co_return fail(++sends); };
  const auto both = [&]() -> task<merged> {
    const auto stopper = [&]() -> task<> {
      (void)co_await again::sleep_for(1500ms);
      stop.request_stop();
    };
    auto [none, result] = co_await again::when_all(stopper(), retry(four, retry(four, send)));
    (void)none;
    co_return std::move(result);
  };
  const auto result = w.run(both(), stop.get_token());
  CHECK(result.error().reason() == stop_reason::cancelled_in_delay);
  CHECK(result.error().error()->number == 2);
  CHECK(result.error().attempts() == 2);
  CHECK(w.elapsed() == 1500ms);
}

TEST_CASE("cancelled in a later outer attempt before its first send: the error of the earlier one is kept") {
  world w;
  again::inplace_stop_source stop;
  int attempts = 0;
  const auto send = [&]() -> task<outcome> { co_return fail(77); };
  const auto op = [&]() -> task<merged> {
    if (++attempts == 2) stop.request_stop();
    co_await again::yield();
    co_return co_await retry(four, send).nested(again::allow);
  };
  const auto body = [&]() -> task<merged> { co_return co_await retry(four, op); };
  const auto result = w.run(body(), stop.get_token());
  CHECK(again::cancelled(result.error().reason()));
  REQUIRE(result.error().error() != nullptr);
  CHECK(result.error().error()->number == 77);
  CHECK(result.error().attempts() == 4);
}

TEST_CASE("an inner retry that runs out of its own deadline is a failed attempt of the outer one") {
  world w;
  policy brief = four;
  brief.deadline = 2s;
  int sends = 0;
  const auto hangs = [&]() -> task<outcome> {
    ++sends;
    (void)co_await again::sleep_for(1h);
    co_return again_test::aborted(5);
  };
  const auto result = w.run(retry(four, retry(brief, hangs)));
  CHECK(result.error().reason() == stop_reason::attempts_exhausted);
  CHECK(result.error().attempts() == 4);
  CHECK(sends == 4);
  CHECK(w.elapsed() == 4 * 2s + 3 * 1s);
}

TEST_CASE("an outer observer sees the outer attempts, the trace has all sends") {
  world w;
  int sends = 0;
  std::vector<int> outer;
  const auto send = [&]() -> task<outcome> { co_return fail(++sends); };
  const auto result = w.run(
      retry(four, retry(four, send)).observe([&](const again::attempt_record& r) { outer.push_back(r.attempt); }));
  CHECK(outer == std::vector<int>{1, 2, 3, 4});
  CHECK(result.error().trace().size() == 7);
}
