// SPDX-License-Identifier: MIT
// What one `co_await` of a trivial lazy task costs, and a chain of them.
#include "harness.hpp"

#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>

#include <coroutine>
#include <exception>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

namespace {

namespace asio = boost::asio;

// The least a lazy task can be: allocates its frame, resumes its awaiter by symmetric transfer, knows no scheduler, no stop,
// no exceptions. What a page about coroutines shows.
struct textbook {
  struct promise_type {
    std::coroutine_handle<> then;
    int value = 0;
    textbook get_return_object() noexcept { return textbook{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct last {
      static bool await_ready() noexcept { return false; }
      static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        return h.promise().then;
      }
      static void await_resume() noexcept {}
    };
    static last final_suspend() noexcept { return {}; }
    void return_value(int v) noexcept { value = v; }
    [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
  };
  explicit textbook(std::coroutine_handle<promise_type> h) noexcept : frame{h} {}
  textbook(textbook&& other) noexcept : frame{std::exchange(other.frame, nullptr)} {}
  textbook(const textbook&) = delete;
  textbook& operator=(const textbook&) = delete;
  ~textbook() {
    if (frame) frame.destroy();
  }
  static bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) const noexcept {
    frame.promise().then = h;
    return frame;
  }
  int await_resume() const noexcept { return frame.promise().value; }
  std::coroutine_handle<promise_type> frame;
};

[[gnu::noinline]] textbook textbook_one(int x) { co_return x; }
textbook textbook_many(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum ^= co_await textbook_one(static_cast<int>(i));
  co_return sum;
}

[[gnu::noinline]] again::task<int> one(int x) { co_return x; }
again::task<int> many(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum ^= co_await one(static_cast<int>(i));
  co_return sum;
}
[[gnu::noinline]] again::task<int> nested(int depth) {
  if (depth == 0) co_return 1;
  co_return co_await nested(depth - 1);
}
again::task<int> many_nested(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += co_await nested(9);
  co_return sum;
}

[[gnu::noinline]] asio::awaitable<int> asio_one(int x) { co_return x; }
asio::awaitable<void> asio_many(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum ^= co_await asio_one(static_cast<int>(i));
  bench::keep(sum);
}
[[gnu::noinline]] asio::awaitable<int> asio_nested(int depth) {
  if (depth == 0) co_return 1;
  co_return co_await asio_nested(depth - 1);
}
asio::awaitable<void> asio_many_nested(std::size_t n) {
  int sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += co_await asio_nested(9);
  bench::keep(sum);
}
void asio_run(asio::awaitable<void> all) {
  asio::io_context loop{1};
  asio::co_spawn(loop, std::move(all), asio::detached);
  loop.run();
}

[[gnu::noinline]] int plain(int x) {
  bench::keep(x);
  return x;
}

}  // namespace

int main(int argc, char** argv) {
  bench::suite s{"await", argc, argv};
  s.add("one await", "again::task", [](std::size_t n) { bench::keep(again::sync_wait(many(n))); });
  s.add("one await", "boost::asio::awaitable", [](std::size_t n) { asio_run(asio_many(n)); });
  s.add("one await", "textbook task", [](std::size_t n) {
    const textbook all = textbook_many(n);
    all.frame.promise().then = std::noop_coroutine();
    all.frame.resume();
    bench::keep(all.await_resume());
  });
  s.add("one await", "a function call", [](std::size_t n) {
    int sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum ^= plain(static_cast<int>(i));
    bench::keep(sum);
  });
  s.add("ten awaits deep", "again::task", [](std::size_t n) { bench::keep(again::sync_wait(many_nested(n))); });
  s.add("ten awaits deep", "boost::asio::awaitable", [](std::size_t n) { asio_run(asio_many_nested(n)); });
  s.add_goal({.text = "one co_await / Boost.Asio's",
              .group = "one await",
              .who = "again::task",
              .against_group = {},
              .against = "boost::asio::awaitable",
              .limit = 0.75});
  s.add_goal({.text = "allocations of one co_await",
              .group = "one await",
              .who = "again::task",
              .against_group = {},
              .against = {},
              .limit = 0,
              .metric = "allocations"});
  return s.run();
}
