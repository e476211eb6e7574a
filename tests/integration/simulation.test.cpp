// SPDX-License-Identifier: MIT
// Promise 10: the same code in pretend time. Promise 3: what explain and worst_case predict is what happens.
#include <again/core/random.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/policy/explain.hpp>
#include <again/retry.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

using namespace std::chrono_literals;
using again::duration;
using again::policy;
using again::retry;
using again::task;
using again_test::fail;
using again_test::outcome;

namespace {

struct event {
  again::time_point when;
  int client;
  int attempt;
  duration wait;
  friend bool operator==(const event&, const event&) = default;
};

// A thousand clients call every minute or so for two hours; the server is down for the second half hour and the third.
struct outage {
  again::virtual_clock time;
  again::run_loop loop;
  std::vector<event> trace;
  int sends = 0;
  int successes = 0;
  int failures = 0;
  explicit outage(std::uint64_t seed) : loop{time, seed} { trace.reserve(1'000'000); }

  bool down() const {
    const duration t = time.now() - again::virtual_clock::start;
    return t >= 30min && t < 90min;
  }
  task<outcome> send() {
    ++sends;
    (void)co_await again::sleep_for(20ms);
    if (down()) co_return fail(503);
    co_return 200;
  }
  task<> client(int id) {
    const policy p{.attempts = 5, .backoff = again::exponential(500ms, 8s), .attempt_timeout = 2s, .deadline = 1min};
    (void)co_await again::sleep_for(std::chrono::milliseconds{30 * id});
    while (time.now() < again::virtual_clock::start + 2h) {
      auto result = co_await retry(p, [this] { return send(); }).observe([this, id](const again::attempt_record& r) {
        trace.push_back({time.now(), id, r.attempt, r.wait});
      });
      ++(result ? successes : failures);
      (void)co_await again::sleep_for(1min);
    }
  }
  task<> all() {
    again::scope clients{co_await again::get_context()};
    for (int id = 0; id < 1000; ++id) clients.spawn(client(id));
    co_await clients.join();
  }
  void run() { again::sync_wait(loop, all()); }
};

policy random_policy(again::random_stream& random) {
  const auto upto = [&](duration most) { return again::saturating_scale(most, random.draw()); };
  policy p;
  p.attempts = random.bits() % 5 == 0 ? again::unlimited : 1 + static_cast<int>(random.bits() % 8);
  const duration base = 1ms + upto(2s);
  const duration cap = base + upto(10s);
  switch (random.bits() % 7) {
    case 0: p.backoff = again::constant(base); break;
    case 1: p.backoff = again::linear(base, cap); break;
    case 2: p.backoff = again::exponential(base, cap, 1 + 3 * random.draw()); break;
    case 3: p.backoff = again::fibonacci(base, cap); break;
    case 4: p.backoff = again::fixed(base, 10ms + upto(1s), cap); break;
    case 5: p.backoff = again::decorrelated(base, cap); break;
    default: p.backoff = again::polly_v2(base, cap); break;
  }
  if (random.bits() % 8 == 0) p.backoff.first_at_once = true;
  switch (random.bits() % 4) {
    case 0: p.jitter = again::jitter::none; break;
    case 1: p.jitter = again::jitter::full; break;
    case 2: p.jitter = again::jitter::equal; break;
    default: p.jitter = again::jitter::proportional(random.draw()); break;
  }
  p.deadline = 100ms + upto(30s);
  switch (random.bits() % 3) {
    case 0: p.attempt_timeout = 10ms + upto(p.deadline - 10ms); break;
    case 1: p.attempt_timeout = again::forever; break;
    default: break;
  }
  return p;
}

}  // namespace

TEST_CASE("an hour's outage for a thousand clients runs twice with identical traces from one seed, and otherwise from "
          "another") {
  outage first{1};
  first.run();
  CHECK(first.time.now() >= again::virtual_clock::start + 2h);
  CHECK(first.successes > 50'000);
  CHECK(first.failures > 40'000);
  CHECK(first.sends == static_cast<int>(first.trace.size()));
  CHECK(first.sends < 5 * (first.successes + first.failures));
  {
    outage second{1};
    second.run();
    CHECK((first.trace == second.trace));
  }
  outage other{2};
  other.run();
  CHECK_FALSE((first.trace == other.trace));
}

TEST_CASE("no run of any policy makes more sends or takes longer than its worst case") {
  again::random_stream random{31};
  int at_most_sends = 0;
  int stopped_by_time = 0;
  for (int round = 0; round < 3000; ++round) {
    const policy p = random_policy(random);
    REQUIRE_FALSE(again::validate(p).has_value());
    const again::cost_bound worst = again::worst_case(p);
    again::virtual_clock time;
    again::run_loop loop{time, random.bits()};
    int sends = 0;
    const bool hangs = random.bits() % 3 == 0;
    const bool fast = random.bits() % 3 == 0;
    const auto op = [&]() -> task<outcome> {
      const int n = ++sends;
      const duration span = hangs ? 1h : fast ? 0s : again::saturating_scale(duration{2s}, random.draw());
      const bool slept = co_await again::sleep_for(span);
      co_return slept ? fail(n) : again_test::aborted(n);
    };
    const auto result = again::sync_wait(loop, retry(p, op));
    REQUIRE_FALSE(result.has_value());
    const again::failure<again_test::trouble>& f = result.error();
    REQUIRE(f.attempts() == sends);
    REQUIRE(sends <= worst.sends);
    REQUIRE(f.elapsed() <= worst.time);
    REQUIRE(f.elapsed() == time.now() - again::virtual_clock::start);
    REQUIRE(f.elapsed() <= p.deadline);
    at_most_sends += sends == worst.sends;
    stopped_by_time +=
        f.reason() == again::stop_reason::deadline_reached || f.reason() == again::stop_reason::deadline_too_near;
    // Each wait lies in the range that explain prints for it.
    for (std::size_t i = 0; i + 1 < f.trace().size(); ++i) {
      const again::attempt_record& r = f.trace()[i];
      const again::delay_range range = again::delay_bounds(p.backoff, p.jitter, r.attempt);
      REQUIRE(r.wait >= range.least);
      REQUIRE(r.wait <= range.most);
    }
  }
  CHECK(at_most_sends > 300);
  CHECK(stopped_by_time > 300);
}

TEST_CASE("explain prints one line for each attempt that can happen") {
  again::random_stream random{37};
  for (int round = 0; round < 200; ++round) {
    const policy p = random_policy(random);
    const std::string text = again::explain(p);
    const auto lines = std::count(text.begin(), text.end(), '\n');
    const int sends = again::worst_case(p).sends;
    const int shown = sends < 12 ? sends : 12;
    REQUIRE(lines == shown + (sends > 12 ? 2 : 1));
  }
}
