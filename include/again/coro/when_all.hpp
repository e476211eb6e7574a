// SPDX-License-Identifier: MIT
/// \file
/// `when_all`: awaits several things at once and gives all their results.
///
/// ```cpp
/// auto [quote, rates] = co_await again::when_all(again::retry(polite, api.get("/quote")), again::retry(polite, api.get("/rates")));
/// std::vector<R> all = co_await again::when_all(std::move(tasks));      // std::vector<task<R>>
/// ```
///
/// - Takes tasks, operations (each is started once) and foreign awaitables, by value. Started in order; they finish in any.
/// - Result: a tuple (`std::monostate` for void), or a vector in the order given. An `expected` with an error is a result like
///   any other: it does not stop the others.
/// - Exceptions: the first one stops the others; all are awaited; then it is rethrown.
/// - Cancellation: a stop request reaches all of them. - Without arguments it completes immediately.
#pragma once

#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/child.hpp>
#include <again/coro/detail/child_array.hpp>
#include <again/coro/detail/child_group.hpp>
#include <again/coro/detail/unnamed_closure.hpp>

#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

template <class T> using regular_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class Child> regular_t<typename Child::result_type> take_regular(Child& c) {
  if constexpr (std::is_void_v<typename Child::result_type>) {
    c.take();
    return {};
  } else {
    return c.take();
  }
}

template <class... A> class [[nodiscard]] when_all_run : child_group {
 public:
  using result_type = std::tuple<regular_t<child_result_t<A>>...>;

  explicit when_all_run(A&&... awaited) : children_(std::move(awaited)...) {}
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<when_all_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    const context& inner = open(sizeof...(A), &finished, k, ctx);
    start_each(inner, std::index_sequence_for<A...>{});
    return close();
  }
  std::exception_ptr exception() noexcept { return thrown_; }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    return std::apply([](auto&... c) { return result_type{take_regular(c)...}; }, children_);
  }

 private:
  template <std::size_t... I> void start_each(const context& inner, std::index_sequence<I...>) noexcept {
    ((places_[I] = {this, I},
      started(places_[I], std::get<I>(children_).start({&place::finished, &places_[I]}, inner))),
     ...);
    (void)inner;
  }
  static void finished(child_group& g, std::size_t index) noexcept {
    when_all_run& self = static_cast<when_all_run&>(g);
    if (self.thrown_) return;
    self.look(index, std::index_sequence_for<A...>{});
    if (self.thrown_) self.stop_children();
  }
  template <std::size_t... I> void look(std::size_t index, std::index_sequence<I...>) noexcept {
    ((I == index ? void(thrown_ = std::get<I>(children_).exception()) : void()), ...);
  }
  std::tuple<child<A>...> children_;
  place places_[sizeof...(A) + 1];
  std::exception_ptr thrown_;
};

template <class A> class [[nodiscard]] when_all_range_run : child_group {
 public:
  using value = regular_t<child_result_t<A>>;
  using result_type = std::vector<value>;

  explicit when_all_range_run(std::vector<A>&& awaited) : children_{std::move(awaited)} {}
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<when_all_range_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    const context& inner = open(children_.size(), &finished, k, ctx);
    for (std::size_t i = 0; i < children_.size(); ++i) {
      auto& node = children_[i];
      node.place = {this, i};
      started(node.place, node.awaited.start({&place::finished, &node.place}, inner));
    }
    return close();
  }
  std::exception_ptr exception() noexcept { return thrown_; }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    result_type all;
    all.reserve(children_.size());
    for (std::size_t i = 0; i < children_.size(); ++i) all.push_back(take_regular(children_[i].awaited));
    return all;
  }

 private:
  static void finished(child_group& g, std::size_t index) noexcept {
    when_all_range_run& self = static_cast<when_all_range_run&>(g);
    if (self.thrown_) return;
    self.thrown_ = self.children_[index].awaited.exception();
    if (self.thrown_) self.stop_children();
  }
  child_array<A> children_;
  std::exception_ptr thrown_;
};

}  // namespace detail

template <detail::child_like... A> auto when_all(A&&... awaited) {
  return detail::when_all_run<detail::stored_t<A>...>{detail::stored_t<A>(std::forward<A>(awaited))...};
}
template <detail::child_like A> auto when_all(std::vector<A> awaited) {
  return detail::when_all_range_run<A>{std::move(awaited)};
}

}  // namespace AGAIN_ABI
}  // namespace again
