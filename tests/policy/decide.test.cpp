// SPDX-License-Identifier: MIT
#include <again/policy/decide.hpp>

#include <again/core/random.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <vector>

using namespace std::chrono_literals;
using again::decide;
using again::decision;
using again::disposition;
using again::duration;
using again::forever;
using again::jitter;
using again::policy;
using again::progress;
using again::stop_reason;
using again::verdict;
using again::wait_by;

namespace {

constexpr policy steady{
    .attempts = 4, .backoff = again::exponential(1s, 20s), .jitter = jitter::none, .deadline = 1min};

verdict asks_for(duration delay) {
  verdict v;
  v.server_delay = delay;
  return v;
}

}  // namespace

static_assert(decide(steady, progress{}, verdict{}, 0.5).again &&
              decide(steady, progress{}, verdict{}, 0.5).wait == 1s);

TEST_CASE("a transient failure is tried again after the backoff's delay") {
  for (int n = 1; n < 4; ++n) {
    const decision d = decide(steady, {.attempt = n}, {}, 0.5);
    CHECK(d.again);
    CHECK(d.wait == again::nominal_delay(steady.backoff, n));
    CHECK(d.by == wait_by::backoff);
  }
  CHECK(decide(steady, {.attempt = 4}, {}, 0.5).stop == stop_reason::attempts_exhausted);
  CHECK_FALSE(decide(steady, {.attempt = 4}, {}, 0.5).again);
}

TEST_CASE("a wait of zero has no origin: neither the backoff nor the server asked for it") {
  policy p = steady;
  p.backoff = again::constant(0s);
  CHECK(decide(p, {}, {}, 0.5).wait == 0s);
  CHECK(decide(p, {}, {}, 0.5).by == wait_by::none);
}

TEST_CASE("the error's disposition decides before the number of attempts, nesting and time") {
  progress late{.attempt = 4, .elapsed = 2min, .inherited = 0s, .nested = true};
  verdict v;
  v.server_delay_too_long = true;
  const auto reason = [&](disposition kind) {
    v.kind = kind;
    return decide(steady, late, v, 0.5).stop;
  };
  CHECK(reason(disposition::permanent) == stop_reason::permanent);
  CHECK(reason(disposition::not_replayable) == stop_reason::not_replayable);
  CHECK(reason(disposition::forbidden) == stop_reason::server_forbade);
  CHECK(reason(disposition::aborted) == stop_reason::cancelled_in_attempt);
  CHECK(reason(disposition::transient) == stop_reason::attempts_exhausted);
  late.attempt = 3;
  CHECK(reason(disposition::transient) == stop_reason::nested_limit);
  late.nested = false;
  CHECK(reason(disposition::transient) == stop_reason::deadline_reached);
  late.elapsed = 0s;
  CHECK(reason(disposition::transient) == stop_reason::deadline_reached);  // the inherited one
  late.inherited = 1ns;
  CHECK(reason(disposition::transient) == stop_reason::server_delay_too_long);
  v.server_delay_too_long = false;
  CHECK(reason(disposition::transient) == stop_reason::deadline_too_near);
}

TEST_CASE("a wait that would not end before the deadline is not begun") {
  CHECK(decide(steady, {.attempt = 1, .elapsed = 59s - 1ns}, {}, 0).again);
  CHECK(decide(steady, {.attempt = 1, .elapsed = 59s}, {}, 0).stop == stop_reason::deadline_too_near);
  CHECK(decide(steady, {.attempt = 1, .elapsed = 1min}, {}, 0).stop == stop_reason::deadline_reached);
  CHECK(decide(steady, {.attempt = 1, .inherited = 1s + 1ns}, {}, 0).again);
  CHECK(decide(steady, {.attempt = 1, .inherited = 1s}, {}, 0).stop == stop_reason::deadline_too_near);
  CHECK(decide(steady, {.attempt = 1, .inherited = 0s}, {}, 0).stop == stop_reason::deadline_reached);
  CHECK(decide(steady, {.attempt = 1, .inherited = -1s}, {}, 0).stop == stop_reason::deadline_reached);
}

TEST_CASE("the server's delay is never shortened, and the jitter goes above it") {
  policy p = steady;
  CHECK(decide(p, {}, asks_for(5s), 0).wait == 5s);
  CHECK(decide(p, {}, asks_for(5s), 0).by == wait_by::server);
  p.jitter = jitter::full;
  CHECK(decide(p, {}, asks_for(5s), 0).wait == 5s);
  CHECK(decide(p, {}, asks_for(5s), 0.5).wait == 5500ms);
  p.jitter = jitter::equal;
  CHECK(decide(p, {}, asks_for(5s), 0.5).wait == 5250ms);
  p.jitter = jitter::proportional(0.25);
  CHECK(decide(p, {}, asks_for(5s), 0.5).wait == 5250ms);
  again::random_stream random{1};
  for (const jitter j : {jitter::none, jitter::full, jitter::equal, jitter::proportional(1)}) {
    p.jitter = j;
    for (int i = 0; i < 1000; ++i) REQUIRE(decide(p, {.attempt = 1 + i % 3}, asks_for(7s), random.draw()).wait >= 7s);
  }
}

