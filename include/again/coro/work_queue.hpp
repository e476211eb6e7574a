// SPDX-License-Identifier: MIT
/// \file
/// `work_queue`: a first-in-first-out queue of `work` nodes, from which any node can be removed. For schedulers.
///
/// ```cpp
/// local.push(w, again::work::state::local);          // in `post`, on the scheduler's thread
/// remote.push(w, again::work::state::remote);        // in `post`, elsewhere, under a lock
/// local.take(remote, again::work::state::local);     // before a round of callbacks, under the lock
/// while (again::work* w = local.pop()) w->run(*w);   // the round
/// ```
///
/// A node says in which queue it is (`queued`), so that `forget` knows whether it needs the lock.
///
/// - Lifetime: a node outlives its stay in a queue. The queue owns nothing.
/// - Thread: one, or under a lock.
/// - Cost: it is intrusive: it allocates nothing, and every function takes constant time, except `take`, which walks
///   the nodes that it moves.
#pragma once

#include <again/core/detail/intrusive_list.hpp>
#include <again/coro/scheduler.hpp>

namespace again {
inline namespace AGAIN_ABI {

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
  detail::intrusive_list<work> list_;
};

}  // namespace AGAIN_ABI
}  // namespace again
