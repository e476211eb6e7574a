// SPDX-License-Identifier: MIT
/// \file
/// `run`: awaits from a function that is no coroutine, and runs an `io_context` on the calling thread until the awaited
/// thing has finished: `sync_wait` on Asio's loop.
///
/// ```cpp
/// boost::asio::io_context io;
/// int status = again::asio::run(io, serve(io));            // an again::task
/// ```
///
/// - Takes: any awaitable, or an operation, which is started once.
/// - Result: that of the awaited thing. An exception of it is rethrown.
/// - Other handlers of the context run meanwhile. The context is restarted first if it was stopped.
/// - Errors: throws `std::logic_error` if the context is stopped, or has nothing left to run, before there is a result.
///   What is awaited then stays pending until the context runs again or is destroyed. Throws it on the thread of the
///   default loop, which would hang.
/// - Thread: blocks the calling thread. Other threads may run the context at the same time.
#pragma once

#include <again/asio/async_run.hpp>
#include <again/coro/detail/blocking_wait.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {

namespace detail {

/// What `run` waits for, on whichever thread of the context it comes.
struct run_end {
  std::atomic<bool> done{false}, taken{false};
};
/// Ends the `run_one` of the thread that waits, where another one has got the result: a handler that does nothing, until that thread
/// has seen it.
template <class Context> struct wake_runner {
  Context* context;
  std::shared_ptr<run_end> end;
  std::thread::id waits;
  void operator()() const {
    if (std::this_thread::get_id() == waits || end->taken.load(std::memory_order_relaxed)) return;
    net::post(*context, *this);
  }
};

}  // namespace detail

/// See the top of this file. `Context` has `run_one`, `stopped` and `restart`, as `io_context` does.
template <detail::execution_context Context, class A>
  requires runnable<std::remove_cvref_t<A>>
typename detail::body_of<A>::result_type run(Context& context, A&& awaited) {
  using result = typename detail::body_of<A>::result_type;
  again::detail::refuse_on_default_loop();
  struct outcome : detail::run_end {
    std::exception_ptr exception;
    std::optional<std::conditional_t<std::is_void_v<result>, char, result>> value;
  };
  const auto end = std::make_shared<outcome>();  // outlives this function if the context is stopped
  if (context.stopped()) context.restart();
  const detail::wake_runner<Context> wake{&context, end, std::this_thread::get_id()};
  if constexpr (std::is_void_v<result>) {
    async_run(context, std::forward<A>(awaited), [end, wake](std::exception_ptr e) {
      end->exception = std::move(e);
      end->done.store(true, std::memory_order_release);
      wake();
    });
  } else {
    async_run(context, std::forward<A>(awaited), [end, wake](std::exception_ptr e, result r) {
      end->exception = std::move(e);
      if (!end->exception) end->value.emplace(std::move(r));
      end->done.store(true, std::memory_order_release);
      wake();
    });
  }
  while (!end->done.load(std::memory_order_acquire)) {
    if (context.run_one() == 0 && !end->done.load(std::memory_order_acquire)) {
      throw std::logic_error{
          "again::asio::run: the io_context was stopped, or ran out of work, before there was a result"};
    }
  }
  end->taken.store(true, std::memory_order_relaxed);
  if (end->exception) std::rethrow_exception(end->exception);
  if constexpr (!std::is_void_v<result>) return std::move(*end->value);
}

}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio
}  // namespace AGAIN_ABI
}  // namespace again
