// SPDX-License-Identifier: MIT
/// \file
/// Awaitables of the IoAwaitable protocol (P4003) in an `again::task`: a `boost::capy::task`, an operation of corosio.
/// Nothing is to be written for it but the include.
///
/// ```cpp
/// #include <again/io_awaitable.hpp>
///
/// again::task<int> ours(stream& s) {
///   auto [error, n] = co_await s.read_some(buffer);                         // an IoAwaitable
///   auto r = co_await again::retry(polite, [&] { return exchange(s); });    // exchange: a boost::capy::task<expected<…>>
///   …
/// }
/// ```
///
/// - What it is handed: an environment whose executor is the loop of the awaiting coroutine, a stop token that follows
///   the awaiting context's, and no frame allocator. So a `timeout`, an `attempt_timeout` and a stop request reach it.
/// - Where it runs: a coroutine of theirs on the loop's thread; an operation on whatever its library runs it.
/// - Where the awaiting coroutine goes on: on its scheduler.
/// - Result and errors: what its `await_resume` gives or throws.
/// - Lifetime: the awaitable is moved into the await. The protocol has no way to abandon an operation that runs: do not
///   destroy the awaiting coroutine meanwhile; stop it.
/// - Cost: two recycled frames, one small block for each resumption through the executor, and the state of a
///   `std::stop_source` if the awaiting context can be stopped.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/context.hpp>
#include <again/coro/detail/inherited_context.hpp>
#include <again/coro/detail/promise_allocation.hpp>
#include <again/coro/scheduler.hpp>
#include <again/io_awaitable/protocol.hpp>

#include <coroutine>
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Coroutines that were posted to a loop. They go on with the context of the await. `add` from any thread; the rest on
/// the loop's thread. What has not run when this is destroyed is taken back.
class posted_coroutines {
 public:
  explicit posted_coroutines(const context& ctx) noexcept : context_{ctx}, home_{*ctx.scheduler} {}
  posted_coroutines(const posted_coroutines&) = delete;
  posted_coroutines& operator=(const posted_coroutines&) = delete;
  ~posted_coroutines() {
    while (first_ != nullptr) {
      home_.forget(*first_);
      remove(first_);
    }
    if (inherited_ != nullptr) inherited_->end();
  }
  scheduler& home() const noexcept { return home_; }
  void add(std::coroutine_handle<> h) {
    node* const n = new node{{}, h, this, nullptr, nullptr};
    n->run = [](work& self) noexcept {
      node* const mine = static_cast<node*>(&self);
      const std::coroutine_handle<> next = mine->coroutine;
      inherited_context* const lent = mine->owner->lend();
      mine->owner->remove(mine);
      if (lent == nullptr) {
        next.resume();  // may destroy the owner
      } else {
        foreign_scope::resume(lent, {&resume_coroutine, next.address()});  // the same
      }
    };
    {
      const std::lock_guard lock{mutex_};
      n->after = first_;
      if (first_ != nullptr) first_->before = n;
      first_ = n;
    }
    home_.post(*n);
  }

 private:
  struct node : work {
    std::coroutine_handle<> coroutine;
    posted_coroutines* owner;
    node* before;
    node* after;
  };
  void remove(node* n) noexcept {
    {
      const std::lock_guard lock{mutex_};
      (n->before != nullptr ? n->before->after : first_) = n->after;
      if (n->after != nullptr) n->after->before = n->before;
    }
    delete n;
  }

  // One ownership of what an await without a context is to inherit. Null if there is nothing, or no memory: then it has
  // the root context of the loop.
  inherited_context* lend() noexcept {
    if (inherited_ == nullptr) {
      if (!context_.stop.stop_possible() && context_.deadline == never && !context_.repeated) return nullptr;
      try {
        inherited_ = inherited_context::copy_of(context_);
      } catch (...) { return nullptr; }
    }
    inherited_->keep();
    return inherited_;
  }

  const context& context_;
  scheduler& home_;
  inherited_context* inherited_ = nullptr;
  std::mutex mutex_;
  node* first_ = nullptr;  // guarded by mutex_
};

