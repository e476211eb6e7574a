// SPDX-License-Identifier: MIT
/// \file
/// How a coroutine of any type awaits a startable: in a coroutine whose promise knows its context it starts right there; in
/// any other it uses the scheduler given with `.on`, else the loop that this thread runs, else the process's default loop; if
/// that is another thread's, the coroutine goes on over there.
///
/// The way there is a heap block of its own, so that the coroutine may still be destroyed before it has arrived (on the thread
/// that began to await, or on that loop's): `state` says whether the awaiter or the far thread came last and frees it.
#pragma once

#include <again/coro/awaitable.hpp>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Found where `<again/coro/default_loop.hpp>` is included: the loop for coroutines of that promise.
template <class Promise> struct loop_for {};
template <class Promise>
concept has_default_loop = requires { default_loop_of(loop_for<Promise>{}); };

template <class Promise> scheduler& default_loop_for() noexcept {
  static_assert(
      has_default_loop<Promise>,
      "again: a coroutine that has no scheduler of its own needs a loop to run on: #include "
      "<again/coro/default_loop.hpp> before it (again.hpp and sync_wait.hpp have it), or name one with .on(scheduler)");
  return default_loop_of(loop_for<Promise>{});
}

/// The way to another thread's loop.
struct hop : work {
  enum class states : std::uint8_t { under_way, arrived, abandoned };
  void* startable;
  bool (*start)(void* startable, continuation, const context&) noexcept;
  continuation k;
  scheduler* home;
  std::atomic<states> state{states::under_way};
  static void arrive(work& self) noexcept {
    hop& h = static_cast<hop&>(self);
    if (h.state.exchange(states::arrived, std::memory_order_acq_rel) == states::abandoned) {
      delete &h;
      return;
    }
    const continuation then = h.k;
    if (h.start(h.startable, then, h.home->root())) then();
  }
  [[gnu::noinline, gnu::cold]] static void leave(hop& h) noexcept {
    if (h.state.exchange(states::abandoned, std::memory_order_acq_rel) == states::arrived) delete &h;
  }
};

/// What the awaiters of startables share. `native` marks them: a task awaits them without a detour.
template <class S> class basic_startable_awaiter {
 public:
  using native = void;
  basic_startable_awaiter() noexcept = default;
  basic_startable_awaiter(const basic_startable_awaiter&) = delete;
  basic_startable_awaiter& operator=(const basic_startable_awaiter&) = delete;
  ~basic_startable_awaiter() {
    if (hop_ != nullptr) [[unlikely]]
      hop::leave(*hop_);
  }

  static constexpr bool await_ready() noexcept { return false; }

 protected:
  template <class Promise>
  bool suspend(S& s, std::coroutine_handle<Promise> awaiting) noexcept(context_provider<Promise>) {
    const continuation k{&resume_coroutine, awaiting.address()};
    if constexpr (context_provider<Promise>) {
      return !s.start(k, *awaiting.promise().context());
    } else {
      return suspend_without_context<Promise>(s, k);
    }
  }

 private:
  // Throws where there is no memory for the way: the coroutine has it from its co_await.
  template <class Promise> bool suspend_without_context(S& s, continuation k) {
    scheduler* home = nullptr;
    if constexpr (requires { s.own_scheduler(); }) {
      home = s.own_scheduler();
      if (home->here()) return !s.start(k, home->root());
    } else {
      if (running_context != nullptr) return !s.start(k, *running_context);
      home = &default_loop_for<Promise>();
    }
    // Not on that loop's thread: all of it happens there. Nothing of ours may be touched after the post.
    const auto start = [](void* p, continuation then, const context& ctx) noexcept {
      return static_cast<S*>(p)->start(then, ctx);
    };
    hop* const there = new hop{{.run = &hop::arrive}, &s, start, k, home};
    hop_ = there;
    home->post(*there);
    return true;
  }

  hop* hop_ = nullptr;
};

/// Awaits a startable that stands elsewhere.
template <class S> class startable_awaiter : public basic_startable_awaiter<S> {
 public:
  explicit startable_awaiter(S& s) noexcept : startable_{s} {}
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept(context_provider<Promise>) {
    return this->suspend(startable_, awaiting);
  }
  [[nodiscard]] typename S::result_type await_resume() { return startable_.take(); }

 private:
  S& startable_;
};

/// Holds the startable that it awaits; made from whatever `S` is made from.
template <class S> class holding_awaiter : public basic_startable_awaiter<S> {
 public:
  template <class... From> explicit holding_awaiter(std::in_place_t, From&&... from)
      : startable_(std::forward<From>(from)...) {}
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept(context_provider<Promise>) {
    return this->suspend(startable_, awaiting);
  }
  [[nodiscard]] typename S::result_type await_resume() { return startable_.take(); }
  typename S::result_type await_resume()
    requires S::may_be_ignored
  {
    return startable_.take();
  }

 private:
  S startable_;
};

/// One start of an operation of ours, held, in a coroutine that has a context: it never hops.
template <class S> class context_awaiter {
 public:
  using native = void;
  template <class Op> explicit context_awaiter(Op& op) : startable_(op()) {}
  context_awaiter(const context_awaiter&) = delete;
  context_awaiter& operator=(const context_awaiter&) = delete;
  ~context_awaiter() = default;

  static constexpr bool await_ready() noexcept { return false; }
  template <context_provider Promise> bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return !startable_.start({&resume_coroutine, awaiting.address()}, *awaiting.promise().context());
  }
  [[nodiscard]] typename S::result_type await_resume() { return startable_.take(); }
  typename S::result_type await_resume()
    requires S::may_be_ignored
  {
    return startable_.take();
  }

 private:
  S startable_;
};

/// Awaitables whose awaiter is one of the above.
template <class A>
concept native_awaitable = requires { typename std::remove_cvref_t<decltype(get_awaiter(std::declval<A>()))>::native; };
/// Those of them of which one start gives what awaiting them gives: the operations of the combinators.
template <class A>
concept native_operation = native_awaitable<A> && requires(std::remove_reference_t<A>& op) {
  requires startable<std::remove_cvref_t<decltype(op())>>;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
