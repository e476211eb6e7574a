// SPDX-License-Identifier: MIT
#include <again/coro/detail/stoppable_wait.hpp>
#include <again/coro/run_loop.hpp>
#include <again/coro/virtual_clock.hpp>

#include <doctest/doctest.h>

#include <optional>

using namespace std::chrono_literals;
using again::detail::stoppable_wait;
using again::detail::wait_end;

namespace {

// A loop under pretend time, a context on it, and a wait that notes how and when it ended.
struct bench {
  again::virtual_clock time;
  again::run_loop loop{time, 1};
  again::inplace_stop_source stop;
  again::context ctx = loop.root();
  int calls = 0;
  stoppable_wait wait;

  bench() { ctx.stop = stop.get_token(); }
  void begin(again::duration in, bool stoppable = true) {
    const again::time_point until = in == again::forever ? again::never : time.now() + in;
    wait.begin(ctx, until, {[](void* self) noexcept { ++static_cast<bench*>(self)->calls; }, this}, stoppable);
  }
  void run() {
    loop.run_until([] { return false; });  // until nothing is left to run
  }
};

}  // namespace

TEST_CASE("an undisturbed wait ends when its time is up") {
  bench b;
  const again::time_point start = b.time.now();
  b.begin(100ms);
  CHECK(b.wait.waiting());
  b.run();
  CHECK(b.calls == 1);
  CHECK_FALSE(b.wait.waiting());
  CHECK(b.wait.ended() == wait_end::elapsed);
  CHECK(b.time.now() - start == 100ms);
}

TEST_CASE("a stop request ends a wait in its turn, not from inside the request") {
  bench b;
  SUBCASE("during the wait") {
    b.begin(1h);
    b.stop.request_stop();
  }
  SUBCASE("before the wait") {
    b.stop.request_stop();
    b.begin(1h);
  }
  SUBCASE("without a time") {
    b.begin(again::forever);
    b.stop.request_stop();
  }
  CHECK(b.calls == 0);
  b.run();
  CHECK(b.calls == 1);
  CHECK(b.wait.ended() == wait_end::stopped);
  CHECK(b.loop.timers() == 0);
}

TEST_CASE("a wait that is not stoppable ignores a stop request") {
  bench b;
  b.begin(1s, false);
  b.stop.request_stop();
  b.run();
  CHECK(b.calls == 1);
  CHECK(b.wait.ended() == wait_end::elapsed);
}

TEST_CASE("the owner's call ends a wait in its turn, also after a stop request") {
  bench b;
  b.begin(1h);
  SUBCASE("alone") {}
  SUBCASE("after a stop request that has not run yet") { b.stop.request_stop(); }
  b.wait.call();
  CHECK(b.calls == 0);
  b.run();
  CHECK(b.calls == 1);
  CHECK(b.wait.ended() == wait_end::called);
  CHECK(b.loop.timers() == 0);
}

TEST_CASE("a cancelled or destroyed wait calls nothing, in whatever state it was") {
  bench b;
  std::optional<stoppable_wait> wait{std::in_place};
  const again::continuation k{[](void* self) noexcept { ++static_cast<bench*>(self)->calls; }, &b};
  wait->begin(b.ctx, b.time.now() + 1h, k);
  SUBCASE("armed") {}
  SUBCASE("posted by a stop request") { b.stop.request_stop(); }
  SUBCASE("posted by a call") { wait->call(); }
  SUBCASE("by cancel") { wait->cancel(); }
  wait.reset();
  b.run();
  CHECK(b.calls == 0);
  CHECK(b.loop.timers() == 0);
}

TEST_CASE("a wait may be begun again from its own continuation") {
  bench b;
  struct again_and_again {
    bench* b;
    int left = 3;
    static void over(void* self) noexcept {
      auto& me = *static_cast<again_and_again*>(self);
      if (--me.left > 0) me.b->wait.begin(me.b->ctx, me.b->time.now() + 1s, {&over, self});
    }
  } owner{&b};
  const again::time_point start = b.time.now();
  b.wait.begin(b.ctx, start + 1s, {&again_and_again::over, &owner});
  b.run();
  CHECK(owner.left == 0);
  CHECK(b.time.now() - start == 3s);
}
