// SPDX-License-Identifier: MIT
/// \file
/// `transform`: calls a function for each item of a range, with a bound on how many of the calls run at once, and gives
/// all results.
///
/// ```cpp
/// auto quotes = co_await again::transform(symbols, 32, [&](const std::string& s) { return again::retry(polite, api.get("/" + s)); });
/// for (auto& quote : quotes.results) …                          // an expected for each symbol, in their order
///
/// co_await again::transform(lines, 32, send, [&](auto&& result) { print(result); });   // each result when its turn comes
/// co_await again::transform(lines, 32, send, print, again::result_order::of_completion);
/// ```
///
/// - Takes: as `for_each`. The fourth argument is called with each result, on the scheduler's thread; it returns nothing,
///   or false to end the whole: then no further item is started, and the calls that run are stopped and awaited.
/// - Result: `transformed<R>`, all results in the order of the items; with a fourth argument `transform_end`, their number.
///   `complete` is false if a stop request, or the fourth argument, ended it before the end of the range.
/// - Errors: an `expected` with an error is a result like any other. An exception of a call, of a function or of the range
///   stops the others and is rethrown.
/// - Memory: with a fourth argument it is bounded by `at_most`, whatever the range: while a result waits for an earlier one
///   (`result_order::of_items`), it counts as one of those that run.
/// - Cancellation, lifetime, thread, cost: as `for_each`.
#pragma once

#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/item_runs.hpp>
#include <again/coro/detail/misused.hpp>
#include <again/coro/detail/unnamed_closure.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

/// The order in which `transform` passes the results on.
enum class result_order : std::uint8_t {
  of_items,       ///< that of the range
  of_completion,  ///< as they come: none waits for another
};

/// What `transform` gives.
template <class R> struct [[nodiscard]] transformed {
  std::vector<R> results{};  ///< in the order of the items; `std::monostate` for void
  bool complete = false;     ///< false: a stop request came before the last item was started
};

/// What `transform` gives that passes its results on.
struct [[nodiscard]] transform_end {
  std::size_t results = 0;  ///< passed on
  bool complete = false;    ///< false: stopped, or ended by the function, before the last item was started
};

namespace detail {

template <class R> class collect_results {
 public:
  using result_type = transformed<R>;
  struct settings {};
  explicit collect_results(const settings&) noexcept {}
  static constexpr bool in_order() noexcept { return true; }
  bool accept(std::size_t /*index*/, R&& result) {
    all_.results.push_back(std::move(result));
    return true;
  }
  result_type finish(bool complete) {
    all_.complete = complete;
    return std::move(all_);
  }

 private:
  result_type all_;
};

template <class R, class Out> class pass_on {
 public:
  using result_type = transform_end;
  struct settings {
    Out out;
    result_order order;
  };
  explicit pass_on(settings& s) noexcept : settings_{s} {}
  bool in_order() const noexcept { return settings_.order == result_order::of_items; }
  bool accept(std::size_t /*index*/, R&& result) {
    ++end_.results;
    if constexpr (std::is_void_v<std::invoke_result_t<Out&, R&&>>) {
      settings_.out(std::move(result));
      return true;
    } else {
      return static_cast<bool>(settings_.out(std::move(result)));
    }
  }
  result_type finish(bool complete) {
    end_.complete = complete;
    return end_;
  }

 private:
  settings& settings_;
  transform_end end_;
};

}  // namespace detail

template <class Range, class F>
  requires detail::called_with_items<std::decay_t<F>, Range>
auto transform(Range&& range, int at_most, F&& f) {
  using function = detail::stored_t<F>;
  using results = detail::collect_results<detail::item_result_t<function, Range>>;
  return detail::item_operation<Range, function, results>{std::forward<Range>(range), at_most, std::forward<F>(f), {}};
}
template <class Range, class F, class Out>
  requires detail::called_with_items<std::decay_t<F>, Range>
auto transform(Range&& range, int at_most, F&& f, Out&& out, result_order order = result_order::of_items) {
  using function = detail::stored_t<F>;
  using result = detail::item_result_t<function, Range>;
  static_assert(std::is_invocable_v<std::decay_t<Out>&, result&&>,
                "again::transform: the last function takes the result of an item");
  using results = detail::pass_on<result, detail::stored_t<Out>>;
  return detail::item_operation<Range, function, results>{
      std::forward<Range>(range), at_most, std::forward<F>(f), {detail::stored_t<Out>(std::forward<Out>(out)), order}};
}
// A mistake: one compile error says how to fix it.
template <class Range, class F, class... Out>
  requires(!detail::called_with_items<std::decay_t<F>, Range>)
auto transform(Range&&, int, F&&, Out&&...) {
  detail::explain_item_calls<Range, std::decay_t<F>>();
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
