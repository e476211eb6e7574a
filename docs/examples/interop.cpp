// SPDX-License-Identifier: MIT
// The samples of docs/interop.md. They are compiled with the look-alikes of the tests, whose names are those of the libraries.
#include <again/asio.hpp>
#include <again/coro/resume_on.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/folly.hpp>
#include <again/io_awaitable.hpp>
#include <again/retry.hpp>

#include "support/capy_lookalike.hpp"
#include "support/cobalt_lookalike.hpp"
#include "support/cppcoro_lookalike.hpp"
#include "support/libcoro_lookalike.hpp"

#include <boost/asio/io_context.hpp>
#include <folly/coro/BlockingWait.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <future>
#include <memory>
#include <stop_token>
#include <utility>

using namespace std::chrono_literals;
namespace cobalt = boost::cobalt;

namespace {

struct busy {
  int number;
};
using price = again::expected<int, busy>;

constexpr auto polite = again::checked({.attempts = 4, .backoff = again::constant(1ms), .deadline = 5s});

// Succeeds at the third attempt.
struct quotes {
  int sends = 0;
  again::task<price> ask() {
    co_await again::yield();
    ++sends;
    co_return sends == 3 ? price{42} : price{again::unexpect, busy{sends}};
  }
};

void print(const char* where, const again::expected<int, again::failure<busy>>& quote) {
  std::printf("%s: %d\n", where, quote ? *quote : -1);
}

// ── cppcoro ──

cppcoro::task<> in_cppcoro(quotes& api, cppcoro::static_thread_pool& pool, cppcoro::cancellation_token token) {
  again::inplace_stop_source source;
  const cppcoro::cancellation_registration passes_on{std::move(token), [&] { source.request_stop(); }};
  auto op = [&] { return api.ask(); };
  auto quote = co_await again::resume_on(pool, again::retry(polite, op).stop(source.get_token()));
  print("cppcoro", quote);
}

// ── libcoro ──

coro::task<> in_libcoro(quotes& api, coro::thread_pool& pool, std::stop_token token) {
  again::inplace_stop_source source;
  const std::stop_callback passes_on{std::move(token), [&] { source.request_stop(); }};
  auto op = [&] { return api.ask(); };
  auto quote = co_await again::resume_on(pool, again::retry(polite, op).stop(source.get_token()));
  print("libcoro", quote);
}

// ── theirs in ours: cppcoro and libcoro ──

cppcoro::task<price> theirs(quotes& api) { co_return co_await api.ask(); }
again::task<> around_cppcoro(quotes& api) {
  auto quote = co_await again::retry(polite, [&] { return theirs(api); });
  print("cppcoro in an again::task", quote);
}

// ── folly ──

folly::coro::Task<int> in_folly(quotes& api) {
  auto op = [&] { return api.ask(); };
  auto quote = co_await again::retry(polite, op);  // ends when the Task is cancelled
  print("folly", quote);
  co_return 0;
}
folly::coro::Task<price> theirs_in_folly(quotes& api) { co_return co_await api.ask(); }
again::task<> around_folly(quotes& api, folly::Executor::KeepAlive<> ex) {
  auto op = [&] { return folly::coro::co_withExecutor(ex, theirs_in_folly(api)); };
  auto quote = co_await again::timeout(1s, again::retry(polite, op));  // the Task is cancelled after a second
  print("folly in an again::task", quote);
}

// ── Cobalt ──

cobalt::task<int> in_cobalt(quotes& api) {
  auto op = [&] { return api.ask(); };
  auto quote = co_await again::asio::async_run(again::retry(polite, op), cobalt::use_op);
  print("Cobalt", quote);
  co_return 0;
}

// ── P4003: capy, corosio ──

boost::capy::task<int> in_capy(quotes& api) {
  auto op = [&] { return api.ask(); };
  auto quote = co_await again::as_io_awaitable(again::retry(polite, op));  // ends at the environment's stop request
  print("capy", quote);
  co_return 0;
}
boost::capy::task<price> theirs_in_capy(quotes& api) { co_return co_await again::as_io_awaitable(api.ask()); }
again::task<> around_capy(quotes& api) {
  auto quote = co_await again::retry(polite, [&] { return theirs_in_capy(api); });
  print("capy in an again::task", quote);
}

}  // namespace

int main() {
  {
    quotes api;
    cppcoro::static_thread_pool pool{1};
    cppcoro::sync_wait(in_cppcoro(api, pool, {}));
  }
  {
    quotes api;
    const auto pool = coro::thread_pool::make_unique({.thread_count = 1});
    coro::sync_wait(in_libcoro(api, *pool, {}));
  }
  {
    quotes api;
    again::sync_wait(around_cppcoro(api));
  }
  folly::CPUThreadPoolExecutor executor{1};
  const folly::Executor::KeepAlive<> ex{&executor};
  {
    quotes api;
    folly::coro::blockingWait(folly::coro::co_withExecutor(ex, in_folly(api)));
  }
  {
    quotes api;
    again::sync_wait(around_folly(api, ex));
  }
  {
    quotes api;
    boost::asio::io_context io;
    cobalt::spawn(io.get_executor(), in_cobalt(api), [](const std::exception_ptr&, int) {});
    io.run();
  }
  {
    quotes api;
    boost::capy::thread_pool pool{1};
    std::promise<int> done;
    boost::capy::run_async(
        pool.get_executor(), std::stop_token{}, [&](int r) { done.set_value(r); },
        [&](const std::exception_ptr& e) { done.set_exception(e); })(in_capy(api));
    done.get_future().get();
  }
  {
    quotes api;
    again::sync_wait(around_capy(api));
  }
}
