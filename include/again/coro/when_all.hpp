// SPDX-License-Identifier: MIT
/// \file
/// `when_all`: awaits several things concurrently and gives all their results.
///
/// ```cpp
/// auto [quote, rate] =
///     co_await again::when_all(again::retry(polite, api.get("/quote")), again::retry(polite, api.get("/rate")));
/// std::vector<R> all = co_await again::when_all(std::move(tasks));      // std::vector<task<R>>
/// ```
///
/// - Takes: tasks, operations (each is started once) and foreign awaitables, by value. They are started in the order
///   given.
/// - Result: a tuple (`std::monostate` for void), or a vector; in the order given. Without arguments it completes
///   immediately.
/// - Errors: an `expected` with an error is a result like any other, and does not stop the others. If one throws, the
///   others are asked to stop and are awaited; then the first exception is rethrown.
/// - Cancellation: a stop request reaches all of them. The await ends when all have finished.
/// - Bounds of its own: `.stop(token)` and `.within(duration)`, where it is awaited: `co_await when_all(a, b).within(1s)`.
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

#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

template <class... A> class [[nodiscard]] when_all_run : child_group, public has_rare_bounds<when_all_run<A...>> {
 public:
  using result_type = std::tuple<regular_t<child_result_t<A>>...>;

  explicit when_all_run(A&&... awaited) : children_(std::move(awaited)...) {}
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<when_all_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept { return start_children(children_, &finished, k, ctx); }
  std::exception_ptr exception() noexcept { return thrown_; }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    return std::apply([](auto&... c) { return result_type{take_regular(c)...}; }, children_.all());
  }

 private:
  friend has_rare_bounds<when_all_run>;
  static void finished(child_group& g, std::size_t index) noexcept {
    when_all_run& self = static_cast<when_all_run&>(g);
    if (self.thrown_) return;
    self.keep_exception(index, std::index_sequence_for<A...>{});
    if (self.thrown_) self.stop_children();
  }
  template <std::size_t... I> void keep_exception(std::size_t index, std::index_sequence<I...>) noexcept {
    ((I == index ? void(thrown_ = children_.template get<I>().exception()) : void()), ...);
  }
  child_tuple<A...> children_;
  std::exception_ptr thrown_;
};

template <class A> class [[nodiscard]] when_all_range_run : child_group, public has_rare_bounds<when_all_range_run<A>> {
 public:
  using value = regular_t<child_result_t<A>>;
  using result_type = std::vector<value>;

  explicit when_all_range_run(std::vector<A>&& awaited) : children_{std::move(awaited)} {}
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<when_all_range_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept { return start_children(children_, &finished, k, ctx); }
  std::exception_ptr exception() noexcept { return thrown_; }
  result_type take() {
    if (thrown_) std::rethrow_exception(thrown_);
    result_type all;
    all.reserve(children_.size());
    for (std::size_t i = 0; i < children_.size(); ++i) all.push_back(take_regular(children_[i]));
    return all;
  }

 private:
  friend has_rare_bounds<when_all_range_run>;
  static void finished(child_group& g, std::size_t index) noexcept {
    when_all_range_run& self = static_cast<when_all_range_run&>(g);
    if (self.thrown_) return;
    self.thrown_ = self.children_[index].exception();
    if (self.thrown_) self.stop_children();
  }
  child_array<A> children_;
  std::exception_ptr thrown_;
};

}  // namespace detail

template <detail::child_like... A>
  requires(detail::storable<A> && ...)
auto when_all(A&&... awaited) {
  return detail::when_all_run<detail::stored_t<A>...>{detail::stored_t<A>(std::forward<A>(awaited))...};
}
// A mistake: one compile error says how to fix it.
template <detail::child_like... A>
  requires(!(detail::storable<A> && ...))
auto when_all(A&&...) {
  static_assert((detail::storable<A> && ...),
                "again::when_all: a task runs once, and one that has a name is moved: when_all(std::move(task), ...)");
  return detail::misused{};
}
template <detail::child_like A> auto when_all(std::vector<A> awaited) {
  return detail::when_all_range_run<A>{std::move(awaited)};
}

}  // namespace AGAIN_ABI
}  // namespace again
