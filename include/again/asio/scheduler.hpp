// SPDX-License-Identifier: MIT
/// \file
/// `scheduler_of`: the scheduler on which what is awaited from Asio runs.
///
/// ```cpp
/// again::scheduler& s = again::asio::scheduler_of(io.get_executor());
/// co_await again::retry(polite, op).on(s);         // from any coroutine: the retry runs in the io_context
/// ```
///
/// - Each execution context has one scheduler for each executor that is used. Its timers, posts and continuations run as
///   handlers of that executor, one at a time: on an `io_context`, on a strand (together with whatever else is on that
///   strand), or on a `thread_pool`, where the thread may change between callbacks.
/// - Lifetime: it lives until the execution context is destroyed. A program that calls `scheduler_of` for many strands
///   keeps a scheduler for each of them.
/// - Errors: throws `std::logic_error` if the execution context is being destroyed; `std::bad_alloc`.
/// - Thread: any. The scheduler's own functions are for the threads that `scheduler` says.
/// - Cost: about 40 KiB of address space for the timer wheel, of which only the parts in use are touched. All timers of a
///   scheduler share one `steady_timer`. A posted callback costs one handler of Asio, unless one is waiting already.
/// - A timer that is armed, or work that is posted, keeps `io_context::run` from returning. Outside work, such as a send
///   of a transport with threads of its own, does not: keep a work guard, or start it by `async_run`, which has one.
#pragma once

#include <again/asio/detail/executor_scheduler.hpp>
#include <again/asio/library.hpp>
#include <again/coro/scheduler.hpp>

#include <stdexcept>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {

/// See the top of this file.
inline scheduler& scheduler_of(const net::any_io_executor& ex) {
  scheduler* const found = detail::scheduler_for(ex);
  if (found == nullptr) throw std::logic_error{"again::asio::scheduler_of: the execution context is being destroyed"};
  return *found;
}

}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio
}  // namespace AGAIN_ABI
}  // namespace again
