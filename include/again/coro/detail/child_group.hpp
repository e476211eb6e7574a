// SPDX-License-Identifier: MIT
/// \file
/// Base of `when_all` and `when_any`: starts all children in order under one stop source, and counts them down.
///
/// Everything runs on the scheduler's thread. A stop request may run on another thread: it is only passed on to the
/// stop source.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/await_bounds.hpp>

#include <cstddef>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class child_group {
 public:
  child_group() noexcept = default;
  child_group(const child_group&) = delete;
  child_group& operator=(const child_group&) = delete;

  /// What a child's continuation points to. It is stored beside the child.
  struct member {
    child_group* group = nullptr;
    std::size_t index = 0;
    static void finished(void* self) noexcept {
      const member& m = *static_cast<member*>(self);
      child_group& g = *m.group;
      g.finished_(g, m.index);
      if (--g.running_ == 0) {
        g.release();
        g.k_();
      }
    }
  };

 protected:
  ~child_group() = default;

  /// Starts all of `children`. `finished` is called with the index of each child that has finished. True: all have
  /// finished; else `k` is called when the last one has. `Children` has `size()` and `for_each`, which calls its
  /// argument with each child and the child's `member`.
  template <class Children> bool start_children(Children& children,
                                                void (*finished)(child_group&, std::size_t) noexcept, continuation k,
                                                const context& ctx) noexcept {
    k_ = k;
    finished_ = finished;
    running_ = children.size() + 1;  // one more: nothing is over before all have been started
    const context& within = bounds_.begin(ctx);
    inner_ = within;
    inner_.stop = stop_.get_token();
    stop_.follow(within.stop);
    std::size_t index = 0;
    children.for_each([&](auto& child, member& m) noexcept {
      m = {this, index++};
      if (!child.start({&member::finished, &m}, inner_)) return;
      finished_(*this, m.index);
      --running_;
    });
    if (--running_ != 0) return false;
    release();
    return true;
  }
  void stop_children() noexcept { stop_.request_stop(); }
  rare_bounds& bounds() noexcept { return bounds_; }

 private:
  // All have finished: nothing of the awaiting context is used any more.
  void release() noexcept {
    stop_.unlink();
    bounds_.end();
  }

  continuation k_;
  void (*finished_)(child_group&, std::size_t) noexcept = nullptr;
  std::size_t running_ = 0;
  rare_bounds bounds_;
  context inner_;
  linked_stop_source stop_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
