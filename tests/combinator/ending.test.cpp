// SPDX-License-Identifier: MIT
#include <again/combinator/ending.hpp>
#include <again/coro/run_loop.hpp>
#include <again/coro/virtual_clock.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <string>

using namespace std::chrono_literals;
using again::disposition;
using again::stop_reason;

namespace {

struct bench {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  again::inplace_stop_source stop;
  again::context ctx = loop.root();
  bench() { ctx.stop = stop.get_token(); }
};

}  // namespace

TEST_CASE("a stop is a cancellation, unless the inherited deadline has passed") {
  bench b;
  const again::time_point now = b.time.now();
  CHECK(again::detail::stopped_at(now, b.ctx, stop_reason::cancelled_in_delay) == stop_reason::cancelled_in_delay);
  CHECK(again::detail::stopped_now(b.ctx, stop_reason::cancelled_in_delay) == stop_reason::cancelled_in_delay);
  b.ctx.deadline = now + 1s;
  CHECK(again::detail::stopped_at(now, b.ctx, stop_reason::cancelled_in_delay) == stop_reason::cancelled_in_delay);
  CHECK(again::detail::stopped_at(now + 1s, b.ctx, stop_reason::cancelled_in_delay) == stop_reason::deadline_reached);
  CHECK(again::detail::stopped_now(b.ctx, stop_reason::cancelled_before_start) == stop_reason::cancelled_before_start);
  b.ctx.deadline = now;
  CHECK(again::detail::stopped_now(b.ctx, stop_reason::cancelled_before_start) == stop_reason::deadline_reached);
}

TEST_CASE("the reason of a single failed attempt is what its error says, or the stop request") {
  bench b;
  const auto by = [&](disposition kind) { return again::detail::ended_by({.kind = kind}, b.time.now(), b.ctx); };
  CHECK(by(disposition::transient) == stop_reason::attempts_exhausted);
  CHECK(by(disposition::permanent) == stop_reason::permanent);
  CHECK(by(disposition::not_replayable) == stop_reason::not_replayable);
  CHECK(by(disposition::forbidden) == stop_reason::server_forbade);
  CHECK(by(disposition::aborted) == stop_reason::cancelled_in_attempt);
  b.stop.request_stop();
  CHECK(by(disposition::transient) == stop_reason::cancelled_in_attempt);
  CHECK(by(disposition::permanent) == stop_reason::permanent);
  b.ctx.deadline = b.time.now();
  CHECK(by(disposition::aborted) == stop_reason::deadline_reached);
}

TEST_CASE("an ending counts sends, keeps the farthest reach, and becomes a failure with the last error") {
  again::detail::ending end;
  end.count(1, again::reach::maybe_sent);
  end.count(0, again::reach::answered);  // the reach of an inner retry that sent nothing does not count
  end.count(3, again::reach::not_sent);
  end.reason = stop_reason::budget_exhausted;
  std::optional<std::string> last{"busy"};
  const again::failure<std::string> f = again::detail::failed_with(end, last, 5s);
  CHECK(f.reason() == stop_reason::budget_exhausted);
  CHECK(f.attempts() == 4);
  CHECK(f.reach() == again::reach::maybe_sent);
  CHECK(f.elapsed() == 5s);
  REQUIRE(f.error() != nullptr);
  CHECK(*f.error() == "busy");
}
