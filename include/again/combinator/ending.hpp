// SPDX-License-Identifier: MIT
/// \file
/// How a call ends without a value: why it stopped, and the `failure` that says so.
#pragma once

#include <again/combinator/nested_failure.hpp>
#include <again/core/stop_reason.hpp>
#include <again/coro/context.hpp>
#include <again/coro/scheduler.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/verdict.hpp>

#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// All of a failure but its error and its time, as it grows with each failed attempt.
struct ending {
  stop_reason reason{};
  reach farthest = reach::not_sent;
  int sends = 0;
  attempt_trace trace;

  /// An attempt has failed that made so many sends (an inner retry makes several).
  void count(int made, reach how_far) noexcept {
    sends += made;
    if (made > 0 && how_far > farthest) farthest = how_far;
  }
  // Out of line: the trace is long, and the types of the reports are many.
  [[gnu::noinline]] void fill(stop_reason& why, int& attempts, reach& how_far, attempt_trace& records) const noexcept {
    why = reason;
    attempts = sends;
    how_far = farthest;
    records = trace;
  }
  template <class Report> void fill(Report& r) const noexcept { fill(r.reason, r.attempts, r.farthest, r.trace); }
};

/// A stop request seen at `now` is a cancellation, unless it came because the inherited deadline has passed.
inline stop_reason stopped_at(time_point now, const context& ctx, stop_reason cancelled) noexcept {
  return ctx.deadline <= now ? stop_reason::deadline_reached : cancelled;
}

/// The same, seen now; no clock is read where no deadline is inherited.
inline stop_reason stopped_now(const context& ctx, stop_reason cancelled) noexcept {
  return ctx.deadline == never ? cancelled : stopped_at(ctx.scheduler->now(), ctx, cancelled);
}

/// Why it is over when an attempt has failed like that at `now`. After a stop request a transient error is no reason: without
/// the request there might have been another attempt.
inline stop_reason ended_by(const verdict& v, time_point now, const context& ctx) noexcept {
  const bool cut_short =
      v.kind == disposition::aborted || (v.kind == disposition::transient && ctx.stop.stop_requested());
  return cut_short ? stopped_at(now, ctx, stop_reason::cancelled_in_attempt) : stop_reason_of(v.kind);
}

/// It is over; `last` is the last real error.
template <class E> failure<E> failed_with(const ending& end, std::optional<E>& last, duration elapsed) {
  failure<E> f{std::in_place};
  end.fill(f.details());
  f.details().elapsed = elapsed;
  f.details().error = std::move(last);
  return f;
}

/// Nothing was sent.
template <class E> failure<merged_error_t<E>> not_sent(stop_reason why, duration elapsed) {
  typename failure<merged_error_t<E>>::report r;
  r.reason = why;
  r.elapsed = elapsed;
  return failure<merged_error_t<E>>{std::move(r)};
}

/// One attempt failed with `e`, and that was the end because of `why`. A failure from further inside is passed on as it is.
template <class E> failure<merged_error_t<E>> sent_once(E&& e, const verdict& v, stop_reason why, duration elapsed) {
  if constexpr (merged_error<E>::nested) {
    return std::forward<E>(e);
  } else {
    typename failure<E>::report r;
    r.reason = why;
    r.attempts = 1;
    r.elapsed = elapsed;
    r.farthest = v.reach;
    r.trace.push(attempt_record::failed(1, v, {.stop = why}));
    r.error.emplace(std::forward<E>(e));
    return failure<E>{std::move(r)};
  }
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
