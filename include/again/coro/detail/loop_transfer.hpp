// SPDX-License-Identifier: MIT
/// \file
/// Starts a startable on the loop of another thread: that of the awaiting coroutine's context, or one that it was given.
///
/// A transfer is a heap block, because the awaiting coroutine may be destroyed before the loop has run it: on the
/// thread that awaited, or on the loop's. The awaiter holds a pointer to the block and the loop's queue holds the block
/// itself. `state_` decides which of the two sides is the last to use the block and frees it.
#pragma once

#include <again/coro/awaitable.hpp>

#include <atomic>
#include <cstdint>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class loop_transfer : work {
 public:
  template <class S> loop_transfer(S& s, continuation k, const context& there) noexcept
      : work{.run = &arrived_at_home},
        startable_{&s},
        start_{[](void* startable, continuation then, const context& ctx) noexcept {
          return static_cast<S*>(startable)->start(then, ctx);
        }},
        k_{k},
        context_{there} {}
  loop_transfer(const loop_transfer&) = delete;
  loop_transfer& operator=(const loop_transfer&) = delete;

  /// From here on the loop may run the coroutine, and destroy the awaiter: the caller touches neither any more.
  void post() noexcept { context_.scheduler->post(*this); }

  /// The awaiter is destroyed. Frees the block, or leaves that to the loop.
  [[gnu::noinline, gnu::cold]] void abandon() noexcept {
    if (state_.exchange(state::abandoned, std::memory_order_acq_rel) == state::arrived) delete this;
  }

 private:
  enum class state : std::uint8_t { under_way, arrived, abandoned };

  ~loop_transfer() = default;

  // The loop's thread.
  static void arrived_at_home(work& self) noexcept {
    loop_transfer& t = static_cast<loop_transfer&>(self);
    if (t.state_.exchange(state::arrived, std::memory_order_acq_rel) == state::abandoned) {
      delete &t;
      return;
    }
    const continuation then = t.k_;
    if (t.start_(t.startable_, then, t.context_)) then();
  }

  void* startable_;
  bool (*start_)(void* startable, continuation, const context&) noexcept;
  continuation k_;
  const context& context_;
  std::atomic<state> state_{state::under_way};
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
