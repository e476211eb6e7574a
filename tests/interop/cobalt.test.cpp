// SPDX-License-Identifier: MIT
#include <again/asio.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "cobalt_under_test.hpp"
#include "stubborn_operations.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <exception>
#include <thread>

using namespace again_test;
using namespace std::chrono_literals;
namespace net = boost::asio;
namespace cobalt = boost::cobalt;

namespace {

// What a task of Cobalt gave; `stopped` as a number, since a result of Cobalt has a default.
int run(net::io_context& io, cobalt::task<int> what) {
  int result = -1;
  cobalt::spawn(io.get_executor(), std::move(what), [&](std::exception_ptr error, int r) {
    CHECK_FALSE(error);
    result = r;
  });
  io.run();
  return result;
}
int reason_of(const retried& r) { return r.has_value() ? -2 : static_cast<int>(r.error().reason()); }

}  // namespace

TEST_CASE("Cobalt: async_run with use_op goes on on the task's executor, on the same thread") {
  net::io_context io;
  std::atomic<int> sends{0};
  const std::thread::id here = std::this_thread::get_id();
  auto program = [&]() -> cobalt::task<int> {
    const retried r = co_await again::asio::async_run(again::retry(four_at_once, failing{&sends}), cobalt::use_op);
    CHECK(std::this_thread::get_id() == here);
    const std::thread::id ran_on = co_await again::asio::async_run(which_thread(), cobalt::use_op);
    CHECK(ran_on == here);
    co_return reason_of(r);
  };
  CHECK(run(io, program()) == static_cast<int>(again::stop_reason::attempts_exhausted));
  CHECK(sends == 4);
}

TEST_CASE("Cobalt: cancellation of a task ends a running attempt") {
  net::io_context io;
  std::atomic<bool> begun{false};
  net::cancellation_signal signal;
  int result = -1;
  auto inner = [&]() -> cobalt::task<int> {
    co_return reason_of(co_await again::asio::async_run(again::retry(patient, waiting{&begun}), cobalt::use_op));
  };
  auto program = [&]() -> cobalt::task<int> { co_return co_await inner(); };
  cobalt::spawn(
      io.get_executor(), program(),
      net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr /*cancelled*/, int r) { result = r; }));
  while (!begun) io.run_one();
  signal.emit(net::cancellation_type::all);
  io.run();
  CHECK(result == static_cast<int>(again::stop_reason::cancelled_in_attempt));
}

TEST_CASE("Cobalt: .within(duration) ends an attempt") {
  net::io_context io;
  std::atomic<bool> begun{false};
  auto program = [&]() -> cobalt::task<int> {
    co_return reason_of(
        co_await again::asio::async_run(again::retry(patient, waiting{&begun}).within(1ms), cobalt::use_op));
  };
  CHECK(run(io, program()) == static_cast<int>(again::stop_reason::deadline_reached));
}

TEST_CASE("Cobalt: a task in an again::task is spawned on an executor, and a timeout ends the retry in it") {
  net::io_context io;
  std::atomic<bool> begun{false};
  auto theirs = [&]() -> cobalt::task<int> {
    co_return reason_of(co_await again::asio::async_run(again::retry(patient, waiting{&begun}), cobalt::use_op));
  };
  auto op = [&]() -> again::task<outcome> {
    co_return outcome{co_await cobalt::spawn(io.get_executor(), theirs(), again::asio::use_expected)};
  };
  auto program = [&]() -> again::task<int> {
    const retried r = co_await again::timeout(5ms, op);
    // The task has ended with a result of its own, which says that it was stopped.
    CHECK((r.has_value() ? *r == static_cast<int>(again::stop_reason::cancelled_in_attempt)
                         : r.error().reason() == again::stop_reason::deadline_reached));
    co_return 1;
  };
  CHECK(again::asio::run(io, program()) == 1);
  CHECK(begun);
}
