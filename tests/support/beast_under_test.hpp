// SPDX-License-Identifier: MIT
/// \file
/// See transport_under_test.hpp: the transport over Boost.Beast. The environment says on which loop it runs:
///
///     AGAIN_TEST_LOOP=     a thread of its own (the default); what is awaited runs on the test's thread
///     AGAIN_TEST_LOOP=1    an io_context of the caller, on which client, coroutine and transport run; so many threads run it
#pragma once

#include <again/asio/async_run.hpp>
#include <again/asio/scheduler.hpp>
#include <again/beast/transport.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/run_loop.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/http/client.hpp>
#include <again/http/url.hpp>

#include "support/call.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <openssl/ssl.h>

#include <cstddef>
#include <cstdlib>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace again_test {

using transport_options = again::beast::options;

/// An io_context that threads run for as long as it lives.
class running_io_context {
 public:
  explicit running_io_context(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { io.run(); });
  }
  running_io_context(const running_io_context&) = delete;
  running_io_context& operator=(const running_io_context&) = delete;
  ~running_io_context() {
    work_.reset();
    io.stop();
    for (std::thread& t : threads_) t.join();
  }

  boost::asio::io_context io;

 private:
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ = boost::asio::make_work_guard(io);
  std::vector<std::thread> threads_;
};

/// The caller's io_context, or null where the transport has a thread of its own. One for the whole program.
inline boost::asio::io_context* callers_loop() {
  static const std::unique_ptr<running_io_context> loop = [] {
    OPENSSL_init_ssl(0, nullptr);  // so that it outlives the loop: else it leaves what it keeps for the loop's threads
    const char* const threads = std::getenv("AGAIN_TEST_LOOP");
    return threads == nullptr || *threads == '\0' ? nullptr : std::make_unique<running_io_context>(std::stoul(threads));
  }();
  return loop == nullptr ? nullptr : &loop->io;
}

class transport_under_test {
 public:
  explicit transport_under_test(transport_options o = {}) {
    if (boost::asio::io_context* const io = callers_loop()) {
      inner_.emplace(io->get_executor(), std::move(o));
    } else {
      inner_.emplace(std::move(o));
    }
  }
  auto send(std::shared_ptr<const again::http::outgoing> what, int number) {
    return inner_->send(std::move(what), number);
  }

 private:
  std::optional<again::beast::transport> inner_;
};

/// A client that owns its transport.
class client : public again::http::client_over<transport_under_test> {
 public:
  explicit client(std::string_view url, again::http::client_options options = {}, transport_options transport = {})
      : client{std::make_unique<transport_under_test>(std::move(transport)), url, std::move(options)} {}

 private:
  client(std::unique_ptr<transport_under_test> t, std::string_view url, again::http::client_options options)
      : client_over{*t, again::http::parse_origin(url).value(), std::move(options)}, transport_{std::move(t)} {}

  std::unique_ptr<transport_under_test> transport_;
};

inline constexpr const char* options_name = "again: beast::options: ";

namespace detail {

template <class A> again::task<again::await_result_t<A>> awaiting(std::remove_reference_t<A>& awaited) {
  co_return co_await static_cast<A&&>(awaited);
}

template <class Result> auto tell(std::promise<Result>& end) {
  return [&end](const std::exception_ptr& e, Result r) {
    if (e) {
      end.set_exception(e);
    } else {
      end.set_value(std::move(r));
    }
  };
}

}  // namespace detail

/// Awaits on the caller's loop, or on this thread where there is none.
template <again::awaitable A> again::await_result_t<A> run(A&& awaited, again::inplace_stop_token stop = {}) {
  using result = again::await_result_t<A>;
  boost::asio::io_context* const io = callers_loop();
  if (io == nullptr) return again::sync_wait(std::forward<A>(awaited), stop);
  std::promise<result> end;
  if (!stop.stop_possible()) {
    again::asio::async_run(*io, detail::awaiting<A>(awaited), detail::tell(end));
    return end.get_future().get();
  }
  // Asio's cancellation comes after the start, but a token may have been stopped before it.
  again::scheduler& loop = again::asio::scheduler_of(io->get_executor());
  const again::context ctx{.scheduler = &loop, .stop = stop};
  auto&& startable = again::detail::as_startable<A>(awaited);
  std::promise<void> over;
  const again::continuation then{[](void* p) noexcept { static_cast<std::promise<void>*>(p)->set_value(); }, &over};
  call begin{[&] {
    if (startable.start(then, ctx)) over.set_value();
  }};
  loop.post(begin);
  over.get_future().wait();
  return startable.take();
}

/// False where the caller's loop is used, which has real time.
inline bool can_pretend() { return callers_loop() == nullptr; }

template <again::awaitable A>
again::await_result_t<A> run_pretending(again::run_loop& loop, A&& awaited, again::inplace_stop_token stop = {}) {
  if (can_pretend()) return again::sync_wait(loop, std::forward<A>(awaited), stop);
  return run(std::forward<A>(awaited), stop);
}

// ── what may differ ──

/// One thread makes all attempts.
inline transport_options with_threads_for(std::size_t /*attempts*/, transport_options o = {}) { return o; }

/// On a caller's loop a timer would keep `run` from returning: what has been idle for too long is closed by the next attempt.
inline bool closes_idle_connections_by_itself() { return callers_loop() == nullptr; }

/// Beast's parser bounds the head, and no line of its own.
inline constexpr std::size_t longest_line_of_a_head = 65536;
inline constexpr bool tls_over_unix_sockets = true;
inline constexpr bool tls_reads_while_it_writes = true;
inline constexpr bool rewrites_queries = false;

}  // namespace again_test
