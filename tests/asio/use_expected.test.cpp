// SPDX-License-Identifier: MIT
#include <again/asio/use_expected.hpp>

#include <again/asio/async_run.hpp>
#include <again/asio/run.hpp>
#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>
#include <again/coro/when_any.hpp>
#include <again/retry/retry.hpp>
#include <again/retry/timeout.hpp>

#include "asio_under_test.hpp"
#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using again::asio::use_expected;
using net::ip::tcp;
using namespace std::chrono_literals;

namespace {

template <class T> using result = again::expected<T, error_code>;

struct connected_pair {
  explicit connected_pair(net::io_context& io) : near{io}, far{io} {
    tcp::acceptor acceptor{io, {net::ip::address_v4::loopback(), 0}};
    near.connect(acceptor.local_endpoint());
    far = acceptor.accept();
  }
  tcp::socket near;
  tcp::socket far;
};

// An asynchronous operation that keeps its handler until the test calls or drops it.
struct kept_handler {
  virtual ~kept_handler() = default;
  virtual void call(error_code, int, std::string) = 0;
};
template <class Handler> struct holder final : kept_handler {
  explicit holder(Handler&& given) : handler{std::move(given)} {}
  void call(error_code e, int n, std::string s) override { std::move(handler)(e, n, std::move(s)); }
  Handler handler;
};
struct keep_handler {
  using executor_type = net::io_context::executor_type;
  std::unique_ptr<kept_handler>* to;
  executor_type executor;
  executor_type get_executor() const noexcept { return executor; }
  template <class Handler> void operator()(Handler&& h) const {
    *to = std::make_unique<holder<std::decay_t<Handler>>>(std::forward<Handler>(h));
  }
};
struct kept_operation {
  std::unique_ptr<kept_handler> handler;
  template <class Token> auto start(net::io_context& io, Token&& token) {
    return net::async_initiate<Token, void(error_code, int, std::string)>(keep_handler{&handler, io.get_executor()},
                                                                          token);
  }
};

struct throwing {
  template <class Handler> void operator()(Handler&& /*h*/) const { throw std::runtime_error{"no luck"}; }
};

}  // namespace

TEST_CASE("signatures: an error_code alone, with a value, with several; an exception; neither") {
  net::io_context io;
  connected_pair pair{io};
  kept_operation several;
  const auto program = [&]() -> again::task<> {
    net::steady_timer timer{io, 1ms};
    const result<void> waited = co_await timer.async_wait(use_expected);
    CHECK(waited.has_value());

    std::array<char, 8> buffer{};
    const result<std::size_t> written = co_await pair.near.async_write_some(net::buffer("abc", 3), use_expected);
    CHECK(*written == 3);
    const result<std::size_t> read = co_await pair.far.async_read_some(net::buffer(buffer), use_expected);
    CHECK(*read == 3);

    net::post(io, [&] { several.handler->call({}, 4, "four"); });
    const result<std::tuple<int, std::string>> both = co_await several.start(io, use_expected);
    CHECK(*both == std::tuple{4, std::string{"four"}});

    const int five = co_await net::co_spawn(io, []() -> net::awaitable<int> { co_return 5; }, use_expected);
    CHECK(five == 5);
    auto thrower = []() -> net::awaitable<int> {
      throw std::runtime_error{"no luck"};
      co_return 1;
    };
    bool caught = false;
    try {
      (void)co_await net::co_spawn(io, thrower, use_expected);
    } catch (const std::runtime_error&) { caught = true; }
    CHECK(caught);
    co_await net::post(io, use_expected);
  };
  again::asio::run(io, program);
}

