// SPDX-License-Identifier: MIT
/// \file
/// `async_run`: awaits an awaitable or an operation of this library from Asio code, as an asynchronous operation of
/// Asio's kind, with any completion token.
///
/// ```cpp
/// boost::asio::awaitable<int> total(db& d) {
///   auto rows = co_await again::asio::async_run(load(d));                        // an again::task
///   auto quote = co_await again::asio::async_run(api.get("/quote/ACME"));        // an operation: it is started once
///   …
/// }
/// again::asio::async_run(ex, load(d), [](std::exception_ptr e, rows r) { … });   // a callback
/// std::future<rows> f = again::asio::async_run(ex, load(d), boost::asio::use_future);
/// ```
///
/// - Completion signature: `void(std::exception_ptr, R)`, or `void(std::exception_ptr)` if the result is void. With
///   `use_awaitable` and `use_future`, an exception of the awaited coroutine is rethrown. Beside an exception, a handler
///   gets a default `R`; if `R` is an `expected`, an error.
/// - Executor: the operation runs on `ex`, else on the handler's associated executor, else on Asio's system executor.
///   Everything of one call runs there, one callback at a time, also if `ex` is a pool of threads (see
///   `<again/asio/scheduler.hpp>`). The handler is called on its associated executor, else on `ex`; never inside
///   `async_run`.
/// - Cancellation: if the handler has a cancellation slot, then terminal, partial and total cancellation all request stop
///   of the operation, which finishes soon with a result that says so. A signal may be emitted from any thread that may
///   use the slot, as Asio says.
/// - Lifetime: the call owns the operation or awaitable that it is given as an rvalue, and a copy of an lvalue. It is
///   destroyed before the handler is called. If the execution context is destroyed first, the operation is destroyed and
///   then the handler, which is not called: that is what Asio's own operations do. While it is pending, it counts as work
///   of both executors, so that `run` does not return.
/// - Errors: throws `std::bad_alloc` if there is no memory for the call.
/// - Cost: one block from the handler's associated allocator, recycled by default; one more if a cancellation slot is
///   connected. A result that is there at once is delivered by one `post`.
#pragma once

#include <again/asio/detail/call.hpp>
#include <again/asio/library.hpp>
#include <again/coro/operation.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {

/// What `async_run` can run.
template <class A>
concept runnable = awaitable<A> || operation<A>;

namespace detail {

template <class E>
concept executor =
    net::execution::is_executor<std::remove_cvref_t<E>>::value || net::is_executor<std::remove_cvref_t<E>>::value;
template <class C>
concept execution_context = std::is_convertible_v<C&, net::execution_context&> && requires(C& c) { c.get_executor(); };

/// The same sentence as that of `call_body`, nearer to the top of what the compiler says.
template <class A> consteval bool check_movable() {
  static_assert(std::is_move_constructible_v<A>,
                "again/asio.hpp: this awaitable cannot be moved into the call; pass a function that makes it: "
                "async_run([&] { return when_all(a(), b()); })");
  return true;
}

template <class A> using body_of = call_body<std::remove_cvref_t<A>>;
template <class A> using signature_of = typename call_signature<typename body_of<A>::result_type>::type;

// Whether `dispatch` to the executor would call at once. It saves the dispatch where the answer is cheap.
template <class Executor> bool runs_here(const Executor& ex) noexcept {
  if constexpr (requires {
                  { ex.running_in_this_thread() } -> std::convertible_to<bool>;
                }) {
    return ex.running_in_this_thread();
  } else if constexpr (std::is_same_v<Executor, net::any_io_executor>) {
    const auto* const io = ex.template target<net::io_context::executor_type>();
    return io != nullptr && io->running_in_this_thread();
  } else {
    return false;
  }
}

// The handler of a `dispatch` to the executor: starts the call there.
struct starter {
  executor_scheduler* home;
  owned_call owned;
  void operator()() noexcept { home->start(std::move(owned)); }
};

/// `Executor` is `void` if the handler's own is to be used.
template <class Executor> struct initiate_call {
  using executor_type = Executor;
  Executor executor;
  executor_type get_executor() const noexcept { return executor; }
  template <class Handler, class A>
    requires runnable<std::remove_cvref_t<A>>
  void operator()(Handler&& handler, A&& a) const {
    start(std::forward<Handler>(handler), std::forward<A>(a), executor);
  }
  template <class Handler, class A, class Where>
  static void start(Handler&& given, A&& a, const Where& where) {
    std::decay_t<Handler> handler(std::forward<Handler>(given));
    executor_scheduler* const home = scheduler_for(net::any_io_executor(where));
    if (home == nullptr) return;  // the context is being destroyed: so is the handler
    owned_call owned;
    try {
      owned = call<body_of<A>, std::decay_t<Handler>>::make(*home, handler, std::forward<A>(a));
    } catch (...) {
      home->remove_user();
      throw;
    }
    if (runs_here(where)) {
      home->start(std::move(owned));
    } else {
      net::dispatch(home->executor(), starter{home, std::move(owned)});
    }
  }
};
template <> struct initiate_call<void> {
  template <class Handler, class A>
    requires runnable<std::remove_cvref_t<A>>
  void operator()(Handler&& handler, A&& a) const {
    const auto where = net::get_associated_executor(handler);
    if constexpr (std::is_convertible_v<decltype(where), net::any_io_executor>) {
      initiate_call<net::any_io_executor>::start(std::forward<Handler>(handler), std::forward<A>(a), where);
    } else {
      initiate_call<net::any_io_executor>::start(std::forward<Handler>(handler), std::forward<A>(a),
                                                 net::system_executor());
    }
  }
};

}  // namespace detail

/// On the handler's associated executor.
template <class A, class Token = net::use_awaitable_t<>>
  requires(runnable<std::remove_cvref_t<A>> && !detail::executor<A> &&
           !detail::execution_context<std::remove_reference_t<A>>)
auto async_run(A&& a, Token&& token = Token()) {
  static_assert(detail::check_movable<std::remove_cvref_t<A>>());
  return net::async_initiate<Token, detail::signature_of<A>>(detail::initiate_call<void>{}, token, std::forward<A>(a));
}
/// On `ex`.
template <detail::executor Executor, class A, class Token = net::use_awaitable_t<>>
  requires runnable<std::remove_cvref_t<A>>
auto async_run(const Executor& ex, A&& a, Token&& token = Token()) {
  static_assert(detail::check_movable<std::remove_cvref_t<A>>());
  return net::async_initiate<Token, detail::signature_of<A>>(detail::initiate_call<Executor>{ex}, token,
                                                             std::forward<A>(a));
}
/// On the executor of `context`.
template <detail::execution_context Context, class A, class Token = net::use_awaitable_t<>>
  requires runnable<std::remove_cvref_t<A>>
auto async_run(Context& context, A&& a, Token&& token = Token()) {
  static_assert(detail::check_movable<std::remove_cvref_t<A>>());
  return async_run(context.get_executor(), std::forward<A>(a), std::forward<Token>(token));
}

}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio
}  // namespace AGAIN_ABI
}  // namespace again
