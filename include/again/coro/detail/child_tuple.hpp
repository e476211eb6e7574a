// SPDX-License-Identifier: MIT
/// \file
/// A number of children that is known at compile time, each of a type that may differ. They are made in place and never
/// moved.
#pragma once

#include <again/coro/detail/child.hpp>
#include <again/coro/detail/child_group.hpp>

#include <array>
#include <cstddef>
#include <tuple>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class... A> class child_tuple {
 public:
  explicit child_tuple(A&&... awaited) : children_(std::move(awaited)...) {}

  static constexpr std::size_t size() noexcept { return sizeof...(A); }
  template <std::size_t I> auto& get() noexcept { return std::get<I>(children_); }
  std::tuple<child<A>...>& all() noexcept { return children_; }

  /// `f(child, member)` for each, in order.
  template <class F> void for_each(F f) noexcept { for_each(f, std::index_sequence_for<A...>{}); }

 private:
  template <class F, std::size_t... I> void for_each(F& f, std::index_sequence<I...>) noexcept {
    (f(std::get<I>(children_), members_[I]), ...);
  }
  std::tuple<child<A>...> children_;
  std::array<child_group::member, sizeof...(A)> members_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
