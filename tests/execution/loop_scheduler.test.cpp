// SPDX-License-Identifier: MIT
#include <again/execution/loop_scheduler.hpp>

#include <again/coro/run_loop.hpp>
#include <again/coro/virtual_clock.hpp>

#include "execution_under_test.hpp"
#include "support/counting_new.hpp"
#include "support/far_loop.hpp"

#include <doctest/doctest.h>

using again::execution::loop_scheduler;
using namespace std::chrono_literals;

static_assert(ex::scheduler<loop_scheduler>);

TEST_CASE("a loop is a scheduler of P2300: equal for the same loop, with parallel forward progress") {
  again::run_loop one, two;
  CHECK(loop_scheduler{one} == loop_scheduler{one});
  CHECK(loop_scheduler{one} != loop_scheduler{two});
  CHECK(ex::get_forward_progress_guarantee(loop_scheduler{one}) == ex::forward_progress_guarantee::parallel);
  CHECK(ex::get_completion_scheduler<ex::set_value_t>(ex::get_env(ex::schedule(loop_scheduler{two}))) ==
        loop_scheduler{two});
}

TEST_CASE("schedule completes on the loop's thread, and never inside start") {
  again_test::far_loop far;
  const auto here = ex::sync_wait(ex::schedule(loop_scheduler{far.loop}) | ex::then([&] { return far.loop.here(); }));
  CHECK(std::get<0>(*here));

  again::run_loop loop;
  again_test::kept_end end;
  auto operation =
      ex::connect(ex::schedule(loop_scheduler{loop}), again_test::keeping_receiver<ex::never_stop_token>{&end, {}});
  int before = -1;
  (void)loop.run_until([&] {
    if (before < 0) {
      ex::start(operation);
      before = end.all();
    }
    return end.all() != 0;
  });
  CHECK(before == 0);
  CHECK(end.values == 1);
}

TEST_CASE("work whose stop was requested before its turn completes as stopped") {
  again::run_loop loop;
  ex::inplace_stop_source source;
  source.request_stop();
  CHECK(again_test::run_on(loop, ex::schedule(loop_scheduler{loop}), source.get_token()).stops == 1);
}

TEST_CASE("schedule_after and schedule_at wait on the loop's clock") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  const loop_scheduler on_loop{loop};
  CHECK(again_test::run_on(loop, on_loop.schedule_after(1h)).values == 1);
  CHECK(time.now() == again::virtual_clock::start + 1h);
  CHECK(on_loop.now() == time.now());
  CHECK(again_test::run_on(loop, on_loop.schedule_at(again::virtual_clock::start + 3h)).values == 1);
  CHECK(time.now() == again::virtual_clock::start + 3h);
  CHECK(again_test::run_on(loop, on_loop.schedule_at(again::virtual_clock::start)).values == 1);  // has passed
  CHECK(time.now() == again::virtual_clock::start + 3h);
}

TEST_CASE("a stop request wakes a timed wait at once") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  const loop_scheduler on_loop{loop};
  const auto end =
      again_test::run_on(loop, exec_parts::when_any(on_loop.schedule_after(1h), on_loop.schedule_after(2s)));
  CHECK(end.values == 1);
  CHECK(time.now() == again::virtual_clock::start + 2s);
}

TEST_CASE("a loop as a scheduler allocates nothing") {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  CHECK(again_test::run_on(loop, loop_scheduler{loop}.schedule_after(1s)).values == 1);
  const std::size_t before = again_test::allocations();
  CHECK(again_test::run_on(loop, ex::schedule(loop_scheduler{loop})).values == 1);
  CHECK(again_test::run_on(loop, loop_scheduler{loop}.schedule_after(1s)).values == 1);
  CHECK(again_test::allocations() == before);
}
