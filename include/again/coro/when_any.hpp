// SPDX-License-Identifier: MIT
/// \file
/// `when_any`: awaits several things at once, gives the result of the first to finish, stops and awaits the others.
///
/// ```cpp
/// auto first = co_await again::when_any(ask(a), ask(b));
/// if (first.index() == 0) use(std::get<0>(first));
/// auto one = co_await again::when_any(std::move(tasks));   // std::vector<task<R>>: { index, value }
/// ```
///
/// - The first to *finish*, with a value or an error; for the first *success* see `hedge`. If it threw, that is rethrown.
/// - The others are asked to stop and are awaited before the result is given, so that nothing of them is left running; their
///   results are dropped.
/// - An empty range throws `std::invalid_argument`: nothing would ever finish.
#pragma once

#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/unnamed_closure.hpp>
#include <again/coro/when_all.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

/// Of a range: which one was first, and what it gave.
template <class T> struct first_of {
  std::size_t index;
  T value;
};

namespace detail {

inline constexpr std::size_t nobody_yet = static_cast<std::size_t>(-1);

template <class... A> class [[nodiscard]] when_any_run : child_group {
 public:
  using result_type = std::variant<regular_t<child_result_t<A>>...>;

  explicit when_any_run(A&&... awaited) : children_(std::move(awaited)...) {}
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<when_any_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    const context& inner = open(sizeof...(A), &finished, k, ctx);
    start_each(inner, std::index_sequence_for<A...>{});
    return close();
  }
  std::exception_ptr exception() noexcept {
    return visit_first<std::exception_ptr>([](auto, auto& c) { return c.exception(); });
  }
  result_type take() {
    return visit_first<result_type>([](auto which, auto& c) { return result_type(which, take_regular(c)); });
  }

 private:
  template <std::size_t... I> void start_each(const context& inner, std::index_sequence<I...>) noexcept {
    ((places_[I] = {this, I},
      started(places_[I], std::get<I>(children_).start({&place::finished, &places_[I]}, inner))),
     ...);
  }
  static void finished(child_group& g, std::size_t index) noexcept {
    when_any_run& self = static_cast<when_any_run&>(g);
    if (self.first_ != nobody_yet) return;
    self.first_ = index;
    self.stop_children();
  }
  template <class R, class F, std::size_t I = 0> auto visit_first(F f) -> R {
    if constexpr (I + 1 < sizeof...(A)) {
      if (first_ != I) return visit_first<R, F, I + 1>(f);
    }
    return f(std::in_place_index<I>, std::get<I>(children_));
  }
  std::tuple<child<A>...> children_;
  place places_[sizeof...(A)];
  std::size_t first_ = nobody_yet;
};

template <class A> class [[nodiscard]] when_any_range_run : child_group {
 public:
  using value = regular_t<child_result_t<A>>;
  using result_type = first_of<value>;

  explicit when_any_range_run(std::vector<A>&& awaited) : children_{std::move(awaited)} {
    if (children_.size() == 0) throw std::invalid_argument{"again::when_any: an empty range would never finish"};
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<when_any_range_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    const context& inner = open(children_.size(), &finished, k, ctx);
    for (std::size_t i = 0; i < children_.size(); ++i) {
      auto& node = children_[i];
      node.place = {this, i};
      started(node.place, node.awaited.start({&place::finished, &node.place}, inner));
    }
    return close();
  }
  std::exception_ptr exception() noexcept { return children_[first_].awaited.exception(); }
  result_type take() { return {first_, take_regular(children_[first_].awaited)}; }

 private:
  static void finished(child_group& g, std::size_t index) noexcept {
    when_any_range_run& self = static_cast<when_any_range_run&>(g);
    if (self.first_ != nobody_yet) return;
    self.first_ = index;
    self.stop_children();
  }
  child_array<A> children_;
  std::size_t first_ = nobody_yet;
};

}  // namespace detail

template <detail::child_like... A>
  requires(sizeof...(A) > 0)
auto when_any(A&&... awaited) {
  return detail::when_any_run<detail::stored_t<A>...>{detail::stored_t<A>(std::forward<A>(awaited))...};
}
template <detail::child_like A> auto when_any(std::vector<A> awaited) {
  return detail::when_any_range_run<A>{std::move(awaited)};
}

}  // namespace AGAIN_ABI
}  // namespace again
