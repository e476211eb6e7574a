// SPDX-License-Identifier: MIT
/// \file
/// `for_each`: calls a function for each item of a range, with a bound on how many of the calls run at once.
///
/// ```cpp
/// auto done = co_await again::for_each(urls, 32, [&](const std::string& url) { return again::retry(polite, api.get(url)); });
/// if (!done) fmt::print("stopped at item {}: {}\n", done.error().first_failed, *done.error().first_error);
///
/// co_await again::for_each(urls, 32, fetch, again::on_error::go_on);   // a failed item does not keep the others from running
/// ```
///
/// - Takes: a container, a view or a generator, by value or as an lvalue that is referred to; the items that run at most
///   at once; and a function that takes an item and returns a task, an operation or another awaitable. The range is asked
///   for an item only when there is room for it, so it may be endless.
/// - An item of a container is passed by reference. What the range makes anew for each item, such as a value of a
///   generator, is kept until its call has finished, and passed as an rvalue. Not kept is an item that a generator gives
///   as an lvalue reference: let the function take it by value.
/// - Result: `expected<std::size_t, for_each_failure<E>>`, the number of items, where the calls give `expected<T, E>`. Their
///   values are dropped: `transform` keeps them.
/// - Errors: at the first error no further item is started, and the calls that run are asked to stop and are awaited. With
///   `on_error::go_on` all items are called; the result has the first error and the numbers. An exception of a call, of
///   the function or of the range stops the others and is rethrown.
/// - Cancellation: a stop request reaches the calls that run, and starts no further one. The await ends when they have
///   finished, with an error unless all items were done.
/// - It is an operation: `timeout(1min, for_each(…))`. Each start goes through the range from its beginning, so what can be
///   read only once, such as a generator, is started once.
/// - Lifetime: destroying the awaiting coroutine ends all calls.
/// - Thread: everything runs on the scheduler's thread.
/// - Cost: one allocation for each of the `at_most` calls, used again for all items; nothing that grows with the range.
#pragma once

#include <again/core/expected.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/item_runs.hpp>
#include <again/coro/detail/misused.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/policy/verdict.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace again {
inline namespace AGAIN_ABI {

/// What `for_each` does after an item has failed.
enum class on_error : std::uint8_t {
  stop,   ///< starts no further item, and stops those that run
  go_on,  ///< calls all items
};

/// Why a `for_each` has not done all items. `E` is `std::monostate` where the calls cannot fail.
template <class E> struct [[nodiscard]] for_each_failure {
  std::optional<E> first_error{};  ///< of the item that failed first; empty: stop was requested before all were started
  std::size_t first_failed = 0;    ///< the place of that item in the range, from 0
  std::size_t succeeded = 0;       ///< items
  std::size_t failed = 0;          ///< items, those that were stopped included
  bool complete = false;           ///< every item of the range was started

  /// For a retry around it: that of the first error; a stop where there is none.
  [[nodiscard]] again::verdict verdict() const {
    if constexpr (!std::is_same_v<E, std::monostate>) {
      if (first_error) return verdict_of(*first_error);
    }
    return {.kind = disposition::aborted, .reach = reach::not_sent};
  }
};

namespace detail {

template <class R> struct for_each_sink {
  using error = std::monostate;
  static constexpr bool failed(const R&) noexcept { return false; }
};
template <expected_result R> struct for_each_sink<R> {
  using error = typename expected_parts<R>::error;
  static constexpr bool failed(const R& r) noexcept { return !r.has_value(); }
};

template <class R> class count_items {
  using error = typename for_each_sink<R>::error;

 public:
  using result_type = expected<std::size_t, for_each_failure<error>>;
  using settings = on_error;
  explicit count_items(on_error then) noexcept : then_{then} {}
  static constexpr bool in_order() noexcept { return false; }
  bool accept(std::size_t index, R&& result) {
    if (!for_each_sink<R>::failed(result)) {
      ++seen_.succeeded;
      return true;
    }
    if constexpr (expected_result<R>) {
      if (seen_.failed++ == 0) {
        seen_.first_error.emplace(std::move(result).error());
        seen_.first_failed = index;
      }
    }
    return then_ == on_error::go_on;
  }
  result_type finish(bool complete) {
    seen_.complete = complete;
    if (complete && seen_.failed == 0) return seen_.succeeded;
    return result_type{unexpect, std::move(seen_)};
  }

 private:
  on_error then_;
  for_each_failure<error> seen_;
};

}  // namespace detail

template <class Range, class F>
  requires detail::called_with_items<std::decay_t<F>, Range>
auto for_each(Range&& range, int at_most, F&& f, on_error then = on_error::stop) {
  using function = detail::stored_t<F>;
  using results = detail::count_items<detail::item_result_t<function, Range>>;
  return detail::item_operation<Range, function, results>{std::forward<Range>(range), at_most, std::forward<F>(f),
                                                          then};
}
// A mistake: one compile error says how to fix it.
template <class Range, class F>
  requires(!detail::called_with_items<std::decay_t<F>, Range>)
auto for_each(Range&&, int, F&&, on_error = on_error::stop) {
  detail::explain_item_calls<Range, std::decay_t<F>>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
