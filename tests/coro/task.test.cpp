// SPDX-License-Identifier: MIT
#include <again/coro/task.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>

#include "support/counting_new.hpp"
#include "support/stack_depth.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

using namespace std::chrono_literals;
using again::task;
using again_test::world;

static_assert(std::is_nothrow_move_constructible_v<task<int>> && !std::is_copy_constructible_v<task<int>>);

namespace {

task<int> number(int n) { co_return n; }
task<std::unique_ptr<int>> moved(int n) { co_return std::make_unique<int>(n); }
task<int&> reference(int& n) { co_return n; }
task<> nothing() { co_return; }
task<int> thrower() {
  throw std::runtime_error{"thrown"};
  co_return 0;
}

struct leaves_mark {
  int& mark;
  explicit leaves_mark(int& m) : mark{m} {}
  leaves_mark(const leaves_mark&) = delete;
  leaves_mark& operator=(const leaves_mark&) = delete;
  ~leaves_mark() { ++mark; }
};
task<> sleeps_with(int& mark) {
  const leaves_mark guard{mark};
  (void)co_await again::sleep_for(1h);
}
task<> waits_for(int& mark) {
  const leaves_mark guard{mark};
  co_await sleeps_with(mark);
}

task<int> recursive(int depth, again_test::stack_depth& stack) {
  stack.here();
  if (depth == 0) co_return 0;
  co_return 1 + co_await recursive(depth - 1, stack);
}
task<int> recursive_late(int depth, again_test::stack_depth& stack) {
  stack.here();
  if (depth == 0) {
    co_await again::yield();
    co_return 0;
  }
  co_return 1 + co_await recursive_late(depth - 1, stack);
}

}  // namespace

TEST_CASE("a task gives values, references, nothing, and move-only types") {
  CHECK(again::sync_wait(number(7)) == 7);
  CHECK(*again::sync_wait(moved(8)) == 8);
  int n = 9;
  CHECK(&again::sync_wait(reference(n)) == &n);
  again::sync_wait(nothing());
}

TEST_CASE("a task is lazy: if it is never awaited it never runs, and its parameters are destroyed with it") {
  int mark = 0;
  {
    auto never = [](std::unique_ptr<leaves_mark>) -> task<> {
      FAIL("ran");
      co_return;
    };
    auto t = never(std::make_unique<leaves_mark>(mark));
    CHECK(mark == 0);
  }
  CHECK(mark == 1);
}

TEST_CASE("an exception that leaves a task is rethrown where it is awaited") {
  CHECK_THROWS_WITH_AS((void)again::sync_wait(thrower()), "thrown", std::runtime_error);
  const auto outer = []() -> task<std::string> {
    try {
      co_return std::to_string(co_await thrower());
    } catch (const std::runtime_error& e) { co_return e.what(); }
  };
  CHECK(again::sync_wait(outer()) == "thrown");
}

TEST_CASE("an exception from a destructor after co_return is what the task throws") {
  struct throws_late {
    ~throws_late() noexcept(false) { throw std::runtime_error{"late"}; }
  };
  const auto t = []() -> task<std::string> {
    const throws_late guard;
    co_return "value";
  };
  CHECK_THROWS_WITH_AS((void)again::sync_wait(t()), "late", std::runtime_error);
}

TEST_CASE("a task can be moved before it has started, and assignment destroys the old one") {
  int mark = 0;
  auto make = [](std::unique_ptr<leaves_mark>, int n) -> task<int> { co_return n; };
  auto a = make(std::make_unique<leaves_mark>(mark), 1);
  auto b = std::move(a);
  auto c = make(std::make_unique<leaves_mark>(mark), 2);
  c = std::move(b);
  CHECK(mark == 1);
  CHECK(again::sync_wait(std::move(c)) == 1);
}

TEST_CASE("destroying a suspended task ends what it awaits and leaves nothing on the loop") {
  world w;
  int mark = 0;
  {
    task<> t = waits_for(mark);
    CHECK_FALSE(t.start({[](void*) noexcept { FAIL("finished"); }, nullptr}, w.loop.root()));
    CHECK(w.loop.timers() == 1);
    CHECK(mark == 0);
  }
  CHECK(mark == 2);
  CHECK(w.loop.timers() == 0);
  CHECK_FALSE(w.loop.run());
}

TEST_CASE("destroying a task that has finished and posted its continuation forgets the post") {
  world w;
  bool told = false;
  {
    const auto late = []() -> task<> { co_await again::yield(); };
    task<> t = late();
    CHECK_FALSE(t.start({[](void* flag) noexcept { *static_cast<bool*>(flag) = true; }, &told}, w.loop.root()));
    bool once = false;
    w.loop.run_until([&] { return std::exchange(once, true); });  // a single callback: the yield, which ends the task
  }
  CHECK_FALSE(w.loop.run());
  CHECK_FALSE(told);
}

TEST_CASE("a million awaits in a loop need constant stack and constant memory") {
  world w;
  again_test::stack_depth stack;
  const auto leaf = [&]() -> task<int> {
    stack.here();
    co_return 1;
  };
  const auto loop = [&]() -> task<int> {
    int sum = 0;
    for (int i = 0; i < 1'000'000; ++i) sum += co_await leaf();
    co_return sum;
  };
  again_test::reset_most_live_blocks();
  const std::size_t before = again_test::live_blocks();
  CHECK(w.run(loop()) == 1'000'000);
  CHECK(stack.bytes() < again_test::constant_stack);
  CHECK(again_test::most_live_blocks() - before < 20);
}

TEST_CASE("a chain of a million tasks needs constant stack, whether the last finishes at once or later") {
  world w;
  again_test::stack_depth stack;
  CHECK(w.run(recursive(1'000'000, stack)) == 1'000'000);
  CHECK(w.run(recursive_late(1'000'000, stack)) == 1'000'000);
  CHECK(stack.bytes() < again_test::constant_stack);
}

TEST_CASE("frames are recycled: in steady state a task allocates nothing") {
  if (!again::detail::recycle_frames) {
    MESSAGE("not measured: frames are not recycled under AddressSanitizer");
    return;
  }
  world w;
  const auto measured = []() -> task<std::size_t> {
    co_await nothing();
    const std::size_t before = again_test::allocations();
    for (int i = 0; i < 1000; ++i) (void)co_await number(i);
    co_return again_test::allocations() - before;
  };
  (void)w.run(measured());
  CHECK(w.run(measured()) == 0);
}
