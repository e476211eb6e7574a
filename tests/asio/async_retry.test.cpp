// SPDX-License-Identifier: MIT
#include <again/asio/async_retry.hpp>

#include <again/asio/error.hpp>
#include <again/asio/use_expected.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/task.hpp>
#include <again/protection/hedge.hpp>
#include <again/retry/timeout.hpp>

#include "asio_under_test.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <optional>

using again_test::fail;
using again_test::outcome;
using namespace std::chrono_literals;

namespace {

constexpr auto quick = again::checked({.attempts = 4, .backoff = again::constant(100us), .deadline = 1min});
using retried = again::expected<int, again::failure<again_test::trouble>>;

}  // namespace

TEST_CASE("async_retry retries, in a coroutine of Asio") {
  net::io_context io;
  int sends = 0;
  std::optional<retried> seen;
  auto body = [](int& n, std::optional<retried>& to) -> net::awaitable<void> {
    auto op = [&n]() -> again::task<outcome> {
      if (++n < 3) co_return fail(n);
      co_return 7;
    };
    to = co_await again::asio::async_retry(quick, op);
  };
  net::co_spawn(io, body(sends, seen), net::detached);
  io.run();
  CHECK(**seen == 7);
  CHECK(sends == 3);
}

TEST_CASE("the failure has everything: the last error, the reason, the attempts") {
  net::io_context io;
  int sends = 0;
  std::optional<retried> seen;
  const auto op = [&]() -> again::task<outcome> { co_return fail(++sends); };
  again::asio::async_retry(io, quick, op, [&](std::exception_ptr, retried r) { seen = std::move(r); });
  io.run();
  REQUIRE_FALSE(seen->has_value());
  CHECK(seen->error().reason() == again::stop_reason::attempts_exhausted);
  CHECK(seen->error().error()->number == 4);
  CHECK(seen->error().attempts() == 4);
}

TEST_CASE("a policy that is not checked yet is checked now") {
  net::io_context io;
  const auto op = []() -> again::task<outcome> { co_return 1; };
  CHECK_THROWS_AS(again::asio::async_retry(io, again::policy{.attempts = 0}, op, net::detached), std::invalid_argument);
}

TEST_CASE("async_run of a retry takes hooks and combinators") {
  net::io_context io;
  int sends = 0;
  int observed = 0;
  std::optional<retried> seen;
  const auto op = [&]() -> again::task<outcome> {
    if (++sends < 2) co_return fail(1);
    co_return 5;
  };
  again::asio::async_run(io, again::retry(quick, op).observe([&](const again::attempt_record&) { ++observed; }),
                         [&](std::exception_ptr, retried r) { seen = std::move(r); });
  io.run();
  CHECK(**seen == 5);
  CHECK(observed == 2);
}

TEST_CASE("the deadline ends a wait and a running attempt on Asio's clock") {
  net::io_context io;
  std::optional<retried> seen;
  const auto op = []() -> again::task<outcome> {
    (void)co_await again::sleep(1h);
    co_return again_test::aborted(1);
  };
  again::asio::async_retry(io, again::checked({.attempts = 4, .deadline = 2ms}), op,
                           [&](std::exception_ptr, retried r) { seen = std::move(r); });
  io.run();
  CHECK(seen->error().reason() == again::stop_reason::deadline_reached);
}

TEST_CASE("cancelled during the wait between two attempts, it says so and keeps the last error") {
  net::io_context io;
  net::cancellation_signal signal;
  std::optional<retried> seen;
  const auto op = []() -> again::task<outcome> { co_return fail(9); };
  again::asio::async_retry(
      io,
      again::checked({.attempts = 2, .backoff = again::constant(1h), .jitter = again::jitter::none, .deadline = 10h}),
      op, net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, retried r) { seen = std::move(r); }));
  io.poll();
  CHECK_FALSE(seen.has_value());
  signal.emit(net::cancellation_type::total);
  io.run();
  CHECK(seen->error().reason() == again::stop_reason::cancelled_in_delay);
  CHECK(seen->error().error()->number == 9);
}

TEST_CASE("an operation of Asio is retried by its error_code") {
  net::io_context io;
  int sends = 0;
  net::ip::tcp::acceptor nobody{io, {net::ip::address_v4::loopback(), 0}};
  const auto peer = nobody.local_endpoint();
  nobody.close();
  net::ip::tcp::socket socket{io};
  auto op = [&] {
    ++sends;
    socket = net::ip::tcp::socket{io};  // Linux: after a refused connect, the next one on that socket is aborted
    return socket.async_connect(peer, again::asio::use_expected);
  };
  using connected = again::expected<void, again::failure<error_code>>;
  std::optional<connected> seen;
  again::asio::async_retry(io, quick, op, [&](std::exception_ptr, connected r) { seen = std::move(r); });
  io.run();
  CHECK(sends == 4);
  CHECK(*seen->error().error() == error_code(net::error::connection_refused));
  CHECK(seen->error().reach() == again::reach::not_sent);
}
