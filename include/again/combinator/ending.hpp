// SPDX-License-Identifier: MIT
/// \file
/// How a combinator ends without a value: the reason (`stopped_at`, `ended_by`) and the `failure` that reports it.
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

/// What a failure reports besides its error and its elapsed time. It grows with each failed attempt.
struct ending {
  stop_reason reason{};
  reach farthest = reach::not_sent;
  int sends = 0;
  attempt_trace trace;

  /// Adds a failed attempt that made `made` sends: one, or the sends of an inner retry.
  void count(int made, reach how_far) noexcept {
    sends += made;
    if (made > 0 && how_far > farthest) farthest = how_far;
  }
  // Out of line: copying the trace takes much code, and there are many types of reports.
  [[gnu::noinline]] void fill(stop_reason& why, int& attempts, reach& how_far, attempt_trace& records) const noexcept {
    why = reason;
    attempts = sends;
    how_far = farthest;
    records = trace;
  }
  template <class Report> void fill(Report& r) const noexcept { fill(r.reason, r.attempts, r.farthest, r.trace); }
};

/// The reason of a stop request seen at `now`: the deadline if the inherited one has passed, else `cancelled`.
inline stop_reason stopped_at(time_point now, const context& ctx, stop_reason cancelled) noexcept {
  return ctx.deadline <= now ? stop_reason::deadline_reached : cancelled;
}

/// The same for a request seen now. No clock is read if there is no inherited deadline.
inline stop_reason stopped_now(const context& ctx, stop_reason cancelled) noexcept {
  return ctx.deadline == never ? cancelled : stopped_at(ctx.scheduler->now(), ctx, cancelled);
}

/// The reason if an attempt that failed with verdict `v` at `now` was the last. After a stop request, a transient error
/// is not the reason: without the request there might have been another attempt.
/// An error that our own timeout made is not the reason either (see `cut_off`).
inline stop_reason ended_by(const verdict& v, time_point now, const context& ctx) noexcept {
  const bool stopped = ctx.stop.stop_requested();
  const bool cut_short = v.kind == disposition::aborted || (v.kind == disposition::transient && stopped) ||
                         (made_by_cut(v) && stopped && ctx.deadline <= now);
  return cut_short ? stopped_at(now, ctx, stop_reason::cancelled_in_attempt) : stop_reason_of(v.kind);
}

/// The failure of a call whose last real error, if there is one, is `last`.
template <class E> failure<E> failed_with(const ending& end, std::optional<E>& last, duration elapsed) {
  failure<E> f{std::in_place};
  end.fill(f.details());
  f.details().elapsed = elapsed;
  f.details().error = std::move(last);
  return f;
}

/// The failure of a call that sent nothing.
template <class E> failure<merged_error_t<E>> not_sent(stop_reason why, duration elapsed) {
  typename failure<merged_error_t<E>>::report r;
  r.reason = why;
  r.elapsed = elapsed;
  return failure<merged_error_t<E>>{std::move(r)};
}

/// The failure of a call whose only attempt failed with `e`. If `e` is itself a failure, it is passed on as it is.
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
