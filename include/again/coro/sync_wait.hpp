// SPDX-License-Identifier: MIT
/// \file
/// `sync_wait`: awaits from a function that is no coroutine, such as `main`. It runs a loop on the calling thread until
/// the awaited thing has finished.
///
/// ```cpp
/// int n = again::sync_wait(count());               // makes a loop, on real time
/// int n = again::sync_wait(loop, count());         // your loop: pretend time, seeds, several waits one after another
/// int n = again::sync_wait(loop, count(), token);  // a stop request of the token reaches what is awaited
/// ```
///
/// - Takes: any awaitable.
/// - Result: that of the awaited thing.
/// - Errors: rethrows the exception of the awaited thing. Throws `std::logic_error` if nothing is left to run that
///   could finish it; that is known only under pretend time. Throws `std::logic_error` on the thread of the default loop,
///   which would hang: there a coroutine goes on that has no loop of its own and has awaited something of this library.
/// - Cancellation: by the token.
/// - Thread: blocks the calling thread, and runs everything on it. Calls may be nested; but a coroutine that blocks its
///   loop's thread stops all other coroutines of that loop.
/// - Cost: a loop takes 40 KiB of stack, of which only the parts in use are touched.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/default_loop.hpp>
#include <again/coro/detail/blocking_wait.hpp>
#include <again/coro/detail/foreign_awaitable.hpp>
#include <again/coro/run_loop.hpp>

#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

/// What `sync_wait` returns: of a temporary, no reference into it.
template <class A> using waited_result_t =
    std::conditional_t<std::is_lvalue_reference_v<A>, await_result_t<A>, owned_result_t<await_result_t<A>>>;

/// A reference to `awaitable` if it is a startable, else a startable that awaits it as the `A` that it was given as.
template <class A> decltype(auto) as_startable(std::remove_reference_t<A>& awaitable) noexcept {
  if constexpr (startable<std::remove_cvref_t<A>>) {
    return (awaitable);
  } else {
    return foreign_awaitable<A&&, waited_result_t<A>>{static_cast<A&&>(awaitable)};
  }
}

/// How an argument is stored: a temporary by value if it can be moved, anything else by reference.
template <class A>
using stored_argument = std::conditional_t<!std::is_reference_v<A> && std::is_move_constructible_v<A>, A,
                                           std::conditional_t<std::is_reference_v<A>, A, A&&>>;

struct completion {
  bool done = false;
  static void finish(void* self) noexcept { static_cast<completion*>(self)->done = true; }
};

}  // namespace detail

template <awaitable A> [[nodiscard]] detail::waited_result_t<A> sync_wait(run_loop& loop, A&& awaited,
                                                                          inplace_stop_token stop = {}) {
  detail::refuse_on_default_loop();
  context with_stop = loop.root();  // outlives what is started with it
  with_stop.stop = stop;
  const context& ctx = stop.stop_possible() ? with_stop : loop.root();
  detail::stored_argument<A> operand = static_cast<A&&>(awaited);  // destroyed before its context
  auto&& run = detail::as_startable<A>(operand);
  detail::completion state;
  bool started = false;
  const bool finished = loop.run_until([&] {
    if (!started) {  // inside the loop: what is started must see that this thread runs the loop
      started = true;
      state.done = run.start({&detail::completion::finish, &state}, ctx);
    }
    return state.done;
  });
  if (!finished) throw std::logic_error{"again::sync_wait: nothing is left to run that could finish what is awaited"};
  return run.take();
}

template <awaitable A> [[nodiscard]] detail::waited_result_t<A> sync_wait(A&& awaited, inplace_stop_token stop = {}) {
  run_loop loop;
  return sync_wait(loop, std::forward<A>(awaited), stop);
}

}  // namespace AGAIN_ABI
}  // namespace again
