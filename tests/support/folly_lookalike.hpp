// SPDX-License-Identifier: MIT
/// \file
/// The parts of folly that the edge and its tests use, with its rules:
/// - a Task starts when it is awaited, on an executor that its promise has, and every await in it becomes
///   `co_withAsyncStack(co_viaIfAsync(executor, co_withCancellation(token, awaitable)))`;
/// - the three are customization points, found by argument-dependent lookup, with an overload for everything;
/// - `co_viaIfAsync` moves the awaitable, hands its awaiter the handle of a coroutine of its own, and resumes the Task on
///   its executor by `add`, unless the awaiter finishes at once;
/// - of two cancellation tokens the inner one counts; a callback's destructor waits for the callback on another thread.
///
/// The headers below folly_lookalike/ have folly's paths, so that `<again/folly.hpp>` finds them.
#pragma once

#include "lookalike_parts.hpp"

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace folly {

namespace ext {
template <class T> inline constexpr bool must_use_immediately_v = false;
}

// ── cancellation ──

class CancellationCallback;

namespace detail {
/// Shared by the sources, tokens and callbacks of one cancellation.
struct CancellationState {
  std::mutex mutex;
  std::condition_variable changed;
  bool requested = false;                      // guarded by mutex
  std::list<CancellationCallback*> callbacks;  // guarded by mutex
  CancellationCallback* running = nullptr;     // guarded by mutex
  std::thread::id notifier;                    // guarded by mutex
};
}  // namespace detail

class CancellationToken {
 public:
  CancellationToken() noexcept = default;
  bool isCancellationRequested() const noexcept {
    if (state_ == nullptr) return false;
    const std::lock_guard lock{state_->mutex};
    return state_->requested;
  }
  bool canBeCancelled() const noexcept { return state_ != nullptr; }

 private:
  friend class CancellationSource;
  friend class CancellationCallback;
  std::shared_ptr<detail::CancellationState> state_;
};

class CancellationCallback {
 public:
  template <class F>
  CancellationCallback(const CancellationToken& token, F&& callback)
      : callback_(std::forward<F>(callback)), state_{token.state_} {
    if (state_ == nullptr) return;
    {
      const std::lock_guard lock{state_->mutex};
      if (!state_->requested) {
        state_->callbacks.push_back(this);
        return;
      }
    }
    state_ = nullptr;
    callback_();
  }
  CancellationCallback(const CancellationCallback&) = delete;
  CancellationCallback& operator=(const CancellationCallback&) = delete;
  ~CancellationCallback() {
    if (state_ == nullptr) return;
    std::unique_lock lock{state_->mutex};
    state_->callbacks.remove(this);
    if (state_->notifier == std::this_thread::get_id()) return;
    state_->changed.wait(lock, [this] { return state_->running != this; });
  }

 private:
  friend class CancellationSource;
  std::function<void()> callback_;
  std::shared_ptr<detail::CancellationState> state_;
};

class CancellationSource {
 public:
  CancellationSource() : state_{std::make_shared<detail::CancellationState>()} {}
  CancellationToken getToken() const noexcept {
    CancellationToken made;
    made.state_ = state_;
    return made;
  }
  bool requestCancellation() const noexcept {
    const std::shared_ptr<detail::CancellationState> state = state_;  // a callback may destroy the source
    std::unique_lock lock{state->mutex};
    if (std::exchange(state->requested, true)) return true;
    state->notifier = std::this_thread::get_id();
    while (!state->callbacks.empty()) {
      state->running = state->callbacks.front();
      state->callbacks.pop_front();
      lock.unlock();
      state->running->callback_();
      lock.lock();
      state->running = nullptr;
      state->changed.notify_all();
    }
    return false;
  }

 private:
  std::shared_ptr<detail::CancellationState> state_;
};

// ── executors ──

class Executor {
 public:
  virtual ~Executor() = default;
  virtual void add(std::function<void()> f) = 0;
  template <class E = Executor> class KeepAlive {
   public:
    KeepAlive() noexcept = default;
    KeepAlive(E* executor) noexcept : executor_{executor} {}  // NOLINT: converts, as folly's does
    E* get() const noexcept { return executor_; }
    E* operator->() const noexcept { return executor_; }

   private:
    E* executor_ = nullptr;
  };
};

class CPUThreadPoolExecutor : public Executor {
 public:
  explicit CPUThreadPoolExecutor(std::size_t threads) : threads_{static_cast<std::uint32_t>(threads)} {}
  void add(std::function<void()> f) override { threads_.add(std::move(f)); }
  void join() { threads_.join(); }

 private:
  again_test::worker_threads threads_;
};

/// Runs what was added when its owner says so, on that thread.
class ManualExecutor : public Executor {
 public:
  void add(std::function<void()> f) override {
    const std::lock_guard lock{mutex_};
    queue_.push_back(std::move(f));
    changed_.notify_all();  // under the lock: what was added may end this
  }
  /// Waits until there is something to run, and runs it.
  void makeProgress() {
    std::function<void()> next;
    {
      std::unique_lock lock{mutex_};
      changed_.wait(lock, [this] { return !queue_.empty(); });
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    next();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;  // guarded by mutex_
};

// ── coroutines ──

namespace coro {

template <class T = void> class Task;
template <class T = void> class TaskWithExecutor;

template <class A>
concept member_operator = requires(A&& a) { static_cast<A&&>(a).operator co_await(); };
template <class A> decltype(auto) get_awaiter(A&& a) {
  if constexpr (member_operator<A>) {
    return static_cast<A&&>(a).operator co_await();
  } else {
    return static_cast<A&&>(a);
  }
}
template <class A> using awaiter_type_t = decltype(get_awaiter(std::declval<A>()));
template <class A> using await_result_t = decltype(std::declval<awaiter_type_t<A>&>().await_resume());

namespace detail {

/// Resumes its continuation on an executor when it is resumed itself.
class ViaCoroutine {
 public:
  struct promise_type {
    Executor::KeepAlive<> executor;
    std::coroutine_handle<> continuation;
    ViaCoroutine get_return_object() { return ViaCoroutine{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    struct FinalAwaiter {
      static bool await_ready() noexcept { return false; }
      static void await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        h.promise().executor->add([&p = h.promise()] { p.continuation.resume(); });
      }
      static void await_resume() noexcept {}
    };
    static FinalAwaiter final_suspend() noexcept { return {}; }
    static void return_void() noexcept {}
    [[noreturn]] static void unhandled_exception() noexcept { std::terminate(); }
  };
  ViaCoroutine(ViaCoroutine&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  ViaCoroutine(const ViaCoroutine&) = delete;
  ViaCoroutine& operator=(const ViaCoroutine&) = delete;
  ~ViaCoroutine() { destroy(); }
  static ViaCoroutine create(Executor::KeepAlive<> executor) {
    ViaCoroutine made = []() -> ViaCoroutine { co_return; }();
    made.frame_.promise().executor = executor;
    return made;
  }
  void destroy() noexcept {
    if (frame_) std::exchange(frame_, nullptr).destroy();
  }
  std::coroutine_handle<promise_type> handle() const noexcept { return frame_; }

 private:
  explicit ViaCoroutine(std::coroutine_handle<promise_type> frame) noexcept : frame_{frame} {}
  std::coroutine_handle<promise_type> frame_;
};

template <class Awaitable> class ViaIfAsyncAwaiter {
  using Awaiter = awaiter_type_t<Awaitable>;
  using handle = std::coroutine_handle<ViaCoroutine::promise_type>;

 public:
  ViaIfAsyncAwaiter(Executor::KeepAlive<> executor, Awaitable&& awaitable)
      : via_{ViaCoroutine::create(executor)}, awaiter_(get_awaiter(static_cast<Awaitable&&>(awaitable))) {}
  decltype(auto) await_ready() { return awaiter_.await_ready(); }
  auto await_suspend(std::coroutine_handle<> h) -> decltype(std::declval<Awaiter&>().await_suspend(handle{})) {
    via_.handle().promise().continuation = h;
    return awaiter_.await_suspend(via_.handle());
  }
  decltype(auto) await_resume() {
    via_.destroy();
    return awaiter_.await_resume();
  }

 private:
  ViaCoroutine via_;
  Awaiter awaiter_;
};

template <class Awaitable> class ViaIfAsyncAwaitable {
 public:
  ViaIfAsyncAwaitable(Executor::KeepAlive<> executor, Awaitable&& awaitable)
      : executor_{executor}, awaitable_(static_cast<Awaitable&&>(awaitable)) {}
  auto operator co_await() && { return ViaIfAsyncAwaiter<Awaitable>{executor_, static_cast<Awaitable&&>(awaitable_)}; }

 private:
  Executor::KeepAlive<> executor_;
  Awaitable awaitable_;
};

namespace adl {

template <typename Awaitable, std::enable_if_t<!folly::ext::must_use_immediately_v<Awaitable>, int> = 0>
Awaitable&& co_withCancellation(const CancellationToken& /*token*/, Awaitable&& awaitable) noexcept {
  return static_cast<Awaitable&&>(awaitable);
}
struct WithCancellationFunction {
  template <typename Awaitable>
  auto operator()(const CancellationToken& token, Awaitable&& awaitable) const
      -> decltype(co_withCancellation(token, static_cast<Awaitable&&>(awaitable))) {
    return co_withCancellation(token, static_cast<Awaitable&&>(awaitable));
  }
};

template <typename Awaitable>
auto co_viaIfAsync(Executor::KeepAlive<> executor, Awaitable&& awaitable) -> ViaIfAsyncAwaitable<Awaitable> {
  return ViaIfAsyncAwaitable<Awaitable>{executor, static_cast<Awaitable&&>(awaitable)};
}
struct ViaIfAsyncFunction {
  template <typename Awaitable>
  auto operator()(Executor::KeepAlive<> executor, Awaitable&& awaitable) const
      -> decltype(co_viaIfAsync(executor, static_cast<Awaitable&&>(awaitable))) {
    return co_viaIfAsync(executor, static_cast<Awaitable&&>(awaitable));
  }
};

template <typename Awaitable> Awaitable&& co_withAsyncStack(Awaitable&& awaitable) noexcept {
  return static_cast<Awaitable&&>(awaitable);
}

void co_withExecutor();
struct WithExecutorFunction {
  template <typename Awaitable>
  auto operator()(Executor::KeepAlive<> executor, Awaitable awaitable) const
      -> decltype(co_withExecutor(executor, std::move(awaitable))) {
    return co_withExecutor(executor, std::move(awaitable));
  }
};

}  // namespace adl
}  // namespace detail

inline namespace customization_points {
inline constexpr detail::adl::WithCancellationFunction co_withCancellation{};
inline constexpr detail::adl::ViaIfAsyncFunction co_viaIfAsync{};
inline constexpr detail::adl::WithExecutorFunction co_withExecutor{};
}  // namespace customization_points

struct co_current_executor_t {};
inline constexpr co_current_executor_t co_current_executor{};
struct co_current_cancellation_token_t {};
inline constexpr co_current_cancellation_token_t co_current_cancellation_token{};

namespace detail {

template <class V> struct ready_awaitable {
  V value;
  static bool await_ready() noexcept { return true; }
  static void await_suspend(std::coroutine_handle<> /*h*/) noexcept {}
  V await_resume() noexcept { return value; }
};

class TaskPromiseBase {
 public:
  static std::suspend_always initial_suspend() noexcept { return {}; }
  struct FinalAwaiter {
    static bool await_ready() noexcept { return false; }
    template <class Promise>
    static std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> h) noexcept {
      return h.promise().continuation;
    }
    static void await_resume() noexcept {}
  };
  static FinalAwaiter final_suspend() noexcept { return {}; }

  template <typename Awaitable> auto await_transform(Awaitable&& awaitable) {
    // A prvalue, as folly's: what the parts return by value is moved into the last.
    return detail::adl::ViaIfAsyncFunction{}(executor,
                                             coro::co_withCancellation(token, static_cast<Awaitable&&>(awaitable)));
  }
  auto await_transform(co_current_executor_t /*tag*/) noexcept { return ready_awaitable<Executor*>{executor.get()}; }
  auto await_transform(co_current_cancellation_token_t /*tag*/) noexcept {
    return ready_awaitable<const CancellationToken&>{token};
  }
  void setCancellationToken(CancellationToken t) noexcept {
    if (!std::exchange(has_token_override, true)) token = std::move(t);
  }

  std::coroutine_handle<> continuation;
  Executor::KeepAlive<> executor;
  CancellationToken token;
  bool has_token_override = false;
};

template <class T> class TaskPromise final : public TaskPromiseBase, public again_test::returns<T> {
 public:
  Task<T> get_return_object() noexcept;
};

/// A frame that ends with its owner.
template <class T> class owned_frame {
 public:
  using handle_t = std::coroutine_handle<TaskPromise<T>>;
  explicit owned_frame(handle_t frame) noexcept : frame_{frame} {}
  owned_frame(owned_frame&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  owned_frame& operator=(owned_frame other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~owned_frame() {
    if (frame_) frame_.destroy();
  }
  TaskPromise<T>& promise() const noexcept { return frame_.promise(); }
  handle_t get() const noexcept { return frame_; }
  T result() {
    owned_frame ended{std::move(*this)};
    if constexpr (std::is_void_v<T>) {
      ended.promise().result.get();
    } else {
      return std::move(ended.promise().result.get());
    }
  }

 private:
  handle_t frame_;
};

}  // namespace detail

/// Starts on its executor when it is awaited, by any coroutine; that goes on on the executor, too.
template <class T> class [[nodiscard]] TaskWithExecutor {
 public:
  class Awaiter {
   public:
    explicit Awaiter(detail::owned_frame<T> frame) noexcept : frame_{std::move(frame)} {}
    static bool await_ready() noexcept { return false; }
    template <class Promise> void await_suspend(std::coroutine_handle<Promise> h) noexcept {
      static_assert(!std::is_void_v<Promise>, "folly asks the promise whether it is one of its own");
      frame_.promise().continuation = h;
      frame_.promise().executor->add([frame = frame_.get()] { frame.resume(); });
    }
    T await_resume() { return frame_.result(); }

   private:
    detail::owned_frame<T> frame_;
  };
  Awaiter operator co_await() && noexcept { return Awaiter{std::move(frame_)}; }

  friend TaskWithExecutor co_withCancellation(CancellationToken token, TaskWithExecutor&& task) noexcept {
    task.frame_.promise().setCancellationToken(std::move(token));
    return std::move(task);
  }

 private:
  friend class Task<T>;
  explicit TaskWithExecutor(detail::owned_frame<T> frame) noexcept : frame_{std::move(frame)} {}
  detail::owned_frame<T> frame_;
};

/// Can be awaited by Tasks alone: it takes over their executor.
template <class T> class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;

  friend TaskWithExecutor<T> co_withExecutor(Executor::KeepAlive<> executor, Task task) noexcept {
    return std::move(task).scheduleOn(executor);
  }
  TaskWithExecutor<T> scheduleOn(Executor::KeepAlive<> executor) && noexcept {
    frame_.promise().executor = executor;
    return TaskWithExecutor<T>{std::move(frame_)};
  }
  friend auto co_viaIfAsync(Executor::KeepAlive<> executor, Task&& task) noexcept {
    task.frame_.promise().executor = executor;
    return Awaiter{std::move(task.frame_)};
  }
  friend Task co_withCancellation(CancellationToken token, Task&& task) noexcept {
    task.frame_.promise().setCancellationToken(std::move(token));
    return std::move(task);
  }

 private:
  friend class detail::TaskPromise<T>;
  class Awaiter {
   public:
    explicit Awaiter(detail::owned_frame<T> frame) noexcept : frame_{std::move(frame)} {}
    static bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) noexcept {
      frame_.promise().continuation = h;
      return frame_.get();
    }
    T await_resume() { return frame_.result(); }

   private:
    detail::owned_frame<T> frame_;
  };
  explicit Task(detail::owned_frame<T> frame) noexcept : frame_{std::move(frame)} {}
  detail::owned_frame<T> frame_;
};

template <class T> Task<T> detail::TaskPromise<T>::get_return_object() noexcept {
  return Task<T>{owned_frame<T>{std::coroutine_handle<TaskPromise>::from_promise(*this)}};
}

/// Runs a Task on the calling thread.
template <class T> T blockingWait(Task<T> task) {
  ManualExecutor here;
  std::atomic<bool> done{false};
  auto run = [](TaskWithExecutor<T> inner) -> again_test::watched_coroutine<T> {
    co_return co_await std::move(inner);
  }(co_withExecutor(Executor::KeepAlive<>{&here}, std::move(task)));
  run.start([&done]() -> std::coroutine_handle<> {
    done = true;
    return std::noop_coroutine();
  });
  while (!done) here.makeProgress();
  if constexpr (std::is_void_v<T>) {
    run.get();
  } else {
    return std::move(run.get());
  }
}
/// Runs it on its own executor.
template <class T> T blockingWait(TaskWithExecutor<T> task) {
  auto run = [](TaskWithExecutor<T> inner) -> again_test::watched_coroutine<T> {
    co_return co_await std::move(inner);
  }(std::move(task));
  again_test::blocking_event done;
  run.start([&done]() -> std::coroutine_handle<> {
    done.set();
    return std::noop_coroutine();
  });
  done.wait();
  if constexpr (std::is_void_v<T>) {
    run.get();
  } else {
    return std::move(run.get());
  }
}

namespace detail {

/// Starts all of them on the executor and with the token of the awaiting Task.
template <class... T> class collect_awaitable {
 public:
  explicit collect_awaitable(TaskWithExecutor<T>... tasks) : children_{run(std::move(tasks))...} {}
  static bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) {
    std::apply([&](auto&... child) { (child.start([this, awaiting] { return one_less(awaiting); }), ...); }, children_);
    return left_.fetch_sub(1, std::memory_order_acq_rel) > 1;
  }
  std::tuple<T...> await_resume() {
    return std::apply([](auto&... child) { return std::tuple<T...>{std::move(child.get())...}; }, children_);
  }

 private:
  template <class U> static again_test::watched_coroutine<U> run(TaskWithExecutor<U> task) {
    co_return co_await std::move(task);
  }
  std::coroutine_handle<> one_less(std::coroutine_handle<> awaiting) {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) return awaiting;
    return std::noop_coroutine();
  }
  std::atomic<std::size_t> left_{sizeof...(T) + 1};
  std::tuple<again_test::watched_coroutine<T>...> children_;
};

}  // namespace detail

template <class... T> Task<std::tuple<T...>> collectAll(Task<T>... tasks) {
  const Executor::KeepAlive<> executor{co_await co_current_executor};
  const CancellationToken token = co_await co_current_cancellation_token;
  detail::collect_awaitable<T...> all{co_withExecutor(executor, coro::co_withCancellation(token, std::move(tasks)))...};
  co_return co_await all;
}

/// Posted once, from any thread; one coroutine waits for it.
class Baton {
 public:
  void post() noexcept {
    void* const was = state_.exchange(this, std::memory_order_acq_rel);
    if (was != nullptr && was != this) std::coroutine_handle<>::from_address(was).resume();
  }
  bool ready() const noexcept { return state_.load(std::memory_order_acquire) == this; }
  bool await_ready() const noexcept { return ready(); }
  bool await_suspend(std::coroutine_handle<> h) noexcept {
    void* nothing = nullptr;
    return state_.compare_exchange_strong(nothing, h.address(), std::memory_order_acq_rel);
  }
  static void await_resume() noexcept {}

 private:
  std::atomic<void*> state_{nullptr};
};

}  // namespace coro
}  // namespace folly
