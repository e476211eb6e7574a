// SPDX-License-Identifier: MIT
/// \file
/// `context`: what an await inherits from the awaiting coroutine: scheduler, stop token, nearest deadline, and whether
/// it is inside a repeated attempt of a retry.
///
/// ```cpp
/// const again::context& ctx = co_await again::get_context();
/// if (ctx.deadline - ctx.scheduler->now() < 10ms) co_return nothing_in_time;
/// ```
///
/// A context is passed down by pointer. An await does not copy it. A combinator that changes the context of what it
/// starts (`timeout`: stop token and deadline) makes a new one.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_token.hpp>

#include <concepts>
#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {

class scheduler;

/// What kind of bound a context's `deadline` is: an operation that is stopped by it can then say why.
enum class deadline_kind : std::uint8_t {
  none,     ///< no deadline
  attempt,  ///< the `attempt_timeout` of the nearest retry: past it the attempt has failed
  overall,  ///< a bound on all attempts: past it there is no further one
};

/// Lifetime: the awaiting side owns it. It outlives everything that was started with it.
struct context {
  again::scheduler* scheduler = nullptr;
  inplace_stop_token stop{};
  time_point deadline = never;  ///< the nearest one, on the scheduler's clock; when it passes, stop is requested
  deadline_kind kind = deadline_kind::none;  ///< what `deadline` is
  bool repeated = false;  ///< inside a retry's repeated attempt: a retry in it makes a single attempt
};

/// A promise type that has a context. To let your own coroutine type inherit stop token, deadline and scheduler, give
/// its promise a member `const again::context* context() const noexcept`. It must not return null while the coroutine
/// runs. What the coroutine awaits runs on the scheduler of that context, and the coroutine goes on on its thread, also if it
/// was on another one.
template <class Promise>
concept context_provider = requires(const Promise& promise) {
  { promise.context() } -> std::same_as<const again::context*>;
};

}  // namespace AGAIN_ABI
}  // namespace again
