// SPDX-License-Identifier: MIT
/// \file
/// `sender_await`: a startable that awaits a sender of P2300. `End` says what becomes of its completion.
///
/// The sender's operation state lives in a block of its own, because a coroutine of ours may be destroyed at any
/// suspension, and an operation state may not be while it runs. Two sides own the block: the awaiting side, on the
/// loop's thread, and the sender until it has completed, on any thread. `state_` decides which of them came second.
/// Stop source and context are in the block, so that a sender that outlives the awaiting coroutine still has them.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/promise_allocation.hpp>
#include <again/execution/detail/context_query.hpp>
#include <again/execution/library.hpp>
#include <again/execution/loop_scheduler.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {
namespace detail {

/// The environment of what is awaited: stop token, scheduler and context of the awaiting task.
struct await_env {
  const context* from;

  [[nodiscard]] inplace_stop_token query(lib::get_stop_token_t) const noexcept { return from->stop; }
  template <class Query>
    requires(std::is_same_v<Query, lib::get_scheduler_t> || std::is_same_v<Query, lib::start_scheduler_query>)
  [[nodiscard]] loop_scheduler query(Query) const noexcept {
    return loop_scheduler{*from->scheduler};
  }
  [[nodiscard]] const context* query(get_context_t) const noexcept { return from; }
};

/// Whether the sender says that it completes on `loop`.
template <class Sender> bool completes_on(const Sender& sender, const again::scheduler& loop) noexcept {
  if constexpr (requires {
                  {
                    lib::get_completion_scheduler_t<lib::set_value_t>{}(lib::get_env(sender)).loop()
                  } -> std::same_as<again::scheduler&>;
                }) {
    return &lib::get_completion_scheduler_t<lib::set_value_t>{}(lib::get_env(sender)).loop() == &loop;
  } else {
    return false;
  }
}

/// `End` keeps what the sender completes with: `put_value(...)`, `put_error(e)` and `put_stopped()` may throw,
/// `thrown()` gives an exception, and `take()` the result.
template <class Sender, class End> class sender_block : public again::detail::promise_allocation, work {
 public:
  struct receiver {
    using receiver_concept = lib::receiver_tag;
    sender_block* block;

    template <class... V> void set_value(V&&... v) && noexcept {
      block->complete([&](End& end) { end.put_value(std::forward<V>(v)...); });
    }
    template <class E> void set_error(E&& e) && noexcept {
      block->complete([&](End& end) { end.put_error(std::forward<E>(e)); });
    }
    void set_stopped() && noexcept {
      block->complete([](End& end) { end.put_stopped(); });
    }
    [[nodiscard]] await_env get_env() const noexcept { return {&block->context_}; }
  };

  /// Throws what `connect` throws.
  sender_block(Sender&& sender, continuation k, const context& ctx)
      : k_{k}, context_{ctx}, outside_{!completes_on(sender, *ctx.scheduler)} {
    this->run = [](work& self) noexcept { static_cast<sender_block&>(self).resume(); };
    context_.stop = stop_.get_token();
    ::new (static_cast<void*>(&operation_)) operation(lib::connect(std::move(sender), receiver{this}));
  }
  sender_block(const sender_block&) = delete;
  sender_block& operator=(const sender_block&) = delete;

  // ── the awaiting side ──

  /// True: it has finished already.
  bool start(inplace_stop_token token) noexcept {
    stop_.follow(token);
    lib::start(operation_);
    mark_outside();  // NOLINT(clang-analyzer-cplusplus.NewDelete): the sender was one owner of two, and is gone at most
    state seen = state::starting;
    if (state_.compare_exchange_strong(seen, state::waiting, std::memory_order_acq_rel)) return false;
    unmark_outside();
    stop_.unlink();
    return true;
  }
  /// The awaiting coroutine is destroyed, or has its result. Frees the block, or leaves that to the sender.
  void abandon() noexcept {
    stop_.unlink();
    state seen = state::waiting;
    if (state_.compare_exchange_strong(seen, state::abandoned, std::memory_order_acq_rel)) {
      unmark_outside();
      stop_.request_stop();  // the sender may complete in here
    } else if (seen == state::posting || seen == state::posted) {
      await_posted();
      if (this->queued != work::state::idle) {
        context_.scheduler->forget(*this);
        unmark_outside();
      }
    }
    release();
  }
  End& end() noexcept { return end_; }

 private:
  using operation = lib::connect_result_t<Sender, receiver>;
  enum class state : std::uint8_t { starting, waiting, posting, posted, finished, abandoned };

  ~sender_block() { operation_.~operation(); }

  void resume() noexcept {
    await_posted();
    unmark_outside();
    stop_.unlink();
    k_();
  }

  // Under pretend time the clock does not jump while a sender runs elsewhere.
  void mark_outside() noexcept {
    if (outside_) context_.scheduler->work_started();
  }
  void unmark_outside() noexcept {
    if (outside_) context_.scheduler->work_finished();
  }

  // ── the sender's side: any thread ──

  template <class Put> void complete(Put put) noexcept {
    try {
      put(end_);
    } catch (...) { end_.put_exception(std::current_exception()); }
    state seen = state::starting;
    if (!state_.compare_exchange_strong(seen, state::finished, std::memory_order_acq_rel)) {
      seen = state::waiting;
      if (state_.compare_exchange_strong(seen, state::posting, std::memory_order_acq_rel)) {
        context_.scheduler->post(*this);
        state_.store(state::posted, std::memory_order_release);
      }
    }
    release();
  }
  void await_posted() const noexcept {
    while (state_.load(std::memory_order_acquire) != state::posted) {}
  }
  void release() noexcept {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  continuation k_;
  context context_;
  bool outside_;
  std::atomic<state> state_{state::starting};
  std::atomic<int> owners_{2};
  again::detail::linked_stop_source stop_;
  End end_;
  union {
    operation operation_;
  };
};

/// Awaits `Sender`, once.
template <class Sender, class End> class [[nodiscard]] sender_await {
 public:
  using result_type = typename End::result_type;

  explicit sender_await(Sender sender) : sender_(std::move(sender)) {}
  sender_await(sender_await&& other) noexcept(std::is_nothrow_move_constructible_v<Sender>)
      : sender_(std::move(other.sender_)) {}
  sender_await& operator=(sender_await&&) = delete;
  ~sender_await() {
    if (block_ != nullptr) block_->abandon();
  }
  [[nodiscard]] auto operator co_await() && noexcept { return again::detail::startable_awaiter<sender_await>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    try {
      block_ = new sender_block<Sender, End>(std::move(sender_), k, ctx);
    } catch (...) {
      not_connected_ = std::current_exception();
      return true;
    }
    return block_->start(ctx.stop);
  }
  std::exception_ptr exception() noexcept { return block_ != nullptr ? block_->end().thrown() : not_connected_; }
  result_type take() {
    if (std::exception_ptr thrown = exception()) std::rethrow_exception(std::move(thrown));
    return block_->end().take();
  }

 private:
  Sender sender_;
  sender_block<Sender, End>* block_ = nullptr;
  std::exception_ptr not_connected_;
};

}  // namespace detail
}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution
}  // namespace AGAIN_ABI
}  // namespace again
