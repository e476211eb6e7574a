// SPDX-License-Identifier: MIT
/// \file
/// Runs a startable on a given scheduler, and brings its result back to the scheduler of the awaiting context.
///
/// If both are the same scheduler, the startable runs in place. Else it lives in a heap block. The far thread owns the
/// contents of the block; the awaiting side holds a pointer to it. `state_` decides which side frees it. So the
/// awaiting coroutine can be destroyed at any time without waiting for the far thread.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/core/detail/manual_optional.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class S> class run_on {
 public:
  using result_type = typename S::result_type;
  using parts_type = typename S::parts_type;

  explicit run_on(parts_type& parts) : parts_{parts} {}
  run_on(const run_on&) = delete;
  run_on& operator=(const run_on&) = delete;
  ~run_on() {
    if (far_ != nullptr) far_->abandon();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<run_on>{*this}; }
  scheduler* own_scheduler() const noexcept { return parts_.settings.where; }

  bool start(continuation k, const context& ctx) noexcept {
    scheduler& where = *parts_.settings.where;
    if (ctx.scheduler == &where) {
      near_.emplace(parts_);
      return near_->start(k, ctx);
    }
    try {
      far_ = new block{parts_, k, ctx};
    } catch (...) {
      failed_ = std::current_exception();
      return true;
    }
    where.post(*far_);
    return false;
  }
  std::exception_ptr exception() noexcept {
    return failed_ ? failed_ : near_ ? near_->exception() : far_->running->exception();
  }
  result_type take() {
    if (failed_) std::rethrow_exception(failed_);
    return near_ ? near_->take() : far_->running->take();
  }

 private:
  struct block : work {
    block(const parts_type& p, continuation then, const context& ctx)
        : parts{p}, k{then}, home{ctx.scheduler}, away{ctx} {
      away.scheduler = p.settings.where;
      if (ctx.deadline != never) {  // the two schedulers may have different clocks
        const duration left = ctx.deadline - home->now();
        away.deadline = saturating_add(away.scheduler->now(), left > duration::zero() ? left : duration::zero());
      }
      away.stop = stop.get_token();
      work::run = [](work& self) noexcept { static_cast<block&>(self).begin(); };
      stop.follow(ctx.stop);
      home->work_started();
    }
    // Far thread.
    void begin() noexcept {
      if (state_.load(std::memory_order_acquire) == state::abandoned) {
        delete this;
        return;
      }
      running.emplace(parts);
      if (running->start({&block::finished, this}, away)) finished(this);
    }
    static void finished(void* p) noexcept {
      block& self = *static_cast<block*>(p);
      self.back.run = [](work& w) noexcept {
        block& b = *static_cast<back_work&>(w).owner;
        b.await_posted();
        b.home->work_finished();
        const continuation then = b.k;
        b.stop.unlink();
        then();
      };
      scheduler* const there = self.home;
      state expected = state::running;
      if (self.state_.compare_exchange_strong(expected, state::posting, std::memory_order_acq_rel)) {
        there->post(self.back);
        self.state_.store(state::posted, std::memory_order_release);  // the far thread's last touch
      } else {
        delete &self;
      }
    }
    // Home thread: the awaiting side is destroyed.
    void abandon() noexcept {
      stop.unlink();
      stop.request_stop();  // before the far side is told to free the block: afterwards the block may be gone
      scheduler* const here = home;
      state expected = state::running;
      if (state_.compare_exchange_strong(expected, state::abandoned, std::memory_order_acq_rel)) {
        here->work_finished();
        return;
      }
      await_posted();
      if (back.queued != work::state::idle) {
        home->forget(back);
        home->work_finished();
      }
      delete this;
    }
    void await_posted() const noexcept {
      while (state_.load(std::memory_order_acquire) != state::posted) {}
    }

    struct back_work : work {
      block* owner = nullptr;
    };
    enum class state : std::uint8_t { running, posting, posted, abandoned };

    parts_type parts;
    continuation k;
    scheduler* home;
    context away;
    linked_stop_source stop;
    manual_optional<S> running;
    back_work back{{}, this};
    std::atomic<state> state_{state::running};
  };

  parts_type& parts_;
  manual_optional<S> near_;
  block* far_ = nullptr;
  std::exception_ptr failed_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