/// The loop as an executor of the protocol. It refers to the await, which outlives what is posted.
template <class Argument, class Context> class loop_executor {
 public:
  explicit loop_executor(posted_coroutines& posted) noexcept : posted_{&posted} {}
  Context& context() const noexcept {
    static Context instance;
    return instance;
  }
  void on_work_started() const noexcept { posted_->home().work_started(); }
  void on_work_finished() const noexcept { posted_->home().work_finished(); }
  std::coroutine_handle<> dispatch(Argument a) const {
    if (posted_->home().here()) return handle_of(a);
    posted_->add(handle_of(a));
    return std::noop_coroutine();
  }
  void post(Argument a) const { posted_->add(handle_of(a)); }
  friend bool operator==(const loop_executor& a, const loop_executor& b) noexcept {
    return &a.posted_->home() == &b.posted_->home();
  }

 private:
  static std::coroutine_handle<> handle_of(const std::remove_reference_t<Argument>& a) noexcept {
    if constexpr (requires { a.h; }) {
      return a.h;
    } else {
      return a;
    }
  }
  posted_coroutines* posted_;
};

/// The coroutine that is handed to an IoAwaitable in the place of ours. A task of the protocol that is destroyed before
/// its end destroys the coroutine that awaits it: it may do so with this one.
struct io_bridge {
  class promise_type : public promise_allocation {
   public:
    promise_type() noexcept = default;
    promise_type(const promise_type&) = delete;
    promise_type& operator=(const promise_type&) = delete;
    ~promise_type() {
      if (owner != nullptr) *owner = nullptr;
    }
    io_bridge get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct last_suspend {
      static constexpr bool await_ready() noexcept { return false; }
      static std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> frame) noexcept {
        return frame.promise().awaiting;
      }
      static constexpr void await_resume() noexcept {}
    };
    static last_suspend final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }

    std::coroutine_handle<> awaiting;
    std::coroutine_handle<promise_type>* owner = nullptr;
  };
  std::coroutine_handle<promise_type> frame;
  static io_bridge make() { co_return; }
};

/// Awaits an IoAwaitable in a coroutine that has a context.
template <class A> class io_awaiter {
  using environment = environment_of<A>;
  using executor_type = std::remove_cvref_t<decltype(std::declval<const environment&>().executor)>;
  using executor = loop_executor<dispatch_argument<executor_type>,
                                 std::remove_reference_t<decltype(std::declval<const executor_type&>().context())>>;

 public:
  template <class From> explicit io_awaiter(std::in_place_t, From&& from) : awaited_(std::forward<From>(from)) {}
  io_awaiter(const io_awaiter&) = delete;
  io_awaiter& operator=(const io_awaiter&) = delete;
  ~io_awaiter() {
    awaited_.reset();
    if (bridge_) bridge_.destroy();
  }

  bool await_ready() { return awaited_->await_ready(); }
  template <class Promise> std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) {
    static_assert(context_provider<Promise>,
                  "again: an environment for this awaitable is made of the context of an again::task: await it in one");
    const context& ctx = *awaiting.promise().context();
    posted_.emplace(ctx);
    executor_.emplace(*posted_);
    environment_.executor = executor_type{*executor_};
    bridge_ = io_bridge::make().frame;
    bridge_.promise().awaiting = awaiting;
    bridge_.promise().owner = &bridge_;
    if (ctx.stop.stop_possible()) {
      std::stop_source source;
      environment_.stop_token = source.get_token();
      on_stop_.emplace(ctx.stop, request{std::move(source)});
    }
    using returned = decltype(awaited_->await_suspend(bridge_, &environment_));
    if constexpr (std::is_void_v<returned>) {
      awaited_->await_suspend(bridge_, &environment_);
      return std::noop_coroutine();
    } else if constexpr (std::is_same_v<returned, bool>) {
      return awaited_->await_suspend(bridge_, &environment_) ? std::noop_coroutine()
                                                             : std::coroutine_handle<>{awaiting};
    } else {
      return awaited_->await_suspend(bridge_, &environment_);
    }
  }
  decltype(auto) await_resume() {
    on_stop_.reset();
    return awaited_->await_resume();
  }

 private:
  struct request {
    std::stop_source source;
    void operator()() const noexcept {
      std::stop_source kept = source;  // what it calls may end the await
      kept.request_stop();
    }
  };

  environment environment_{};
  std::optional<posted_coroutines> posted_;
  std::optional<executor> executor_;
  std::coroutine_handle<io_bridge::promise_type> bridge_;
  std::optional<inplace_stop_callback<request>> on_stop_;
  std::optional<A> awaited_;
};

template <class A>
  requires io_awaitable<A>
struct adopted_awaitable<A> {
  template <class From> static io_awaiter<A> awaiter(From&& from) {
    return io_awaiter<A>{std::in_place, std::forward<From>(from)};
  }
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
