// SPDX-License-Identifier: MIT
/// \file
/// `scope`: structured concurrency for a number of tasks that is not known beforehand. It starts them and joins them;
/// none of them outlives it.
///
/// ```cpp
/// again::scope deliveries{co_await again::get_context()};
/// while (auto event = next()) deliveries.spawn(deliver(*std::move(event)));
/// co_await deliveries.join();
/// ```
///
/// - `spawn` takes a task, an operation or a foreign awaitable that gives void: a scope cannot keep results, so the
///   spawned coroutine must use its result itself.
/// - `join` waits until all have finished, including those spawned meanwhile. Afterwards the scope can be used again.
/// - Errors: if a spawned coroutine throws, the others are stopped and `join` rethrows the first exception. A scope
///   that was stopped stays stopped.
/// - Cancellation: `request_stop` reaches all of them. So does a stop request of the coroutine that joins.
/// - Lifetime: the destructor destroys those that have not finished. A scope cannot be moved.
/// - Thread: everything on the scheduler's thread; `request_stop` from any thread.
/// - Cost: sixteen bytes for each spawned task, in recycled blocks of sixteen tasks. A block is freed when its tasks
///   have finished.
#pragma once

#include <again/core/detail/linked_stop_source.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/child.hpp>
#include <again/coro/detail/child_pool.hpp>

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {

class scope : detail::child_pool {
 public:
  /// On the loop that this thread is running, with no deadline. Throws `std::logic_error` if this thread runs none.
  scope() : scope{running()} {}
  /// With the scheduler, stop token and deadline of a context.
  explicit scope(const context& parent) : inner_{parent} {
    inner_.stop = stop_.get_token();
    stop_.follow(parent.stop);
  }
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;
  ~scope() {
    stop_.unlink();
    end_all();
  }

  /// Starts `awaited` at once.
  template <detail::child_like A> void spawn(A&& awaited) {
    using stored = std::decay_t<A>;
    static_assert(std::is_void_v<detail::child_result_t<stored>>,
                  "again::scope::spawn: a scope has nowhere to put the result; spawn a task<void> that looks at it");
    slot<stored>& s = emplace<stored>(std::forward<A>(awaited));
    if (s.awaited.start({&finished<stored>, &s}, inner_)) finished<stored>(&s);
  }

  /// How many of the spawned are running.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void request_stop() noexcept { stop_.request_stop(); }

  class [[nodiscard]] join_all;
  /// Awaits all of them. Only one `join` at a time.
  join_all join() noexcept;

 private:
  template <class A> static void finished(void* p) noexcept {
    slot<A>& s = *static_cast<slot<A>*>(p);
    scope& owner = static_cast<scope&>(s.home->owner);
    if (std::exception_ptr e = s.awaited.exception()) owner.threw(std::move(e));
    end(s);
    owner.one_finished();
  }

  static const context& running() {
    if (detail::running_context == nullptr) {
      throw std::logic_error{
          "again::scope: no loop is running on this thread; give it a context: scope{co_await again::get_context()}"};
    }
    return *detail::running_context;
  }
  void threw(std::exception_ptr e) noexcept {
    if (!thrown_) thrown_ = std::move(e);
    stop_.request_stop();
  }
  void one_finished() noexcept;

  detail::linked_stop_source stop_;
  context inner_;
  std::exception_ptr thrown_;
  join_all* joining_ = nullptr;
};

class scope::join_all {
 public:
  using result_type = void;
  explicit join_all(scope& s) noexcept : scope_{s} {}
  join_all(const join_all&) = delete;
  join_all& operator=(const join_all&) = delete;
  ~join_all() {
    if (scope_.joining_ == this) scope_.joining_ = nullptr;
  }
  auto operator co_await() && noexcept { return detail::startable_awaiter<join_all>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    if (scope_.size_ == 0) return true;
    k_ = k;
    scope_.joining_ = this;
    link_.follow(ctx.stop, scope_.stop_);
    return false;
  }
  void take() {
    if (scope_.thrown_) std::rethrow_exception(std::exchange(scope_.thrown_, nullptr));
  }
  std::exception_ptr exception() noexcept { return scope_.thrown_; }

 private:
  friend class scope;
  scope& scope_;
  continuation k_;
  detail::stop_link link_;
};

inline scope::join_all scope::join() noexcept { return join_all{*this}; }

inline void scope::one_finished() noexcept {
  if (size_ != 0 || joining_ == nullptr) return;
  join_all& waiting = *std::exchange(joining_, nullptr);
  waiting.link_.unlink();
  waiting.k_();
}

}  // namespace AGAIN_ABI
}  // namespace again
