// SPDX-License-Identifier: MIT
/// \file
/// `sync_wait`: from `main` into coroutines. Runs a loop on the calling thread until the awaited thing is finished.
///
/// ```cpp
/// int n = again::sync_wait(response());              // a loop of its own, real time
/// int n = again::sync_wait(loop, response());        // your loop: pretend time, seeds, several waits after another
/// int n = again::sync_wait(loop, response(), token); // a stop request reaches whatever is running
/// ```
///
/// - Gives the result, or rethrows the exception, of the awaited thing. Any awaitable will do.
/// - Throws `std::logic_error` if nothing is left that could ever finish it, which only pretend time can know.
/// - Cost: a loop of its own takes 40 KiB of stack, of which it touches what it needs.
/// - Blocks the calling thread. May be nested, though a coroutine that blocks its loop's thread stops the loop's others.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/default_loop.hpp>
#include <again/coro/detail/foreign_awaitable.hpp>
#include <again/coro/run_loop.hpp>

#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

/// `S&` itself where it is a startable, else the startable that awaits it.
template <class A> decltype(auto) as_startable(A& awaitable) noexcept {
  if constexpr (startable<std::remove_cv_t<A>>) {
    return (awaitable);
  } else {
    return foreign_awaitable<A&&>{static_cast<A&&>(awaitable)};
  }
}

/// A temporary is moved in where it can be; anything else is referred to.
template <class A>
using kept_here = std::conditional_t<!std::is_reference_v<A> && std::is_move_constructible_v<A>, A,
                                     std::conditional_t<std::is_reference_v<A>, A, A&&>>;

struct waited {
  bool done = false;
  static void finish(void* self) noexcept { static_cast<waited*>(self)->done = true; }
};

}  // namespace detail

template <awaitable A> [[nodiscard]] await_result_t<A> sync_wait(run_loop& loop, A&& awaited,
                                                                 inplace_stop_token stop = {}) {
  context with_stop = loop.root();  // outlives what is started with it
  with_stop.stop = stop;
  const context& ctx = stop.stop_possible() ? with_stop : loop.root();
  detail::kept_here<A> operand = static_cast<A&&>(awaited);  // what cannot finish ends here, before its context
  auto&& run = detail::as_startable(operand);
  detail::waited state;
  bool started = false;
  const bool finished = loop.run_until([&] {
    if (!started) {  // on the loop, so that what it starts finds itself on the loop's thread
      started = true;
      state.done = run.start({&detail::waited::finish, &state}, ctx);
    }
    return state.done;
  });
  if (!finished) throw std::logic_error{"again::sync_wait: nothing is left to run that could finish what is awaited"};
  return run.take();
}

template <awaitable A> [[nodiscard]] await_result_t<A> sync_wait(A&& awaited, inplace_stop_token stop = {}) {
  run_loop loop;
  return sync_wait(loop, std::forward<A>(awaited), stop);
}

}  // namespace AGAIN_ABI
}  // namespace again
