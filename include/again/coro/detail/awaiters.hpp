// SPDX-License-Identifier: MIT
/// \file
/// The awaiters of startables: how a coroutine of any type awaits one of them.
///
/// Where the startable runs depends on the awaiting coroutine:
/// - If its promise is a `context_provider`, the startable starts with that context, on the thread of its scheduler.
/// - Else, if a task of ours awaits the coroutine, it inherits the context of that task (`inherited_context`).
/// - Else it runs on the scheduler given with `.on`, else on the loop that this thread is running, else on the default
///   loop of the process.
/// If the loop belongs to another thread, the startable is started, and the coroutine resumed, on that thread
/// (`loop_transfer`).
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/inherited_context.hpp>
#include <again/coro/detail/loop_transfer.hpp>

#include <coroutine>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// `<again/coro/default_loop.hpp>` overloads `default_loop_of` for it: the loop of a coroutine with that promise.
template <class Promise> struct loop_for {};
template <class Promise>
concept has_default_loop = requires { default_loop_of(loop_for<Promise>{}); };

template <class Promise> consteval bool check_default_loop() {
  static_assert(
      has_default_loop<Promise>,
      "again: a coroutine that has no scheduler of its own needs a loop to run on: #include "
      "<again/coro/default_loop.hpp> before it (again.hpp and sync_wait.hpp have it), or name one with .on(scheduler)");
  return true;
}
template <class Promise> scheduler& default_loop_for() noexcept {
  static_assert(check_default_loop<Promise>());
  return default_loop_of(loop_for<Promise>{});
}

/// A promise of ours: its coroutine runs on the thread of its context's scheduler only, so that nothing needs to be asked.
template <class Promise>
concept stays_on_its_scheduler = requires { typename Promise::stays_on_its_scheduler; };

/// Asked in await_suspend, so that the sentence stands near the top of what the compiler says.
template <class S, class Promise> consteval bool check_loop() {
  if constexpr (!context_provider<Promise> && !requires(S& s) { s.own_scheduler(); }) {
    return check_default_loop<Promise>();
  }
  return true;
}

/// Base of the awaiters that work in any coroutine. `native` marks awaiters that a task uses as they are.
template <class S> class basic_startable_awaiter {
 public:
  using native = void;
  basic_startable_awaiter() noexcept = default;
  basic_startable_awaiter(const basic_startable_awaiter&) = delete;
  basic_startable_awaiter& operator=(const basic_startable_awaiter&) = delete;
  ~basic_startable_awaiter() {
    if (transfer_ != nullptr) [[unlikely]]
      transfer_->abandon();
    if (inherited_ != nullptr) [[unlikely]]
      inherited_->drop();
  }

  static constexpr bool await_ready() noexcept { return false; }

 protected:
  template <class Promise>
  bool suspend(S& s, std::coroutine_handle<Promise> awaiting) noexcept(stays_on_its_scheduler<Promise>) {
    return suspend_until(s, awaiting, {&resume_coroutine, awaiting.address()});
  }
  /// The same with another continuation than to resume the coroutine.
  template <class Promise>
  bool suspend_until(S& s, std::coroutine_handle<Promise> awaiting,
                     continuation k) noexcept(stays_on_its_scheduler<Promise>) {
    if constexpr (stays_on_its_scheduler<Promise>) {
      return !s.start(k, *awaiting.promise().context());
    } else if constexpr (context_provider<Promise>) {
      const context& ctx = *awaiting.promise().context();
      return ctx.scheduler->here() ? !s.start(k, ctx) : transfer(s, k, ctx);
    } else {
      return suspend_without_context<Promise>(s, k);
    }
  }

 private:
  // These throw `std::bad_alloc` if there is no memory for the transfer or the context: the coroutine's co_await rethrows
  // it.
  template <class Promise> bool suspend_without_context(S& s, continuation k) {
    if (inherited_context* const lent = foreign_scope::inherited()) return suspend_inheriting(s, k, *lent);
    if constexpr (requires { s.own_scheduler(); }) {
      scheduler* const home = s.own_scheduler();
      return home->here() ? !s.start(k, home->root()) : transfer(s, k, home->root());
    } else if (running_context != nullptr) {
      return !s.start(k, *running_context);
    } else {
      return transfer(s, k, default_loop_for<Promise>().root());
    }
  }
  bool transfer(S& s, continuation k, const context& ctx) {
    loop_transfer* const started = new loop_transfer{s, k, ctx};
    transfer_ = started;
    started->post();  // nothing of this awaiter may be touched afterwards
    return true;
  }
  bool suspend_inheriting(S& s, continuation k, inherited_context& lent) noexcept {
    lent.keep();
    inherited_ = &lent;
    then_ = k;
    const no_foreign_scope apart;  // what `s` runs now is not the awaiting coroutine
    if (!s.start({&resume_inheriting, this}, lent.get())) return true;
    inherited_ = nullptr;
    lent.drop();
    return false;
  }
  static void resume_inheriting(void* self) noexcept {
    basic_startable_awaiter& mine = *static_cast<basic_startable_awaiter*>(self);
    foreign_scope::resume(std::exchange(mine.inherited_, nullptr), mine.then_);
  }

  loop_transfer* transfer_ = nullptr;
  inherited_context* inherited_ = nullptr;  // while suspended: the context of what is awaited
  continuation then_;                       // the same: how to go on
};

