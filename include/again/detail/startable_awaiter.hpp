// SPDX-License-Identifier: MIT
/// \file
/// How a coroutine of any type awaits a startable: in a coroutine whose promise knows its context it starts right there; in
/// any other it uses the scheduler given with `.on`, else the loop that this thread runs, else the process's default loop; if
/// that is another thread's, the coroutine goes on over there.
#pragma once

#include <again/awaitable.hpp>
#include <again/detail/default_loop.hpp>

#include <coroutine>
#include <utility>

namespace again::inline AGAIN_ABI::detail {

/// What the awaiters of startables share. `native` marks them: a task awaits them without a detour.
template <class S> class basic_startable_awaiter {
 public:
  using native = void;
  basic_startable_awaiter() noexcept {}
  basic_startable_awaiter(const basic_startable_awaiter&) = delete;
  basic_startable_awaiter& operator=(const basic_startable_awaiter&) = delete;
  ~basic_startable_awaiter() {}

  static constexpr bool await_ready() noexcept { return false; }

 protected:
  template <class Promise> bool suspend(S& s, std::coroutine_handle<Promise> awaiting) noexcept {
    const continuation k{&resume_coroutine, awaiting.address()};
    if constexpr (context_provider<Promise>) {
      if (const context* const ctx = awaiting.promise().context()) return !s.start(k, *ctx);
    }
    scheduler* home = nullptr;
    if constexpr (requires { s.own_scheduler(); }) {
      home = s.own_scheduler();
      if (home->here()) return !s.start(k, home->root());
    } else {
      if (running_context != nullptr) return !s.start(k, *running_context);
      home = &default_loop();
    }
    // Not on that loop's thread: all of it happens there. Nothing of ours may be touched after the post.
    ::new (static_cast<void*>(&hop_)) hop{{.run = &hop::arrive}, &s, k, home};
    home->post(hop_);
    return true;
  }

 private:
  struct hop : work {
    S* startable;
    continuation k;
    scheduler* home;
    static void arrive(work& self) noexcept {
      hop& h = static_cast<hop&>(self);
      const continuation then = h.k;
      if (h.startable->start(then, h.home->root())) then();
    }
  };
  union {
    hop hop_;  // written only where it is needed
  };
};

/// Awaits a startable that stands elsewhere.
template <class S> class startable_awaiter : public basic_startable_awaiter<S> {
 public:
  explicit startable_awaiter(S& s) noexcept : startable_{s} {}
  template <class Promise> bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
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
  template <class Promise> bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return this->suspend(startable_, awaiting);
  }
  [[nodiscard]] typename S::result_type await_resume() { return startable_.take(); }

 private:
  S startable_;
};

/// Awaitables whose awaiter is one of the above.
template <class A>
concept native_awaitable = requires { typename std::remove_cvref_t<decltype(get_awaiter(std::declval<A>()))>::native; };

}  // namespace again::inline AGAIN_ABI::detail
