// SPDX-License-Identifier: MIT
#include <again/asio/run.hpp>

#include <again/coro/default_loop.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/retry/retry.hpp>

#include "asio_under_test.hpp"
#include "support/minimal_coroutine.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;

TEST_CASE("run gives the result of a task, an operation and a retry") {
  net::io_context io;
  const auto op = []() -> again::task<again_test::outcome> { co_return 3; };
  CHECK(*again::asio::run(io, op()) == 3);
  CHECK(*again::asio::run(io, op) == 3);  // the context was stopped by the first
  CHECK(*again::asio::run(io, again::retry(again::policy{}, op)) == 3);
  int n = 0;
  again::asio::run(io, [&]() -> again::task<> {
    n = 1;
    co_return;
  });
  CHECK(n == 1);
  CHECK(*again::asio::run(io, []() -> again::task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); }) == 5);
}

TEST_CASE("run rethrows") {
  net::io_context io;
  const auto op = []() -> again::task<int> {
    co_await again::yield();
    throw std::runtime_error{"no luck"};
  };
  CHECK_THROWS_WITH_AS((void)again::asio::run(io, op), "no luck", std::runtime_error);
}

TEST_CASE("everything runs on the calling thread, with other handlers of the context in between") {
  net::io_context io;
  bool other = false;
  const auto op = [&]() -> again::task<bool> {
    net::post(io, [&] { other = true; });
    const auto here = std::this_thread::get_id();
    (void)co_await again::sleep(1ms);
    co_return here == std::this_thread::get_id();
  };
  CHECK(again::asio::run(io, op));
  CHECK(other);
}

TEST_CASE("a context that is stopped meanwhile is a logic_error, and what was awaited goes on later") {
  net::io_context io;
  auto finished = std::make_shared<bool>(false);
  const auto op = [&io, finished]() -> again::task<> {
    io.stop();
    (void)co_await again::sleep(1ms);
    *finished = true;
  };
  CHECK_THROWS_AS(again::asio::run(io, op), std::logic_error);
  CHECK_FALSE(*finished);
  io.restart();
  io.run();
  CHECK(*finished);
}

TEST_CASE("a result that another thread of the context has got ends run, whatever else the context waits for") {
  for (int i = 0; i < 50; ++i) {
    net::io_context io;
    auto at_work = net::make_work_guard(io);
    net::steady_timer much_later{io, 1h};
    much_later.async_wait([](const auto&) {});
    std::thread other{[&] { io.run(); }};
    const auto op = [&]() -> again::task<int> {
      (void)co_await again::sleep(again::duration{(i % 5) * 100us});
      co_return 3;
    };
    CHECK(again::asio::run(io, op) == 3);
    at_work.reset();
    much_later.cancel();
    other.join();
  }
}

TEST_CASE("run is refused on the thread of the default loop, as sync_wait is") {
  const auto op = []() -> again::task<int> { co_return 3; };
  const auto theirs = [&]() -> again_test::promised<std::string> {
    (void)co_await again::sleep_for(1ms);  // the coroutine goes on on the default loop
    try {
      net::io_context io;
      (void)again::asio::run(io, op);
    } catch (const std::logic_error& e) { co_return e.what(); }
    co_return "not refused";
  };
  CHECK(theirs().get().find("default loop") != std::string::npos);
}