TEST_CASE("composed operations, whose parts have the handler's executor and slot") {
  net::io_context io;
  connected_pair pair{io};
  const auto program = [&]() -> again::task<> {
    const std::string text(100'000, 'x');
    std::string got(text.size(), '\0');
    auto send = [&]() -> again::task<result<std::size_t>> {
      co_return co_await net::async_write(pair.near, net::buffer(text), use_expected);
    };
    auto receive = [&]() -> again::task<result<std::size_t>> {
      co_return co_await net::async_read(pair.far, net::buffer(got), use_expected);
    };
    auto [sent, received] = co_await again::when_all(send(), receive());
    CHECK(*sent == text.size());
    CHECK(got == text);
    auto starve = [&] { return net::async_read(pair.far, net::buffer(got), use_expected); };
    const auto cut = co_await again::timeout(1ms, starve);
    REQUIRE_FALSE(cut.has_value());
    CHECK(*cut.error().error() == error_code(net::error::operation_aborted));
  };
  again::asio::run(io, program);
}

TEST_CASE("awaited on our own loop, the task goes on there; nothing of it runs on Asio's thread") {
  net::thread_pool pool{1};
  const auto program = [&]() -> again::task<bool> {
    const auto before = std::this_thread::get_id();
    net::steady_timer timer{pool, 1ms};
    const auto waited = co_await timer.async_wait(use_expected);
    co_return waited.has_value() && before == std::this_thread::get_id();
  };
  CHECK(again::sync_wait(program()));
}

TEST_CASE("in a call on the executor of the object, the task goes on in place") {
  net::io_context io;
  net::steady_timer timer{io};
  std::vector<int> order;
  const auto program = [&]() -> again::task<> {
    timer.expires_at(net::steady_timer::time_point::min());
    (void)co_await timer.async_wait(use_expected);
    order.push_back(1);
  };
  again::asio::async_run(io, program, net::detached);
  io.run_one();  // starts it
  net::post(io, [&] { order.push_back(2); });
  io.run();
  CHECK(order.size() == 2);
}

TEST_CASE("a stop request cancels the operation") {
  net::io_context io;
  again::inplace_stop_source stop;
  const auto program = [&]() -> again::task<result<void>> {
    net::steady_timer timer{io, 1h};
    co_return co_await timer.async_wait(use_expected);
  };
  SUBCASE("by a signal of Asio") {
    net::cancellation_signal signal;
    std::optional<result<void>> seen;
    again::asio::async_run(
        io, program, net::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, result<void> r) { seen = r; }));
    io.poll();
    signal.emit(net::cancellation_type::terminal);
    io.run();
    CHECK(seen->error() == error_code(net::error::operation_aborted));
  }
  SUBCASE("from another thread, awaited on our own loop") {
    auto guard = net::make_work_guard(io);
    std::thread asio_thread{[&] { io.run(); }};
    std::thread stopper{[&] { stop.request_stop(); }};
    const auto r = again::sync_wait(program(), stop.get_token());
    CHECK(r.error() == error_code(net::error::operation_aborted));
    stopper.join();
    guard.reset();
    asio_thread.join();
  }
  SUBCASE("requested before it is started") {
    stop.request_stop();
    std::thread asio_thread;
    auto guard = net::make_work_guard(io);
    asio_thread = std::thread{[&] { io.run(); }};
    const auto r = again::sync_wait(program(), stop.get_token());
    CHECK(r.error() == error_code(net::error::operation_aborted));
    guard.reset();
    asio_thread.join();
  }
}

TEST_CASE("an attempt timeout cancels each attempt, and the retry goes on") {
  net::io_context io;
  connected_pair pair{io};
  int attempts = 0;
  const auto program = [&]() -> again::task<> {
    std::array<char, 8> buffer{};
    auto read = [&] {
      if (++attempts == 3) pair.near.write_some(net::buffer("x", 1));
      return pair.far.async_read_some(net::buffer(buffer), use_expected);
    };
    const auto n = co_await again::retry(
        again::checked({.attempts = 4, .backoff = again::constant(0ms), .attempt_timeout = 1ms, .deadline = 1min}),
        read);
    CHECK(*n == 1);
  };
  again::asio::run(io, program);
  CHECK(attempts >= 3);  // the third finds the byte, unless the machine takes longer than its time
}

TEST_CASE("when_any: the loser is cancelled and waited for") {
  net::io_context io;
  const auto program = [&]() -> again::task<> {
    net::steady_timer slow{io, 1h};
    net::steady_timer fast{io, 1ms};
    const auto first = co_await again::when_any([&] { return slow.async_wait(use_expected); },
                                                [&] { return fast.async_wait(use_expected); });
    CHECK(first.index() == 1);
  };
  again::asio::run(io, program);
}

