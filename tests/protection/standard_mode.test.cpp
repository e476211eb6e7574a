// SPDX-License-Identifier: MIT
// The AWS SDKs' standard mode, beyond what a status says (that is in retry_guards.test.cpp): the server's wish, and causes of
// different weight. What an AWS error says to a retry is classified in docs/examples/aws.cpp; here is what a retry does with it.
#include <again/coro/task.hpp>
#include <again/protection/budget.hpp>
#include <again/retry.hpp>
#include <again/testing.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;

namespace {

constexpr again::policy v2_1{.attempts = 3,
                             .backoff = again::exponential(50ms, 20s),
                             .jitter = again::jitter::none,
                             .attempt_timeout = again::forever,
                             .deadline = again::forever,
                             .server_delay_max = 5s,
                             .server_delay_over = again::over_max::cap};
constexpr again::policy v2_0 = [] {
  again::policy p = v2_1;
  p.backoff = again::exponential(1s, 20s);
  p.server_delay_max = 20s;
  return p;
}();

struct answered {
  int status = 0;
  again::duration server_delay{-1};
  again::verdict verdict() const {
    return {.reach = again::reach::answered, .server_delay = server_delay, .code = status};
  }
};

struct course {
  std::vector<again::duration> waits;
  std::vector<int> quota;
};
course run(const again::policy& p, const std::vector<answered>& responses, again::budgets::tokens kind) {
  world w;
  again::budget shared{kind};
  again::testing::script<int, answered> service{answered{}};
  for (const answered& a : responses) a.status == 200 ? service.gives(1) : service.fails(a);
  course seen;
  auto op = again::retry(p, std::ref(service)).budget(shared).observe([&](const again::attempt_record&) {
    seen.quota.push_back(static_cast<int>(shared.balance(w.time.now())));
  });
  (void)w.run(op());
  seen.waits = service.waits();
  return seen;
}
course run_v2_1(const std::vector<answered>& responses) { return run(v2_1, responses, again::budgets::aws_v2_1); }
constexpr again::duration unsaid{-1};
using waits = std::vector<again::duration>;

}  // namespace

TEST_CASE("v2.0: a server's hint of 30 s is cut to the cap of 20 s") {
  const course c = run(v2_0, {{503, 30s}, {200}}, again::budgets::aws_v2_0);
  CHECK(c.waits == waits{20s});
}

TEST_CASE(
    "v2.1: a server's wish between the backoff and the maximum is the wait; what says nothing leaves the backoff") {
  CHECK(run_v2_1({{500, 1500ms}, {200}}).waits == waits{1500ms});
  CHECK(run_v2_1({{500, 0ms}, {200}}).waits == waits{50ms});
  CHECK(run_v2_1({{500, unsaid}, {200}}).waits == waits{50ms});                    // "invalid", and −100
  CHECK(run_v2_1({{500, 30ms}, {500, 30ms}, {200}}).waits == waits{50ms, 100ms});  // below the backoff
}

TEST_CASE("v2.1: a wish beyond the maximum is cut to it (the SDKs': to the maximum above their own backoff)") {
  CHECK(run_v2_1({{500, 10s}, {200}}).waits == waits{5s});
}

TEST_CASE("v2.1: a throttled call's first wait is a second and costs 5, between transient ones of 14") {
  const course c = run_v2_1({{400, 1s}, {500, unsaid}, {200}});
  CHECK(c.waits == waits{1s, 100ms});
  CHECK(c.quota == std::vector<int>{495, 481, 495});
}

TEST_CASE("v2.1: a response that says how long to wait counts as throttled in the budget") {
  CHECK(run_v2_1({{500, 1500ms}, {200}}).quota == std::vector<int>{495, 500});
  CHECK(run_v2_1({{500, unsaid}, {200}}).quota == std::vector<int>{486, 500});
}
