// SPDX-License-Identifier: MIT
/// \file
/// What `.stop(token)` and `.within(duration)` do, for everything that has them: the context of what is awaited gets a
/// second stop token and a nearer deadline.
///
/// Thread: the scheduler's; a stop request may come from any thread. The tokens are let go of before the continuation is
/// called, which may end the life of what they refer to.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/linked_stop_source.hpp>
#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/stoppable_wait.hpp>

#include <concepts>
#include <exception>
#include <memory>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// What was asked for.
struct await_bounds {
  inplace_stop_token stop{};
  duration within = forever;

  /// The nearer one counts.
  void add(duration d) noexcept {
    if (d < within) within = d;
  }
};

/// The context of one run within bounds. It outlives what is started with it.
class bounded_context {
 public:
  bounded_context() noexcept = default;
  bounded_context(const bounded_context&) = delete;
  bounded_context& operator=(const bounded_context&) = delete;
  ~bounded_context() = default;

  const context& begin(const context& outer, const await_bounds& bounds) noexcept {
    context_ = outer;
    context_.stop = source_.get_token();
    source_.follow(outer.stop);
    second_.follow(bounds.stop, source_);
    if (bounds.within == forever) return context_;
    const time_point until =
        saturating_add(outer.scheduler->now(), bounds.within > duration::zero() ? bounds.within : duration::zero());
    if (until >= outer.deadline) return context_;
    context_.deadline = until;
    context_.kind = deadline_kind::overall;
    if (bounds.within <= duration::zero()) {
      source_.request_stop();
    } else {
      expiry_.emplace().begin(outer, until, {&bounded_context::expired, &source_}, false);
    }
    return context_;
  }
  /// What was started has finished.
  void end() noexcept {
    expiry_.reset();
    second_.unlink();
    source_.unlink();
  }

 private:
  static void expired(void* source) noexcept { static_cast<linked_stop_source*>(source)->request_stop(); }

  context context_;
  linked_stop_source source_;
  stop_link second_;
  manual_optional<stoppable_wait> expiry_;
};

/// A startable and its bounds. `S` is made in place, and ends before its context.
template <class S> class bounded_run {
 public:
  using result_type = typename S::result_type;
  /// For a retry (placing.hpp): the bounds are beside the parts, so that what has none is no larger.
  struct parts_type : S::parts_type {
    using S::parts_type::parts_type;
    await_bounds bounds;
  };

  template <class Parts> explicit bounded_run(Parts& parts) noexcept(noexcept(S(parts)))
      : bounds_{parts.bounds}, run_(parts) {}
  /// One start of an operation.
  template <class Op> bounded_run(const await_bounds& bounds, Op& op) : bounds_{bounds}, run_(op()) {}
  bounded_run(const bounded_run&) = delete;
  bounded_run& operator=(const bounded_run&) = delete;
  ~bounded_run() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return startable_awaiter<bounded_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    k_ = k;
    if (!run_.start({&bounded_run::ended, this}, context_.begin(ctx, bounds_))) return false;
    context_.end();
    return true;
  }
  std::exception_ptr exception() noexcept { return run_.exception(); }
  result_type take() { return run_.take(); }
  result_type* peek() noexcept
    requires requires(S& s) {
      { s.peek() } -> std::same_as<result_type*>;
    }
  {
    return run_.peek();
  }

 private:
  static void ended(void* self) noexcept {
    bounded_run& mine = *static_cast<bounded_run*>(self);
    mine.context_.end();
    mine.k_();
  }

  const await_bounds& bounds_;  // of the operation
  continuation k_;
  bounded_context context_;
  S run_;  // last: it ends before what it refers to
};

/// Bounds of something that cannot be moved, and seldom has any: they take a pointer until they are asked for.
class rare_bounds {
 public:
  void add_stop(inplace_stop_token token) { get().bounds.stop = token; }
  void add_within(duration d) { get().bounds.add(d); }
  const context& begin(const context& ctx) noexcept {
    return given_ == nullptr ? ctx : given_->context.begin(ctx, given_->bounds);
  }
  void end() noexcept {
    if (given_ != nullptr) given_->context.end();
  }

 private:
  struct given {
    await_bounds bounds;
    bounded_context context;
  };
  given& get() {
    if (given_ == nullptr) given_ = std::make_unique<given>();
    return *given_;
  }
  std::unique_ptr<given> given_;
};

/// The members of such a thing: `Self` has `rare_bounds& bounds()`. They give what they are called on, so that it is awaited
/// at once: `co_await when_all(a, b).stop(token)`.
template <class Self> class has_rare_bounds {
 public:
  /// Stops it when stop is requested of `token`, beside the stop token of the awaiting context. The source outlives the await.
  Self&& stop(inplace_stop_token token) && {
    static_cast<Self&>(*this).bounds().add_stop(token);
    return static_cast<Self&&>(*this);
  }
  /// A nearer deadline: `d` from the start on. Then it is asked to stop, and awaited.
  Self&& within(duration_with_unit d) && {
    static_cast<Self&>(*this).bounds().add_within(d);
    return static_cast<Self&&>(*this);
  }

 private:
  friend Self;
  has_rare_bounds() = default;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
