// SPDX-License-Identifier: MIT
/// \file
/// `call`: one asynchronous operation of Asio's kind whose body is an awaitable or an operation of ours.
///
/// One block holds everything: the operation, its context, the completion handler, its work guards and the result. Its
/// memory comes from the handler's associated allocator, or from our recycled frames if that is the default one. The stop
/// source is shared with the handler's cancellation slot, because a signal may be emitted at any time until the handler
/// is called, and may be destroyed before the execution context is.
///
/// Threads: the scheduler's turn until `finish`, then the handler's executor.
#pragma once

#include <again/asio/detail/executor_scheduler.hpp>
#include <again/asio/library.hpp>
#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/detail/call_body.hpp>
#include <again/coro/detail/frame_cache.hpp>
#include <again/coro/operation.hpp>
#include <again/policy/failure.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {
namespace detail {

/// What a call runs: an operation, which is started once, or an awaitable.
template <class A> class call_body : public again::detail::call_body<A> {
  static_assert(std::is_move_constructible_v<A>,
                "again/asio.hpp: this awaitable cannot be moved into the call; pass a function that makes it: "
                "async_run([&] { return when_all(a(), b()); })");

 public:
  using again::detail::call_body<A>::call_body;
};

template <class R> inline constexpr bool is_failure = false;
template <class E> inline constexpr bool is_failure<failure<E>> = true;

/// What a handler gets beside an exception. It is a failure if the result can be one, so that a handler which does not
/// look at the exception does not take it for a success.
template <class R> R beside_exception() {
  if constexpr (expected_result<R>) {
    using error = typename expected_parts<R>::error;
    if constexpr (is_failure<error>) {
      return R(unexpect, error{std::in_place});
    } else if constexpr (std::is_default_constructible_v<error>) {
      return R(unexpect, error());
    } else {
      return R();
    }
  } else {
    return R();
  }
}
template <class R>
concept has_beside_exception =
    std::is_void_v<R> || std::is_default_constructible_v<R> || (expected_result<R> && requires {
      requires is_failure<typename expected_parts<R>::error> ||
                   std::is_default_constructible_v<typename expected_parts<R>::error>;
    });

/// `void(std::exception_ptr, R)`, without `R` if it is void: the completion signature of a call.
template <class R> struct call_signature {
  static_assert(has_beside_exception<R>,
                "again/asio.hpp: a completion handler gets an exception_ptr and the result, so the result type needs a "
                "default constructor, or must be an expected whose error has one; return std::optional<T> instead");
  using type = void(std::exception_ptr, R);
};
template <> struct call_signature<void> {
  using type = void(std::exception_ptr);
};

/// Recycled frames for handlers that have no allocator of their own.
template <class T> struct frame_allocator {
  using value_type = T;
  frame_allocator() noexcept = default;
  template <class U> explicit frame_allocator(const frame_allocator<U>& /*other*/) noexcept {}
  T* allocate(std::size_t n) { return static_cast<T*>(again::detail::frame_cache::allocate(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { again::detail::frame_cache::deallocate(p, n * sizeof(T)); }
  friend bool operator==(const frame_allocator&, const frame_allocator&) = default;
};
template <class T, class Given> struct call_allocator {
  using type = typename std::allocator_traits<Given>::template rebind_alloc<T>;
};
template <class T, class U> struct call_allocator<T, std::allocator<U>> {
  using type = frame_allocator<T>;
};

/// Whether `ex` is that executor. Some executors of Asio's own, such as that of `use_future`, cannot be an
/// `any_io_executor`.
template <class Executor> bool same_executor(const Executor& ex, const net::any_io_executor& other) {
  if constexpr (std::is_convertible_v<const Executor&, net::any_io_executor>) {
    return net::any_io_executor(ex) == other;
  } else {
    return false;
  }
}

template <class Body, class Handler> class call final : public pending_call {
  using result = typename Body::result_type;
  using stored_result = std::conditional_t<std::is_void_v<result>, char, result>;
  using handler_executor = net::associated_executor_t<Handler, net::any_io_executor>;
  using associated_allocator = net::associated_allocator_t<Handler>;
  using allocator = typename call_allocator<call, associated_allocator>::type;
  using traits = std::allocator_traits<allocator>;

  static allocator allocator_of(const Handler& h) noexcept {
    if constexpr (std::is_same_v<allocator, frame_allocator<call>>) {
      return {};
    } else {
      return allocator(net::get_associated_allocator(h));
    }
  }

 public:
  /// Takes over the caller's use of `home`. Throws what the allocator throws; the handler is not moved from then.
  template <class A> static owned_call make(executor_scheduler& home, Handler& handler, A&& a) {
    allocator alloc = allocator_of(handler);
    call* const memory = traits::allocate(alloc, 1);
    try {
      return owned_call{::new (static_cast<void*>(memory)) call(home, alloc, handler, std::forward<A>(a))};
    } catch (...) {
      traits::deallocate(alloc, memory, 1);
      throw;
    }
  }

  void begin() noexcept override {
    if (body_->start({&call::over, this}, context_)) {
      finish();
    } else {  // until now the handler of the starter has kept the executor at work
      guard_.emplace(home_.executor());
    }
  }

  void deliver_later() noexcept override {
    const handler_executor ex = handler_executor_;
    net::post(ex, completion{owned_call{this}});
  }
  void deliver() override {
    const handler_executor ex = handler_executor_;
    net::dispatch(ex, completion{owned_call{this}});
  }

  void destroy() noexcept override {
    body_.reset();  // before the handler: it may own the coroutine that awaits
    executor_scheduler& home = home_;
    allocator alloc = alloc_;
    this->~call();
    traits::deallocate(alloc, this, 1);
    home.remove_user();
  }

 private:
  template <class A> call(executor_scheduler& home, const allocator& alloc, Handler& handler, A&& a)
      : home_{home}, alloc_(alloc), handler_executor_(net::get_associated_executor(handler, home.executor())) {
    body_.emplace(std::in_place, std::forward<A>(a));
    context_ = home.root();
    if (auto slot = net::get_associated_cancellation_slot(handler); slot.is_connected()) {
      stop_ = std::make_shared<inplace_stop_source>();
      context_.stop = stop_->get_token();
      slot.assign([stop = stop_](net::cancellation_type type) {
        if (type != net::cancellation_type::none) stop->request_stop();
      });
    }
    if (!same_executor(handler_executor_, home.executor())) handler_guard_.emplace(handler_executor_);
    handler_.emplace(std::move(handler));
  }
  ~call() = default;

  static void over(void* self) noexcept { static_cast<call*>(self)->finish(); }
  // Takes the result and destroys the operation: it has ended before the handler is called. The scheduler's turn.
  void finish() noexcept {
    try {
      exception_ = body_->exception();
      if constexpr (std::is_void_v<result>) {
        if (!exception_) body_->take();
      } else {
        if (!exception_) result_.emplace(body_->take());
      }
    } catch (...) { exception_ = std::current_exception(); }
    body_.reset();
    home_.finished(*this);
  }

  // The function object that Asio calls on the handler's executor.
  struct completion {
    using allocator_type = associated_allocator;
    owned_call owned;
    allocator_type get_allocator() const noexcept {
      return net::get_associated_allocator(*static_cast<const call*>(owned.get())->handler_);
    }
    void operator()() { static_cast<call*>(owned.get())->invoke(std::move(owned)); }
  };
  void invoke(owned_call owned) {
    net::get_associated_cancellation_slot(*handler_).clear();
    Handler handler(std::move(*handler_));
    const auto guards = std::make_pair(std::move(guard_), std::move(handler_guard_));
    const std::exception_ptr exception = std::move(exception_);
    if constexpr (std::is_void_v<result>) {
      owned.reset();
      std::move(handler)(exception);
    } else {
      result r = exception ? beside_exception<result>() : result(std::move(*result_));
      owned.reset();
      std::move(handler)(exception, std::move(r));
    }
  }

  executor_scheduler& home_;
  [[no_unique_address]] allocator alloc_;  // the handler's may have moved away with it
  context context_;
  std::shared_ptr<inplace_stop_source> stop_;
  handler_executor handler_executor_;
  std::optional<net::executor_work_guard<net::any_io_executor>> guard_;
  std::optional<net::executor_work_guard<handler_executor>> handler_guard_;
  std::exception_ptr exception_;
  std::optional<stored_result> result_;
  std::optional<Handler> handler_;
  std::optional<Body> body_;
};

}  // namespace detail
}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio
}  // namespace AGAIN_ABI
}  // namespace again
