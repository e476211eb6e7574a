// SPDX-License-Identifier: MIT
/// \file
/// How stop token, deadline and attempt flag pass through a coroutine of another library: a task awaits it, and it
/// awaits something of ours, but its promise knows no context.
///
/// While `foreign_awaitable` runs the foreign coroutine, a `foreign_scope` is on the stack. What is awaited inside of it
/// by a coroutine without a context gets an `inherited_context`: a copy of the context, made at the first such await and
/// owned together by the adaptor and by each await that runs with it. When such an await has finished, its coroutine is
/// resumed inside of a `foreign_scope` again, so that the next one inherits, too.
///
/// When the foreign coroutine has finished or is destroyed, the context *ends*: it no longer follows the stop token of
/// the awaiting side, which may be gone. A coroutine that was detached inside goes on without a stop request, and its
/// next await has the root context of its loop.
///
/// Thread: the scheduler's, one at a time. So the count of owners is no atomic.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/context.hpp>
#include <again/coro/detail/promise_allocation.hpp>
#include <again/coro/scheduler.hpp>

#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class inherited_context : public promise_allocation, work {
 public:
  /// With one owner. Throws `std::bad_alloc`.
  static inherited_context* copy_of(const context& from) {
    from.scheduler->free_retired();
    return new inherited_context{from};
  }
  inherited_context(const inherited_context&) = delete;
  inherited_context& operator=(const inherited_context&) = delete;

  [[nodiscard]] const context& get() const noexcept { return context_; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  void keep() noexcept { ++owners_; }
  /// An await is destroyed before what it awaited, which may still refer to the context. So the scheduler keeps the memory
  /// until the next context of this kind is made.
  void drop() noexcept {
    if (--owners_ == 0) context_.scheduler->retire(*this);
  }
  /// The adaptor no longer owns it.
  void end() noexcept {
    ended_ = true;
    stop_.unlink();
    drop();
  }

 private:
  explicit inherited_context(const context& from) noexcept
      : work{.run = [](work& self) noexcept { delete static_cast<inherited_context*>(&self); }}, context_{from} {
    if (!from.stop.stop_possible()) return;
    context_.stop = stop_.get_token();
    stop_.follow(from.stop);
  }
  ~inherited_context() = default;

  context context_;
  linked_stop_source stop_;
  int owners_ = 1;
  bool ended_ = false;
};

/// On the stack while a foreign coroutine runs that a task of ours awaits.
class foreign_scope {
 public:
  /// `from` is the context of the awaiting side; `inherited` is where the copy is, or will be.
  foreign_scope(const context& from, inherited_context*& inherited) noexcept
      : from_{from}, inherited_{inherited}, outer_{std::exchange(current_foreign_scope, this)} {}
  foreign_scope(const foreign_scope&) = delete;
  foreign_scope& operator=(const foreign_scope&) = delete;
  ~foreign_scope() { current_foreign_scope = outer_; }

  /// What an await without a context inherits here. Null: nothing but the loop. Throws `std::bad_alloc`.
  static inherited_context* inherited() {
    foreign_scope* const here = current_foreign_scope;
    return here != nullptr ? here->lend() : nullptr;
  }
  /// Goes on with a coroutine whose await inherited `mine`, of which it takes over one ownership.
  static void resume(inherited_context* mine, continuation then) noexcept {
    {
      const foreign_scope inside{mine->get(), mine};
      then();
    }
    mine->drop();
  }

 private:
  inherited_context* lend() {
    if (inherited_ == nullptr) {
      if (!from_.stop.stop_possible() && from_.deadline == never && !from_.repeated) return nullptr;
      inherited_ = inherited_context::copy_of(from_);
    }
    return inherited_->ended() ? nullptr : inherited_;
  }

  const context& from_;
  inherited_context*& inherited_;
  foreign_scope* outer_;
};

/// On the stack while something runs that does not belong to the foreign coroutine.
class no_foreign_scope {
 public:
  no_foreign_scope() noexcept : outer_{std::exchange(current_foreign_scope, nullptr)} {}
  no_foreign_scope(const no_foreign_scope&) = delete;
  no_foreign_scope& operator=(const no_foreign_scope&) = delete;
  ~no_foreign_scope() { current_foreign_scope = outer_; }

 private:
  foreign_scope* outer_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
