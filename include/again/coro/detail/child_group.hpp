// SPDX-License-Identifier: MIT
/// \file
/// What `when_all` and `when_any` share: children started in order under one stop source, counted down to the last.
/// One thread: the scheduler's. The stop listener may run on another and only passes the request on.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/coro/awaitable.hpp>

#include <cstddef>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class child_group {
 public:
  child_group() noexcept = default;
  child_group(const child_group&) = delete;
  child_group& operator=(const child_group&) = delete;

  /// Whom a child tells.
  struct place {
    child_group* owner = nullptr;
    std::size_t index = 0;
    static void finished(void* self) noexcept {
      const place& p = *static_cast<place*>(self);
      child_group& g = *p.owner;
      g.finished_(g, p.index);
      if (--g.running_ == 0) {
        g.stop_.unlink();
        g.k_();
      }
    }
  };

 protected:
  ~child_group() = default;

  /// Before the children are started: `count` of them, `finished` is told each one's index.
  const context& open(std::size_t count, void (*finished)(child_group&, std::size_t) noexcept, continuation k,
                      const context& ctx) noexcept {
    k_ = k;
    finished_ = finished;
    running_ = count + 1;
    inner_ = ctx;
    inner_.stop = stop_.get_token();
    stop_.follow(ctx.stop);
    return inner_;
  }
  /// A child has been started; `at_once`: it finished.
  void started(place& p, bool at_once) noexcept {
    if (!at_once) return;
    finished_(*this, p.index);
    --running_;
  }
  /// All children have been started. True: and all have finished.
  bool close() noexcept {
    if (--running_ != 0) return false;
    stop_.unlink();
    return true;
  }
  void stop_children() noexcept { stop_.request_stop(); }

 private:
  continuation k_;
  void (*finished_)(child_group&, std::size_t) noexcept = nullptr;
  std::size_t running_ = 0;
  context inner_;
  linked_stop_source stop_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
