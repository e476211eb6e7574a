// SPDX-License-Identifier: MIT
/// \file
/// A number of children that is known at run time, all of one type. They are made in place, in one allocation, and
/// never moved.
#pragma once

#include <again/coro/detail/child.hpp>
#include <again/coro/detail/child_group.hpp>

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class A> class child_array {
 public:
  explicit child_array(std::vector<A>&& from)
      : nodes_{from.empty() ? nullptr : storage{}.allocate(from.size())}, capacity_{from.size()} {
    for (A& a : from) {
      try {
        ::new (static_cast<void*>(nodes_ + size_)) node(std::move(a));
      } catch (...) {
        clear();
        throw;
      }
      ++size_;
    }
  }
  child_array(const child_array&) = delete;
  child_array& operator=(const child_array&) = delete;
  ~child_array() { clear(); }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  child<A>& operator[](std::size_t i) noexcept { return nodes_[i].awaited; }

  /// `f(child, member)` for each, in order.
  template <class F> void for_each(F f) noexcept {
    for (std::size_t i = 0; i < size_; ++i) f(nodes_[i].awaited, nodes_[i].member);
  }

 private:
  struct node {
    explicit node(A&& a) : awaited(std::move(a)) {}
    child<A> awaited;
    child_group::member member;
  };
  using storage = typename std::vector<node>::allocator_type;

  void clear() noexcept {
    while (size_ > 0) nodes_[--size_].~node();
    if (nodes_ != nullptr) storage{}.deallocate(nodes_, capacity_);
  }
  node* nodes_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
