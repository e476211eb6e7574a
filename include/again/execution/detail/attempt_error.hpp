// SPDX-License-Identifier: MIT
/// \file
/// `attempt_error<E>`: how an attempt that is a sender failed: with its error, or stopped, which has none.
#pragma once

#include <again/execution/library.hpp>
#include <again/policy/failure.hpp>
#include <again/policy/verdict.hpp>

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {
namespace detail {

/// A stopped attempt is `aborted`: our own timeout has ended it, and it may be repeated, or a stop request, and the
/// retry ends.
inline constexpr verdict stopped_verdict{.kind = disposition::aborted};

template <class E> struct attempt_error {
  std::optional<E> error;  // null: stopped
  again::verdict verdict() const { return error ? verdict_of(*error) : stopped_verdict; }
};

/// A failure stays one, so that the retry around it merges the two.
template <class E> struct attempt_error_of {
  using type = attempt_error<E>;
  static type failed(E&& e) { return {std::optional<E>(std::move(e))}; }
  static type stopped() { return {}; }
};
template <class E> struct attempt_error_of<failure<E>> {
  using type = failure<E>;
  static type failed(failure<E>&& f) noexcept { return std::move(f); }
  static type stopped() {
    type f{std::in_place};
    f.details().reason = stop_reason::cancelled_in_attempt;
    f.details().attempts = 1;
    f.details().farthest = reach::maybe_sent;
    return f;
  }
};

/// The failure that a user sees: its error is null if every attempt was stopped.
template <class E> failure<E> plain_failure(failure<E>&& f) noexcept { return std::move(f); }
template <class E> failure<E> plain_failure(failure<attempt_error<E>>&& f) {
  failure<E> plain{std::in_place};
  plain.details().reason = f.reason();
  plain.details().attempts = f.attempts();
  plain.details().elapsed = f.elapsed();
  plain.details().farthest = f.reach();
  plain.details().trace = f.trace();
  if (f.error() != nullptr && f.error()->error) plain.details().error.emplace(*std::move(f.error()->error));
  return plain;
}

/// A predicate about `E`, asked about an attempt. A stopped one is none of its business.
template <class Pred, class E> class judge {
 public:
  explicit judge(Pred pred) : pred_(std::move(pred)) {}
  auto operator()(const attempt_error<E>& e) -> decltype(std::declval<Pred&>()(*e.error)) {
    if constexpr (std::same_as<decltype(pred_(*e.error)), verdict>) {
      return e.error ? pred_(*e.error) : stopped_verdict;
    } else {
      return e.error && pred_(*e.error);
    }
  }

 private:
  Pred pred_;
};

}  // namespace detail
}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution
}  // namespace AGAIN_ABI
}  // namespace again