TEST_CASE("an operation whose handler is dropped ends with operation_aborted") {
  net::io_context io;
  kept_operation kept;
  const auto program = [&]() -> again::task<> {
    net::post(io, [&] { kept.handler.reset(); });
    const auto r = co_await kept.start(io, use_expected);
    REQUIRE_FALSE(r.has_value());
    CHECK(r.error() == error_code(net::error::operation_aborted));
  };
  again::asio::run(io, program);
}

TEST_CASE("an io_context that is destroyed ends what a task on another loop awaits") {
  auto io = std::make_unique<net::io_context>();
  std::optional<net::steady_timer> timer{std::in_place, *io, 1h};
  again::run_loop loop;
  const auto wait = [&]() -> again::task<result<void>> { co_return co_await timer->async_wait(use_expected); };
  std::thread end;
  const auto both = [&]() -> again::task<result<void>> {
    auto ender = [&]() -> again::task<> {
      end = std::thread{[&] {
        timer.reset();
        io.reset();
      }};
      co_return;
    };
    auto [r, unused] = co_await again::when_all(wait(), ender());
    co_return r;
  };
  CHECK(again::sync_wait(loop, both()).error() == error_code(net::error::operation_aborted));
  end.join();
}

TEST_CASE("a coroutine that is destroyed while it waits cancels the operation") {
  net::io_context io;
  connected_pair pair{io};
  SUBCASE("in a call of Asio") {
    {
      auto buffer = std::make_unique<std::array<char, 8>>();
      again::asio::async_run(
          io,
          [&, b = std::move(buffer)]() -> again::task<> {
            (void)co_await pair.far.async_read_some(net::buffer(*b), use_expected);
          },
          net::detached);
      io.poll();
    }
  }
  SUBCASE("on our own loop") {
    std::array<char, 8> buffer{};
    again::virtual_clock time;
    again::run_loop loop{time};
    auto read = [&]() -> again::task<> { (void)co_await pair.far.async_read_some(net::buffer(buffer), use_expected); };
    {
      again::task<> pending = read();
      (void)pending.start({[](void*) noexcept { FAIL("resumed"); }, nullptr}, loop.root());
    }
    io.run();  // the operation was cancelled: run returns
  }
}

TEST_CASE("an initiating function that throws: the await rethrows") {
  net::io_context io;
  const auto program = []() -> again::task<> {
    auto op = net::async_initiate<const again::asio::use_expected_t&, void(error_code)>(throwing{}, use_expected);
    (void)co_await std::move(op);
  };
  CHECK_THROWS_AS(again::asio::run(io, program), std::runtime_error);
}

TEST_CASE("as_default_on: an object whose operations need no token") {
  net::io_context io;
  auto timer = again::asio::use_expected_t::as_default_on(net::steady_timer{io});
  const auto program = [&]() -> again::task<> {
    timer.expires_after(1ms);
    const result<void> waited = co_await timer.async_wait();
    CHECK(waited.has_value());
  };
  again::asio::run(io, program);
}

TEST_CASE("from four threads: a hundred tasks on strands of a pool, each with its own timers, some cut short") {
  net::thread_pool pool{4};
  std::atomic<int> elapsed{0};
  std::atomic<int> cut{0};
  for (int i = 0; i < 100; ++i) {
    auto strand = net::make_strand(pool.get_executor());
    again::asio::async_run(
        strand,
        [&, strand, i]() -> again::task<> {
          net::steady_timer timer{strand};
          for (int n = 0; n < 5; ++n) {
            timer.expires_after(n % 2 == i % 2 ? std::chrono::steady_clock::duration{50us} : 1h);
            auto wait = [&] { return timer.async_wait(use_expected); };
            const auto r = co_await again::timeout(300us, wait);
            ++(r ? elapsed : cut);
          }
        },
        net::detached);
  }
  pool.join();
  CHECK(elapsed + cut == 500);
  CHECK(cut >= 200);
}
