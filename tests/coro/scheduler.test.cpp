// SPDX-License-Identifier: MIT
#include <again/coro/scheduler.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/retry.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;

namespace {

// A user's scheduler: passes calls on to a loop and counts them.
class counting_scheduler final : public again::scheduler {
 public:
  explicit counting_scheduler(again::run_loop& loop) : loop_{loop} {}
  again::time_point now() const noexcept override { return ++clock_reads, loop_.now(); }
  again::wall_time wall_now() const noexcept override { return loop_.wall_now(); }
  void post(again::work& w) noexcept override { ++posts, loop_.post(w); }
  void forget(again::work& w) noexcept override { loop_.forget(w); }
  void arm(again::timer& t, again::time_point when) override { ++arms, loop_.arm(t, when); }
  void disarm(again::timer& t) noexcept override { loop_.disarm(t); }
  bool here() const noexcept override { return loop_.here(); }
  std::uint64_t seed() noexcept override { return ++seeds, loop_.seed(); }

  mutable int clock_reads = 0;
  int posts = 0;
  int arms = 0;
  int seeds = 0;

 private:
  again::run_loop& loop_;
};

// Starts a startable on a scheduler and runs the loop behind it.
template <class S> auto run_on(again_test::world& w, again::scheduler& s, S&& startable) {
  bool done = startable.start({[](void* flag) noexcept { *static_cast<bool*>(flag) = true; }, &done}, s.root());
  w.loop.run_until([&] { return done; });
  return startable.take();
}

}  // namespace

TEST_CASE("a scheduler's root context has that scheduler, no stop token and no deadline") {
  again::run_loop loop;
  CHECK(loop.root().scheduler == &loop);
  CHECK_FALSE(loop.root().stop.stop_possible());
  CHECK(loop.root().deadline == again::never);
}

TEST_CASE("a retry runs on a user's scheduler") {
  again_test::world w;
  counting_scheduler own{w.loop};
  int sends = 0;
  auto op = again::retry(again::policy{.attempts = 3, .backoff = again::constant(1s), .jitter = again::jitter::none},
                         [&]() -> again::task<again_test::outcome> {
                           co_await again::yield();
                           if (++sends < 3) co_return again_test::fail(sends);
                           co_return 7;
                         });
  CHECK(*run_on(w, own, op()) == 7);
  CHECK(own.arms == 5);  // a timeout for each attempt, a wait between them
  CHECK(own.posts > 0);
  CHECK(w.elapsed() == 2s);
}

TEST_CASE("a seed is taken once, for the first wait, and not without a wait") {
  again_test::world w;
  counting_scheduler own{w.loop};
  again::policy p{.attempts = 4, .backoff = again::constant(1s)};
  int sends = 0;
  const auto seeds_for = [&](const again::policy& policy, auto response) {
    own.seeds = 0;
    sends = 0;
    auto op = again::retry(policy, [&]() -> again::task<again_test::outcome> { co_return response(++sends); });
    (void)run_on(w, own, op());
    return own.seeds;
  };
  CHECK(seeds_for(p, [](int) { return again_test::outcome{1}; }) == 0);
  CHECK(seeds_for(p, [](int) { return again_test::fail(1, again::disposition::permanent); }) == 0);
  CHECK(seeds_for(p, [](int n) { return n < 2 ? again_test::fail(1) : again_test::outcome{1}; }) == 1);
  CHECK(seeds_for(p, [](int) { return again_test::fail(1); }) == 1);
  p.attempts = 1;
  CHECK(seeds_for(p, [](int) { return again_test::fail(1); }) == 0);
  p.attempts = 4;
  p.jitter = again::jitter::none;
  CHECK(seeds_for(p, [](int) { return again_test::fail(1); }) == 0);
  p.jitter = again::jitter::full;
  p.backoff = again::constant(0s);
  CHECK(seeds_for(p, [](int) { return again_test::fail(1); }) == 0);
}

TEST_CASE("the clock is not read without a bound in time and without observers") {
  again_test::world w;
  counting_scheduler own{w.loop};
  const again::policy unbounded{
      .attempts = 3, .backoff = again::constant(0s), .attempt_timeout = again::forever, .deadline = again::forever};
  int sends = 0;
  auto op = again::retry(unbounded, [&]() -> again::task<again_test::outcome> {
    co_return ++sends < 3 ? again_test::fail(1) : again_test::outcome{1};
  });
  CHECK(run_on(w, own, op()).has_value());
  CHECK(sends == 3);
  CHECK(own.clock_reads == 0);
}
