// SPDX-License-Identifier: MIT
/// \file
/// What a retry takes from an attempt's error into its own failure. If the error is the failure of an inner retry, the
/// two are merged: all sends are counted, there is one trace, and the inner reason is kept if it says more.
#pragma once

#include <again/policy/failure.hpp>

#include <cstddef>
#include <optional>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class E> int sends_of(const E& e) noexcept {
  if constexpr (merged_error<E>::nested) {
    return e.attempts();
  } else {
    return 1;
  }
}

/// Keeps `e` as the last real error. An error that only a stop request caused (`cut_short`) does not replace an earlier
/// one.
template <class E> void keep_error(std::optional<merged_error_t<E>>& last, E& e, bool cut_short) {
  if constexpr (merged_error<E>::nested) {
    if (e.error() == nullptr || (last && verdict_of(*e.error()).kind == disposition::aborted)) return;
    last.emplace(std::move(*e.error()));
  } else {
    if (!(cut_short & last.has_value())) last.emplace(std::move(e));  // one branch, one copy of the code
  }
}

/// The reason of a retry of `attempts` whose last attempt was an inner retry. The inner reason counts, except if the
/// inner retry only ran out of attempts or time.
inline stop_reason reason_beside(stop_reason inner, stop_reason outer, int attempts) noexcept {
  switch (outer) {
    case stop_reason::attempts_exhausted: return attempts == 1 ? inner : outer;
    case stop_reason::permanent:
    case stop_reason::not_replayable:
    case stop_reason::server_forbade:
    case stop_reason::cancelled_in_attempt: break;
    default: return outer;
  }
  switch (inner) {
    case stop_reason::attempts_exhausted:
    case stop_reason::nested_limit:
    case stop_reason::deadline_reached:
    case stop_reason::deadline_too_near: return outer;
    default: return inner;
  }
}
template <class E> stop_reason reason_of(const E& e, stop_reason outer, int attempts) noexcept {
  if constexpr (merged_error<E>::nested) {
    return reason_beside(e.reason(), outer, attempts);
  } else {
    return outer;
  }
}

/// Appends the records of an inner failure. Their numbers continue after `sends_before`. The last of them gets what was
/// decided after the `outer` attempt.
inline void take_over(attempt_trace& trace, const attempt_trace& inner, int sends_before,
                      const attempt_record& outer) noexcept {
  trace.skip(inner.dropped());
  for (std::size_t i = 0; i < inner.size(); ++i) {
    attempt_record r = inner[i];
    r.attempt += sends_before;
    if (r.began >= duration::zero())
      r.began = outer.began >= duration::zero() ? saturating_add(r.began, outer.began) : duration{-1};
    if (i + 1 == inner.size()) {
      r.last = outer.last;
      r.stop = outer.stop;
      r.wait = outer.wait;
      r.by = outer.by;
    }
    trace.push(r);
  }
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
