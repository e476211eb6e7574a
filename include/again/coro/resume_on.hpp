// SPDX-License-Identifier: MIT
/// \file
/// `resume_on(where, awaited)`: awaits something of this library in a coroutine of another one, and goes on where that one
/// belongs: on its thread pool, its event loop, or wherever a function of yours posts it.
///
/// ```cpp
/// auto quote = co_await again::resume_on(pool, again::retry(polite, api.get("/quote")));   // pool.schedule() is awaitable
/// auto row = co_await again::resume_on([&](std::coroutine_handle<> h) { post_to_my_loop(h); }, load(db, id));
/// ```
///
/// Without it, a coroutine that has no context goes on on the thread of the loop that did the work, which is the default
/// loop where the thread was running none.
///
/// - `where`: has `schedule()`, which gives an awaitable (the pools and loops of cppcoro and libcoro), or is called with the
///   `std::coroutine_handle<>` and resumes it later. A named one is referred to, and outlives the await; a temporary is
///   kept.
/// - Takes: a task, an operation (which is started once) or another awaitable, by value, as `when_all` does.
/// - Result: that of the awaited thing. If it finishes at once, the coroutine goes on without being moved.
/// - Errors: those of the awaited thing. If `where` throws, the coroutine goes on where it is, with that exception.
/// - Cancellation: as for the awaited thing. The way back is not cancelled.
/// - In an `again::task` it changes nothing: a task goes on on its scheduler.
/// - Thread: `where` is called on the loop's thread. Lifetime: as of every await; while `where` has the handle, the
///   coroutine must not be destroyed.
/// - Cost: nothing but what `where` costs.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/child.hpp>
#include <again/coro/detail/misused.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

namespace detail {

template <class W>
concept has_schedule = requires(W& where) {
  { get_awaiter(where.schedule()) } -> awaiter;
};
template <class W>
concept resumes_handles = std::invocable<W&, std::coroutine_handle<>>;

/// The way back: by awaiting `where.schedule()`, or by calling `where`.
template <class W> class way_back {
 public:
  void go(W& where, std::coroutine_handle<> h) { where(h); }
  void arrived() const noexcept {}
};
template <has_schedule W> class way_back<W> {
  using schedule_type = decltype(std::declval<W&>().schedule());
  // Made in place, as in a coroutine: what `schedule` gives, and its awaiter, may be immovable.
  struct hop {
    schedule_type scheduled;
    decltype(get_awaiter(std::declval<schedule_type>())) how;
    explicit hop(W& where) : scheduled(where.schedule()), how(get_awaiter(static_cast<schedule_type&&>(scheduled))) {}
  };

 public:
  void go(W& where, std::coroutine_handle<> h) {
    hop& to = hop_.emplace(where);
    if (to.how.await_ready()) return h.resume();
    // From here on another thread may resume the coroutine and destroy this object.
    using suspended = decltype(to.how.await_suspend(h));
    if constexpr (std::is_void_v<suspended>) {
      to.how.await_suspend(h);
    } else if constexpr (std::same_as<suspended, bool>) {
      if (!to.how.await_suspend(h)) h.resume();
    } else {
      to.how.await_suspend(h).resume();
    }
  }
  void arrived() {
    if (hop_) static_cast<void>(hop_->how.await_resume());
  }

 private:
  std::optional<hop> hop_;
};

/// `W` is a reference if it refers to the executor.
template <class W, class A> class resume_on_awaiter : basic_startable_awaiter<child<A>> {
  using where_type = std::remove_reference_t<W>;

 public:
  using result_type = typename child<A>::result_type;
  resume_on_awaiter(W&& where, A&& awaited) : where_(static_cast<W&&>(where)), run_{std::move(awaited)} {}

  static constexpr bool await_ready() noexcept { return false; }
  template <class Promise> bool await_suspend(std::coroutine_handle<Promise> awaiting) {
    static_assert(check_loop<child<A>, Promise>());
    awaiting_ = awaiting;
    return this->suspend_until(run_, awaiting, {&finished, this});
  }
  result_type await_resume() {
    if (failed_) std::rethrow_exception(failed_);
    back_.arrived();
    return run_.take();
  }

 private:
  static void finished(void* self) noexcept {
    resume_on_awaiter& mine = *static_cast<resume_on_awaiter*>(self);
    const std::coroutine_handle<> awaiting = mine.awaiting_;
    try {
      mine.back_.go(mine.where_, awaiting);
      return;
    } catch (...) { mine.failed_ = std::current_exception(); }
    awaiting.resume();
  }

  W where_;
  std::coroutine_handle<> awaiting_;
  std::exception_ptr failed_;
  way_back<where_type> back_;
  child<A> run_;
};

}  // namespace detail

/// What `resume_on` takes to resume on.
template <class W>
concept resume_target =
    detail::has_schedule<std::remove_reference_t<W>> || detail::resumes_handles<std::remove_reference_t<W>>;

template <class Where, detail::child_like A>
  requires(resume_target<Where> && detail::storable<A>)
auto resume_on(Where&& where, A&& awaited) {
  return detail::resume_on_awaiter<Where, std::decay_t<A>>{std::forward<Where>(where),
                                                           std::decay_t<A>(std::forward<A>(awaited))};
}
// A mistake: one compile error says how to fix it.
template <class Where, class A>
  requires(!(resume_target<Where> && detail::child_like<A> && detail::storable<A>))
auto resume_on(Where&&, A&&) {
  if constexpr (!resume_target<Where>) {
    static_assert(
        resume_target<Where>,
        "again::resume_on: the first argument has schedule(), which gives an awaitable, or is a function that "
        "resumes a std::coroutine_handle<>: resume_on([&](auto h) { pool.resume(h); }, op)");
  } else if constexpr (!detail::child_like<A>) {
    static_assert(detail::child_like<A>, "again::resume_on: the second argument cannot be awaited; pass a task or an "
                                         "operation: resume_on(pool, retry(policy, op))");
  } else {
    static_assert(
        detail::storable<A>,
        "again::resume_on: a task runs once, and one that has a name is moved: resume_on(pool, std::move(task))");
  }
  return detail::misused{};
}

}  // namespace AGAIN_ABI
}  // namespace again