TEST_CASE("a server's delay shorter than the policy's own wait does not shorten it") {
  CHECK(decide(steady, {.attempt = 3}, asks_for(1s), 0).wait == 4s);
  CHECK(decide(steady, {.attempt = 3}, asks_for(1s), 0).by == wait_by::backoff);
  CHECK(decide(steady, {.attempt = 3}, asks_for(0s), 0).wait == 4s);
  CHECK(decide(steady, {.attempt = 3}, asks_for(0s), 0).by == wait_by::backoff);
  policy p = steady;
  p.jitter = jitter::equal;  // [2 s, 4 s]
  again::random_stream random{2};
  for (int i = 0; i < 1000; ++i) {
    const decision d = decide(p, {.attempt = 3}, asks_for(1s), random.draw());
    REQUIRE((d.wait >= 2s && d.wait <= 4s));
  }
}

TEST_CASE("a server's delay beyond the maximum stops, or is cut, as the policy says") {
  policy p = steady;
  p.server_delay_max = 10s;
  CHECK(decide(p, {}, asks_for(10s), 0).wait == 10s);
  CHECK(decide(p, {}, asks_for(10s + 1ns), 0).stop == stop_reason::server_delay_too_long);
  p.server_delay_over = again::over_max::cap;
  CHECK(decide(p, {}, asks_for(1h), 0).again);
  CHECK(decide(p, {}, asks_for(1h), 0).wait == 10s);
  verdict rules_say_stop;
  rules_say_stop.server_delay_too_long = true;
  CHECK(decide(p, {}, rules_say_stop, 0).stop == stop_reason::server_delay_too_long);
}

TEST_CASE("a server's delay that does not fit before the deadline stops at once") {
  CHECK(decide(steady, {}, asks_for(1min), 0).stop == stop_reason::deadline_too_near);
}

TEST_CASE("unlimited attempts end by the deadline alone") {
  policy p = steady;
  p.attempts = again::unlimited;
  CHECK(decide(p, {.attempt = std::numeric_limits<int>::max() - 1}, {}, 0).again);
  CHECK(decide(p, {.attempt = std::numeric_limits<int>::max()}, {}, 0).again);
  CHECK(decide(p, {.attempt = 5, .elapsed = 1min}, {}, 0).stop == stop_reason::deadline_reached);
}

TEST_CASE("a random backoff continues from the state that the last decision returned") {
  policy p = steady;
  p.backoff = again::decorrelated(1s, 20s);
  const decision first = decide(p, {}, {}, 0.999999);
  CHECK(first.wait > 2900ms);
  CHECK(decide(p, {.attempt = 2, .state = first.state}, {}, 0.999999).wait > 8s);
  CHECK(decide(p, {.attempt = 2}, {}, 0.999999).wait <= 3s);
  CHECK(decide(p, {.attempt = 4, .state = first.state}, {}, 0).state == first.state);
}

TEST_CASE("no policy, progress, verdict or draw makes a wait that is negative or passes what is left") {
  again::random_stream random{29};
  const auto pick = [&](const std::vector<duration>& from) {
    return from[static_cast<std::size_t>(random.bits() % from.size())];
  };
  const std::vector<duration> spans{0ns, 1ns, 1us, 1s, 1h, forever / 3, forever - 1ns, forever};
  const std::vector<duration> wishes{duration{-1}, -1h, 0ns, 1ns, 1s, 1h, forever - 1ns, forever};
  int stops = 0;
  for (int i = 0; i < 200'000; ++i) {
    policy p;
    p.attempts = random.bits() % 2 == 0 ? 1 + static_cast<int>(random.bits() % 10) : again::unlimited;
    const duration base = pick(spans);
    const duration cap = std::max(base, pick(spans));
    switch (random.bits() % 6) {
      case 0: p.backoff = again::constant(base); break;
      case 1: p.backoff = again::linear(base, cap); break;
      case 2: p.backoff = again::exponential(base, cap, 1 + static_cast<double>(random.bits() % 100)); break;
      case 3: p.backoff = again::fibonacci(base, cap); break;
      case 4: p.backoff = again::decorrelated(base, cap); break;
      default: p.backoff = again::polly_v2(base, cap); break;
    }
    p.jitter = random.bits() % 2 == 0 ? jitter::full : jitter::proportional(random.draw());
    p.deadline = std::max<duration>(1ns, pick(spans));
    p.server_delay_max = pick(spans);
    p.server_delay_over = random.bits() % 2 == 0 ? again::over_max::stop : again::over_max::cap;
    const progress at{.attempt = 1 + static_cast<int>(random.bits() % 3000),
                      .elapsed = pick(spans),
                      .inherited = pick(wishes),
                      .nested = random.bits() % 16 == 0};
    verdict v;
    v.server_delay = pick(wishes);
    const decision d = decide(p, at, v, random.draw());
    stops += !d.again;
    if (!d.again) continue;
    REQUIRE(d.wait >= 0ns);
    REQUIRE((at.inherited == forever || d.wait < at.inherited));
    REQUIRE((p.deadline == forever || d.wait < p.deadline - at.elapsed));
    REQUIRE((v.server_delay < 0ns || d.wait >= std::min<again::duration>(v.server_delay, p.server_delay_max)));
    REQUIRE((d.by == wait_by::none) == (d.wait == 0ns));
    if (v.server_delay <= 0ns) REQUIRE(d.wait <= p.backoff.cap);
  }
  CHECK(stops > 1000);
  CHECK(stops < 199'000);
}

TEST_CASE("each origin of a wait has a name") {
  CHECK(again::name(wait_by::none) == "none");
  CHECK(again::name(wait_by::backoff) == "backoff");
  CHECK(again::name(wait_by::server) == "server");
}
