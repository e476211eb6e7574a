// SPDX-License-Identifier: MIT
/// \file
/// A first-in-first-out queue of `work` nodes that any node can leave early. Intrusive: allocates nothing. One thread, or a
/// lock around it.
#pragma once

#include <again/coro/scheduler.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class work_queue {
 public:
  work_queue() noexcept = default;
  work_queue(const work_queue&) = delete;
  work_queue& operator=(const work_queue&) = delete;

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

  void push(work& w, work::state where) noexcept {
    w.queued = where;
    w.next = nullptr;
    w.previous = tail_;
    (tail_ != nullptr ? tail_->next : head_) = &w;
    tail_ = &w;
  }

  void remove(work& w) noexcept {
    (w.previous != nullptr ? w.previous->next : head_) = w.next;
    (w.next != nullptr ? w.next->previous : tail_) = w.previous;
    w.queued = work::state::idle;
  }

  work* pop() noexcept {
    work* const w = head_;
    if (w != nullptr) remove(*w);
    return w;
  }

  /// Moves all of `other` to the end of this one.
  void take(work_queue& other, work::state where) noexcept {
    for (work* w = other.head_; w != nullptr; w = w->next) w->queued = where;
    if (other.head_ == nullptr) return;
    (tail_ != nullptr ? tail_->next : head_) = other.head_;
    other.head_->previous = tail_;
    tail_ = other.tail_;
    other.head_ = other.tail_ = nullptr;
  }

 private:
  work* head_ = nullptr;
  work* tail_ = nullptr;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
