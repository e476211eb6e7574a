// SPDX-License-Identifier: MIT
/// \file
/// `when_any`: awaits several things concurrently and gives the result of the first to finish. The others are stopped.
///
/// ```cpp
/// auto first = co_await again::when_any(ask(a), ask(b));
/// if (first.index() == 0) use(std::get<0>(first));
/// auto one = co_await again::when_any(std::move(tasks));   // std::vector<task<R>>: { index, value }
/// ```
///
/// - Takes: tasks, operations (each is started once) and foreign awaitables, by value. They are started in the order
///   given.
/// - Result: that of the first to *finish*, with a value or an error; for the first *success* see `hedge`. The others
///   are asked to stop and are awaited before the result is given, so that none of them is left running. Their results
///   are dropped.
/// - Errors: if the first to finish threw, its exception is rethrown. An empty range throws `std::invalid_argument`,
///   because the await would never end.
/// - Cancellation: a stop request reaches all of them.
/// - Bounds of its own: `.stop(token)` and `.within(duration)`, where it is awaited: `co_await when_any(a, b).within(1s)`.
/// - Lifetime: destroying the awaiting coroutine ends all of them.
/// - Thread: everything runs on the scheduler's thread.
/// - Cost: no allocation for arguments; one for a vector.
#pragma once

#include <again/coro/detail/await_bounds.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/child.hpp>
#include <again/coro/detail/child_array.hpp>
#include <again/coro/detail/child_group.hpp>
#include <again/coro/detail/child_tuple.hpp>
#include <again/coro/detail/misused.hpp>
#include <again/coro/detail/regular_result.hpp>
#include <again/coro/detail/unnamed_closure.hpp>

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

/// The result of `when_any` for a range: the index of the first to finish, and its result.
template <class T> struct first_of {
  std::size_t index;
  T value;
};

namespace detail {

inline constexpr std::size_t none_yet = static_cast<std::size_t>(-1);

template <class... A> class [[nodiscard]] when_any_run : child_group, public has_rare_bounds<when_any_run<A...>> {
 public:
  using result_type = std::variant<regular_t<child_result_t<A>>...>;

  explicit when_any_run(A&&... awaited) : children_(std::move(awaited)...) {}
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<when_any_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept { return start_children(children_, &finished, k, ctx); }
  std::exception_ptr exception() noexcept {
    return visit_first<std::exception_ptr>([](auto, auto& c) { return c.exception(); });
  }
  result_type take() {
    return visit_first<result_type>([](auto which, auto& c) { return result_type(which, take_regular(c)); });
  }

 private:
  friend has_rare_bounds<when_any_run>;
  static void finished(child_group& g, std::size_t index) noexcept {
    when_any_run& self = static_cast<when_any_run&>(g);
    if (self.first_ != none_yet) return;
    self.first_ = index;
    self.stop_children();
  }
  template <class R, class F, std::size_t I = 0> auto visit_first(F f) -> R {
    if constexpr (I + 1 < sizeof...(A)) {
      if (first_ != I) return visit_first<R, F, I + 1>(f);
    }
    return f(std::in_place_index<I>, children_.template get<I>());
  }
  child_tuple<A...> children_;
  std::size_t first_ = none_yet;
};

template <class A> class [[nodiscard]] when_any_range_run : child_group, public has_rare_bounds<when_any_range_run<A>> {
 public:
  using value = regular_t<child_result_t<A>>;
  using result_type = first_of<value>;

  explicit when_any_range_run(std::vector<A>&& awaited) : children_{std::move(awaited)} {
    if (children_.size() == 0) throw std::invalid_argument{"again::when_any: an empty range would never finish"};
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<when_any_range_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept { return start_children(children_, &finished, k, ctx); }
  std::exception_ptr exception() noexcept { return children_[first_].exception(); }
  result_type take() { return {first_, take_regular(children_[first_])}; }

 private:
  friend has_rare_bounds<when_any_range_run>;
  static void finished(child_group& g, std::size_t index) noexcept {
    when_any_range_run& self = static_cast<when_any_range_run&>(g);
    if (self.first_ != none_yet) return;
    self.first_ = index;
    self.stop_children();
  }
  child_array<A> children_;
  std::size_t first_ = none_yet;
};

}  // namespace detail

template <detail::child_like... A>
  requires(sizeof...(A) > 0 && (detail::storable<A> && ...))
auto when_any(A&&... awaited) {
  return detail::when_any_run<detail::stored_t<A>...>{detail::stored_t<A>(std::forward<A>(awaited))...};
}
// A mistake: one compile error says how to fix it.
template <detail::child_like... A>
  requires(!(detail::storable<A> && ...))
auto when_any(A&&...) {
  static_assert((detail::storable<A> && ...),
                "again::when_any: a task runs once, and one that has a name is moved: when_any(std::move(task), ...)");
  return detail::misused{};
}
template <detail::child_like A> auto when_any(std::vector<A> awaited) {
  return detail::when_any_range_run<A>{std::move(awaited)};
}

}  // namespace AGAIN_ABI
}  // namespace again
