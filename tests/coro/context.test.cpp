// SPDX-License-Identifier: MIT
#include <again/coro/context.hpp>

#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/retry/retry.hpp>

#include "support/far_loop.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <coroutine>
#include <exception>
#include <thread>
#include <type_traits>
#include <utility>

namespace {
struct knows {
  const again::context* context() const noexcept { return nullptr; }
};
struct returns_something_else {
  again::context* context() const noexcept { return nullptr; }
};
struct not_const {
  const again::context* context() noexcept { return nullptr; }
};

// A coroutine type of a user whose promise has a context. It starts on whichever thread calls `resume`.
class with_context {
 public:
  struct promise_type {
    const again::context* given;
    template <class... Rest> explicit promise_type(const again::context& ctx, Rest&...) : given{&ctx} {}
    template <class Lambda, class... Rest>
    explicit promise_type(const Lambda&, const again::context& ctx, Rest&...) : given{&ctx} {}
    const again::context* context() const noexcept { return given; }
    with_context get_return_object() { return with_context{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static std::suspend_always final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    static void unhandled_exception() noexcept { std::terminate(); }
  };
  with_context(with_context&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  with_context(const with_context&) = delete;
  with_context& operator=(const with_context&) = delete;
  ~with_context() {
    if (frame_) frame_.destroy();
  }
  void resume() { frame_.resume(); }

 private:
  explicit with_context(std::coroutine_handle<promise_type> frame) : frame_{frame} {}
  std::coroutine_handle<promise_type> frame_;
};
}  // namespace

static_assert(again::context_provider<knows>);
static_assert(!again::context_provider<returns_something_else> && !again::context_provider<not_const> &&
              !again::context_provider<int>);
static_assert(std::is_trivially_copyable_v<again::context>);

TEST_CASE("a default context has no stop token, no deadline, and is not repeated") {
  const again::context none;
  CHECK(none.scheduler == nullptr);
  CHECK_FALSE(none.stop.stop_possible());
  CHECK(none.deadline == again::never);
  CHECK(none.kind == again::deadline_kind::none);
  CHECK_FALSE(none.repeated);
}

TEST_CASE("a promise whose context names the loop of another thread: its awaits start, and it goes on, over there") {
  again_test::far_loop far;
  again::inplace_stop_source stop;
  again::context ctx = far.loop.root();
  ctx.stop = stop.get_token();
  std::atomic<int> step{0};
  const auto body = [&](const again::context&) -> with_context {
    const bool before = far.loop.here();
    const bool slept = co_await again::sleep_for(std::chrono::milliseconds{1});
    step = !before && slept && far.loop.here() ? 1 : -1;
    auto failed = co_await again::retry(
        {.attempts = 3, .backoff = again::constant(std::chrono::hours{1}), .deadline = std::chrono::hours{5}},
        [&]() -> again::task<again_test::outcome> {
          step = 2;
          co_return again_test::fail(1);
        });
    step = far.loop.here() && again::cancelled(failed.error().reason()) ? 3 : -3;
  };
  auto coroutine = body(ctx);
  coroutine.resume();  // on this thread, which does not run that loop
  while (step != 2) std::this_thread::yield();
  stop.request_stop();
  while (step == 2) std::this_thread::yield();
  CHECK(step == 3);
  // The loop's thread ends before the coroutine does.
  again::run_loop here;
  const auto join = [&]() -> again::task<again_test::outcome> { co_return 1; };
  CHECK(again::sync_wait(here, again::retry({.attempts = 1}, join).on(far.loop)).has_value());
}

TEST_CASE("a promise whose loop runs elsewhere may be destroyed before its await has arrived there") {
  again_test::world w;
  {
    const auto body = [&](const again::context&) -> with_context {
      (void)co_await again::sleep_for(std::chrono::hours{1});
    };
    auto coroutine = body(w.loop.root());
    coroutine.resume();
  }
  CHECK_FALSE(w.loop.run());
  CHECK(w.elapsed() == again::duration{0});
}
