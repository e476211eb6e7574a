// SPDX-License-Identifier: MIT
/// \file
/// `coalesce(group, key, operation)`: callers that want the same thing at the same time share one call (single flight).
///
/// ```cpp
/// using quote = again::expected<again::http::response, again::failure<again::http::error>>;
/// again::coalescer<std::string, quote> quotes;                              // shared by all callers
/// auto q = co_await again::coalesce(quotes, "ACME", again::retry(polite, api.get("/quote/ACME")));
/// ```
///
/// - The first caller of a key starts the operation; those that come while it runs wait for its end. Each gets a copy of the
///   result. Nothing is kept afterwards, neither a value nor an error: the next caller starts anew.
/// - Result: `expected<T, failure<E>>`.
/// - Cancellation: a caller that is stopped leaves at once, with `cancelled_in_attempt` or `deadline_reached`, no error, and
///   no attempt of its own; the call goes on for the others. If it is the last one, the call is stopped, and awaited. Who
///   comes after that starts anew.
/// - Deadline: that of a caller bounds how long it waits. The shared call has the bounds that the operation brings.
/// - Exceptions of the operation reach every caller.
/// - The key says what is the same: whatever makes a difference to the response (the user, a language) belongs into it. Share
///   reads. A write is not the same call because it has the same text.
/// - Lifetime: the group outlives its callers. Destroying the coroutine that came first does not end the call for the others;
///   the last one that is destroyed ends it. The operation is copied for each call that is begun.
/// - Thread: all callers of a group are on one scheduler; `std::logic_error` for one on another. Have a group for each loop.
/// - Cost: one allocation for a call and the entry of its key; a copy of the result for each caller but the last.
#pragma once

#include <again/combinator/misuse.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/bounded_operation.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/operation.hpp>
#include <again/protection/detail/coalesced_run.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

/// The calls that are running, by key. `Result` is what the operations give: `expected<T, E>`.
template <class Key, expected_result Result, class Hash = std::hash<Key>> class coalescer {
 public:
  coalescer() = default;
  coalescer(const coalescer&) = delete;
  coalescer& operator=(const coalescer&) = delete;
  ~coalescer() = default;

  /// Calls that are running and can be joined.
  [[nodiscard]] std::size_t running() const noexcept { return running_.size(); }
  /// Callers that began a call, and callers that joined one.
  [[nodiscard]] std::uint64_t begun() const noexcept { return begun_; }
  [[nodiscard]] std::uint64_t joined() const noexcept { return joined_; }

 private:
  template <class, class, class, class> friend class detail::coalesced_run;

  std::unordered_map<Key, detail::shared_call<Result>*, Hash> running_;
  scheduler* home_ = nullptr;  // of all who are in it; null: nobody is
  std::size_t callers_ = 0;
  std::uint64_t begun_ = 0, joined_ = 0;
};

/// What `coalesce` returns: awaitable, and an operation.
template <class Key, class Result, class Hash, fallible_operation Op>
class [[nodiscard("nothing runs until it is awaited: write co_await before it")]] coalesced_operation
    : public detail::not_awaited<coalesced_operation<Key, Result, Hash, Op>,
                                 typename detail::coalesced_run<Key, Result, Hash, Op>::result_type>,
      public detail::has_bounds<coalesced_operation<Key, Result, Hash, Op>> {
 public:
  using run_type = detail::coalesced_run<Key, Result, Hash, Op>;

  coalesced_operation(coalescer<Key, Result, Hash>& group, Key key, Op op)
      : parts_{&group, std::move(key), std::move(op)} {}

  run_type operator()() & { return run_type{parts_}; }
  auto operator co_await() & { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }
  auto operator co_await() && { return detail::holding_awaiter<run_type>{std::in_place, parts_}; }
  bool repeatable() const { return is_repeatable(parts_.op); }

 private:
  detail::coalesced_parts<Key, Result, Hash, Op> parts_;
};

template <class Key, class Result, class Hash, class K, class Op>
  requires fallible_operation<std::decay_t<Op>>
auto coalesce(coalescer<Key, Result, Hash>& group, K&& key, Op&& op) {
  static_assert(std::same_as<operation_result_t<std::decay_t<Op>>, Result>,
                "again::coalesce: the operation must give the Result of the coalescer<Key, Result>, exactly");
  static_assert(std::constructible_from<Key, K>, "again::coalesce: the key is not of the type of the coalescer's keys");
  static_assert(
      std::copy_constructible<detail::stored_t<Op>>,
      "again::coalesce: the operation is copied, so that the call can outlive the caller that began it; pass a "
      "function that can be copied");
  return coalesced_operation<Key, Result, Hash, detail::stored_t<Op>>{group, Key(std::forward<K>(key)),
                                                                      std::forward<Op>(op)};
}

// A mistake, told in one sentence.
template <class Key, class Result, class Hash, class K, class Wrong>
  requires(!fallible_operation<std::decay_t<Wrong>>)
auto coalesce(coalescer<Key, Result, Hash>&, K&&, Wrong&&) {
  detail::explain_misuse<std::decay_t<Wrong>>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
