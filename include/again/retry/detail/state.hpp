// SPDX-License-Identifier: MIT
/// \file
/// What a retry keeps from one attempt to the next, whatever the types of its operation and its hooks.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/random.hpp>
#include <again/core/stop_reason.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/context.hpp>
#include <again/coro/scheduler.hpp>
#include <again/policy/backoff.hpp>
#include <again/policy/failure.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

struct retry_state {
  stop_reason reason{};
  reach farthest = reach::not_sent;
  bool expired = false;  // our own timer asked the attempt to stop
  int sends = 0;
  time_point now{};
  time_point deadline = never;
  time_point attempt_start{};
  time_point attempt_ends = never;
  backoff_state backoff;
  std::exception_ptr thrown;
  manual_optional<random_stream> random;
  manual_optional<inplace_stop_source> stop;
  attempt_trace trace;
};

template <class E> typename failure<E>::report report_of(retry_state& state, std::optional<E>& last, duration elapsed) {
  typename failure<E>::report r;
  r.reason = state.reason;
  r.attempts = state.sends;
  r.elapsed = elapsed;
  r.farthest = state.farthest;
  r.error = std::move(last);
  r.trace = state.trace;
  return r;
}

/// A stop request is a cancellation, unless it came because the inherited deadline has passed.
inline stop_reason why_stopped(const context& ctx, stop_reason cancelled) noexcept {
  return ctx.deadline != never && ctx.scheduler->now() >= ctx.deadline ? stop_reason::deadline_reached : cancelled;
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
