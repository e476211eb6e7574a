// SPDX-License-Identifier: MIT
/// \file
/// Runs a startable that a stop token of another library can stop, too, beside the token of the awaiting context.
///
/// `Link` is made of that token. `link.follow(source)` passes a request on to the source from then on, at once if it was
/// made already; `link.unlink()` ends that, and waits for a request that is being passed on by another thread.
///
/// Thread: the scheduler's; a stop request may come from any thread. The tokens are let go of before the continuation is
/// called, which may end the life of what they refer to.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/coro/awaitable.hpp>

#include <exception>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <class Run, class Link> class run_followed {
 public:
  using result_type = typename Run::result_type;

  template <class Token, class From>
  run_followed(Token&& token, From&& from)
      : link_(std::forward<Token>(token)), run_(std::in_place, std::forward<From>(from)) {}
  run_followed(const run_followed&) = delete;
  run_followed& operator=(const run_followed&) = delete;
  ~run_followed() = default;

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    context_ = ctx;
    context_.stop = source_.get_token();
    source_.follow(ctx.stop);
    link_.follow(source_);
    if (!run_.start({&run_followed::ended, this}, context_)) return false;
    unlink();
    return true;
  }
  std::exception_ptr exception() noexcept { return run_.exception(); }
  result_type take() { return run_.take(); }

 private:
  static void ended(void* self) noexcept {
    run_followed& mine = *static_cast<run_followed*>(self);
    mine.unlink();
    mine.k_();
  }
  void unlink() noexcept {
    link_.unlink();
    source_.unlink();
  }

  continuation k_;
  context context_;
  linked_stop_source source_;
  Link link_;
  Run run_;  // last: it ends before what it refers to
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
