// SPDX-License-Identifier: MIT
/// \file
/// `intrusive_list`: a doubly linked list of nodes that their owners allocate. Nodes are pushed at the end and popped
/// from the front; any node can be removed. It allocates nothing. One thread, or under a lock.
///
/// A node type has two members, `next` and `previous`, both pointers to the node type or to a base of it. The list uses
/// them while the node is in it.
#pragma once

#include <again/core/expected.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Node> class intrusive_list {
 public:
  intrusive_list() noexcept = default;
  intrusive_list(const intrusive_list&) = delete;
  intrusive_list& operator=(const intrusive_list&) = delete;

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  /// The oldest node, or null.
  [[nodiscard]] Node* front() const noexcept { return first_; }
  /// The node behind `n`, or null.
  [[nodiscard]] static Node* after(const Node& n) noexcept { return static_cast<Node*>(n.next); }

  void push(Node& n) noexcept {
    n.next = nullptr;
    n.previous = last_;
    if (last_ != nullptr) {
      last_->next = &n;
    } else {
      first_ = &n;
    }
    last_ = &n;
  }
  /// Takes out `n`, which is in this list.
  void remove(Node& n) noexcept {
    Node* const before = static_cast<Node*>(n.previous);
    Node* const behind = static_cast<Node*>(n.next);
    if (before != nullptr) {
      before->next = behind;
    } else {
      first_ = behind;
    }
    if (behind != nullptr) {
      behind->previous = before;
    } else {
      last_ = before;
    }
  }
  /// Takes out the oldest node. Null: there is none.
  Node* pop() noexcept {
    Node* const n = first_;
    if (n != nullptr) remove(*n);
    return n;
  }
  /// Moves all of `other` to the end of this list, in order.
  void append(intrusive_list& other) noexcept {
    if (other.first_ == nullptr) return;
    other.first_->previous = last_;
    if (last_ != nullptr) {
      last_->next = other.first_;
    } else {
      first_ = other.first_;
    }
    last_ = other.last_;
    other.first_ = other.last_ = nullptr;
  }

 private:
  Node* first_ = nullptr;
  Node* last_ = nullptr;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
