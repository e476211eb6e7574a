// SPDX-License-Identifier: MIT
/// \file
/// A first-in-first-out queue of `work` nodes, from which any node can be removed. It is intrusive: it allocates
/// nothing. One thread, or under a lock.
#pragma once

#include <again/core/detail/intrusive_list.hpp>
#include <again/coro/scheduler.hpp>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class work_queue {
 public:
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }

  void push(work& w, work::state where) noexcept {
    w.queued = where;
    list_.push(w);
  }
  void remove(work& w) noexcept {
    list_.remove(w);
    w.queued = work::state::idle;
  }
  work* pop() noexcept {
    work* const w = list_.pop();
    if (w != nullptr) w->queued = work::state::idle;
    return w;
  }
  /// Moves all of `other` to the end of this one.
  void take(work_queue& other, work::state where) noexcept {
    for (work* w = other.list_.front(); w != nullptr; w = w->next) w->queued = where;
    list_.append(other.list_);
  }

 private:
  intrusive_list<work> list_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
