// SPDX-License-Identifier: MIT
/// \file
/// Runs a startable that a second stop token can stop, too: the one given by `.stop(token)`, beside that of the awaiting
/// context.
///
/// Thread: the scheduler's; a stop request may come from any thread. The tokens are let go of before the continuation is
/// called, which may end the life of what they refer to.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>

#include <exception>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class S> class run_stopped {
 public:
  using result_type = typename S::result_type;
  /// The token is beside the parts, so that what has none is no larger.
  struct parts_type : S::parts_type {
    using S::parts_type::parts_type;
    inplace_stop_token stop{};
  };

  explicit run_stopped(parts_type& parts) noexcept : token_{parts.stop}, run_{parts} {}
  run_stopped(const run_stopped&) = delete;
  run_stopped& operator=(const run_stopped&) = delete;
  ~run_stopped() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<run_stopped>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    context_ = ctx;
    context_.stop = source_.get_token();
    source_.follow(ctx.stop);
    second_.follow(token_, source_);
    if (!run_.start({&run_stopped::ended, this}, context_)) return false;
    unlink();
    return true;
  }
  std::exception_ptr exception() noexcept { return run_.exception(); }
  result_type take() { return run_.take(); }

 private:
  static void ended(void* self) noexcept {
    run_stopped& mine = *static_cast<run_stopped*>(self);
    mine.unlink();
    mine.k_();
  }
  void unlink() noexcept {
    second_.unlink();
    source_.unlink();
  }

  inplace_stop_token token_;
  continuation k_;
  context context_;
  linked_stop_source source_;
  stop_link second_;
  S run_;  // last: it ends before what it refers to
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
