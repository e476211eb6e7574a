// SPDX-License-Identifier: MIT
// The samples of docs/asio.md. What they print stands in asio.out.
#if defined(AGAIN_STANDALONE_ASIO)
#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>
namespace boost {
namespace asio = ::asio;
namespace system {
using std::error_code;
}
}  // namespace boost
#else
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#endif

#include <again/again.hpp>
#include <again/asio.hpp>

#include <cstddef>
#include <cstdio>
#include <exception>
#include <future>
#include <optional>
#include <string>
#include <utility>

using namespace std::chrono_literals;
namespace net = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto polite = again::checked({
    .attempts = 4,
    .backoff = again::exponential(1ms, 10ms),
    .attempt_timeout = 1s,
    .deadline = 5s,
});

struct db_error {
  int code;
};
struct database {
  int busy_times = 0;
};

// Your own operation: a task of this library.
again::task<again::expected<std::string, db_error>> load(database& db, int id) {
  (void)co_await again::sleep(1ms);
  if (db.busy_times-- > 0) co_return again::unexpected(db_error{11});
  co_return "row " + std::to_string(id);
}

// ── retry inside a coroutine of Asio ──

net::awaitable<void> show_row(database& db, int id) {
  auto row = co_await again::asio::async_retry(polite, [&] { return load(db, id); });
  if (!row) {
    std::printf("gave up after %d attempts\n", row.error().attempts());
    co_return;
  }
  std::printf("%s\n", row->c_str());
}

void in_a_coroutine() {
  net::io_context io;
  database db{.busy_times = 2};
  net::co_spawn(io, show_row(db, 7), net::detached);
  io.run();
}

// ── cancellation ──

net::awaitable<void> first_of_two(database& db) {
  using namespace net::experimental::awaitable_operators;
  net::steady_timer soon{co_await net::this_coro::executor, 5ms};
  const auto patient = again::checked({.attempts = 2, .backoff = again::constant(1h), .deadline = 10h});
  auto first =
      co_await (again::asio::async_retry(patient, [&] { return load(db, 1); }) || soon.async_wait(net::use_awaitable));
  std::printf("%s\n", first.index() == 0 ? "a row" : "no row in time");
}

void by_the_other_side() {
  net::io_context io;
  database db{.busy_times = 100};
  net::co_spawn(io, first_of_two(db), net::detached);
  io.run();
}

void by_a_signal() {
  net::io_context io;
  database db{.busy_times = 100};
  net::cancellation_signal stop;
  const auto patient = again::checked({.attempts = 2, .backoff = again::constant(1h), .deadline = 10h});
  again::asio::async_retry(
      io, patient, [&] { return load(db, 1); },
      net::bind_cancellation_slot(stop.slot(), [](const std::exception_ptr&, auto row) {
        std::printf("%s, the last error was %d\n", name(row.error().reason()).data(), row.error().error()->code);
      }));
  net::steady_timer soon{io, 5ms};
  soon.async_wait([&](error_code) { stop.emit(net::cancellation_type::terminal); });
  io.run();
}

// ── strands, pools, futures ──

void on_a_strand() {
  net::thread_pool pool{4};
  auto strand = net::make_strand(pool.get_executor());
  database db{.busy_times = 1};  // used on the strand only
  int rows = 0;
  for (int id = 0; id < 3; ++id) {
    again::asio::async_retry(
        strand, polite, [&, id] { return load(db, id); },
        [&](const std::exception_ptr&, auto row) { rows += row ? 1 : 0; });
  }
  pool.join();
  std::printf("%d rows on a strand\n", rows);
}

void on_a_pool() {
  net::thread_pool pool{4};
  database db{.busy_times = 1};
  std::future<again::expected<std::string, again::failure<db_error>>> row =
      again::asio::async_retry(pool, polite, [&] { return load(db, 3); }, net::use_future);
  std::printf("%s from a pool\n", row.get()->c_str());
}

// ── the other direction: an operation of Asio in a task ──

again::task<again::expected<std::size_t, error_code>> answer_length(net::io_context& io, net::ip::tcp::endpoint peer) {
  std::optional<net::ip::tcp::socket> socket;
  auto connect = [&] {
    socket.emplace(io);
    return socket->async_connect(peer, again::asio::use_expected);
  };
  auto connected = co_await again::retry(polite, connect);
  if (!connected) co_return again::unexpected(*connected.error().error());

  std::string text(100, '\0');
  auto read = [&] { return socket->async_read_some(net::buffer(text), again::asio::use_expected); };
  auto n = co_await again::timeout(1s, read);
  if (!n) co_return again::unexpected(*n.error().error());
  co_return *n;
}

void reverse() {
  net::io_context io;
  net::ip::tcp::acceptor acceptor{io, {net::ip::address_v4::loopback(), 0}};
  acceptor.async_accept([](error_code, net::ip::tcp::socket s) { net::write(s, net::buffer("hello", 5)); });
  auto n = again::asio::run(io, answer_length(io, acceptor.local_endpoint()));
  std::printf("%zu bytes\n", *n);
}

// ── a coroutine of your own, with what it keeps between attempts ──

struct session {
  int opened = 0;
};
net::awaitable<again::expected<std::string, error_code>> fetch(session& s) {
  ++s.opened;
  if (s.opened < 3) co_return again::unexpected(error_code(net::error::connection_reset));
  co_return "fetched";
}

net::awaitable<void> retry_your_own(session& s) {
  auto ex = co_await net::this_coro::executor;
  auto op = [&] { return net::co_spawn(ex, fetch(s), again::asio::use_expected); };
  auto text = co_await again::asio::async_retry(polite, op);
  std::printf("%s at attempt %d\n", text->c_str(), s.opened);
}

void your_own_coroutine() {
  net::io_context io;
  session s;
  net::co_spawn(io, retry_your_own(s), net::detached);
  io.run();
}

}  // namespace

int main() {
  in_a_coroutine();
  by_the_other_side();
  by_a_signal();
  on_a_strand();
  on_a_pool();
  reverse();
  your_own_coroutine();
}
