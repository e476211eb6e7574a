// SPDX-License-Identifier: MIT
/// \file
/// The `failure` of a combinator that makes one attempt, or none.
#pragma once

#include <again/context.hpp>
#include <again/detail/retry_state.hpp>
#include <again/failure.hpp>

#include <utility>

namespace again::inline AGAIN_ABI::detail {

/// Nothing was sent.
template <class E> failure<merged_error_t<E>> not_sent(stop_reason why, duration elapsed) {
  typename failure<merged_error_t<E>>::report r;
  r.reason = why;
  r.elapsed = elapsed;
  return failure<merged_error_t<E>>{std::move(r)};
}

/// One attempt failed with `e`. A failure from further inside is passed on as it is.
template <class E> failure<merged_error_t<E>> sent_once(E&& e, const verdict& v, const context& ctx, duration elapsed) {
  if constexpr (merged_error<E>::nested) {
    return std::forward<E>(e);
  } else {
    typename failure<E>::report r;
    switch (v.kind) {
      case disposition::transient: r.reason = stop_reason::attempts_exhausted; break;
      case disposition::permanent: r.reason = stop_reason::permanent; break;
      case disposition::not_replayable: r.reason = stop_reason::not_replayable; break;
      case disposition::forbidden: r.reason = stop_reason::server_forbade; break;
      case disposition::aborted: r.reason = why_stopped(ctx, stop_reason::cancelled_in_attempt); break;
    }
    r.attempts = 1;
    r.elapsed = elapsed;
    r.farthest = v.reach;
    attempt_record one;
    one.attempt = 1;
    one.last = true;
    one.reach = v.reach;
    one.kind = v.kind;
    one.stop = r.reason;
    one.code = v.code;
    one.name = v.name;
    r.trace.push(one);
    r.error.emplace(std::forward<E>(e));
    return failure<E>{std::move(r)};
  }
}

}  // namespace again::inline AGAIN_ABI::detail