/// Awaits a startable that is stored elsewhere.
template <class S> class startable_awaiter : public basic_startable_awaiter<S> {
 public:
  explicit startable_awaiter(S& s) noexcept : startable_{s} {}
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept(stays_on_its_scheduler<Promise>) {
    static_assert(check_loop<S, Promise>());
    return this->suspend(startable_, awaiting);
  }
  [[nodiscard]] typename S::result_type await_resume() { return startable_.take(); }

 private:
  S& startable_;
};

/// Base of the awaiters that hold their startable: it gives the result, which must be looked at unless `S` says
/// otherwise.
template <class S> class startable_holder {
 public:
  [[nodiscard]] typename S::result_type await_resume() { return startable_.take(); }
  typename S::result_type await_resume()
    requires S::may_be_ignored
  {
    return startable_.take();
  }

 protected:
  template <class... From> explicit startable_holder(std::in_place_t, From&&... from)
      : startable_(std::forward<From>(from)...) {}
  template <class Op> explicit startable_holder(Op& op) : startable_(op()) {}
  ~startable_holder() = default;

  S startable_;

 public:
  startable_holder(const startable_holder&) = delete;
  startable_holder& operator=(const startable_holder&) = delete;
};

/// Awaits a startable that it holds, in any coroutine. The startable is made from `From...`. It is destroyed before the
/// transfer to its loop is abandoned.
template <class S> class holding_awaiter : public basic_startable_awaiter<S>, public startable_holder<S> {
 public:
  template <class... From> explicit holding_awaiter(std::in_place_t, From&&... from)
      : startable_holder<S>(std::in_place, std::forward<From>(from)...) {}
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept(stays_on_its_scheduler<Promise>) {
    static_assert(check_loop<S, Promise>());
    return this->suspend(this->startable_, awaiting);
  }
};

/// Awaits a startable that it holds, in a task: it needs neither a transfer nor a context. The startable is one start of an
/// operation, or is made from `From...`.
template <class S> class context_awaiter : public startable_holder<S> {
 public:
  using native = void;
  template <class Op> explicit context_awaiter(Op& op) : startable_holder<S>(op) {}
  template <class... From> explicit context_awaiter(std::in_place_t, From&&... from)
      : startable_holder<S>(std::in_place, std::forward<From>(from)...) {}

  static constexpr bool await_ready() noexcept { return false; }
  template <stays_on_its_scheduler Promise> bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return !this->startable_.start({&resume_coroutine, awaiting.address()}, *awaiting.promise().context());
  }
};

/// Awaitables whose awaiter is one of the above.
template <class A>
concept native_awaitable = requires { typename std::remove_cvref_t<decltype(get_awaiter(std::declval<A>()))>::native; };
/// Native awaitables that are operations, too: the combinators. Awaiting one gives the result of one start of it.
template <class A>
concept native_operation = native_awaitable<A> && requires(std::remove_reference_t<A>& op) {
  requires startable<std::remove_cvref_t<decltype(op())>>;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
