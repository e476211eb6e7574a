// SPDX-License-Identifier: MIT
/// \file
/// folly's cancellation reaches every awaitable of ours that a `folly::coro::Task` awaits. Nothing is to be written for
/// it: folly finds the function here by argument-dependent lookup.
///
/// ```cpp
/// #include <again/folly.hpp>
///
/// folly::coro::Task<int> show_quote(again::http::client& api) {
///   auto quote = co_await again::retry(polite, api.get("/quote/ACME"));   // ends when the Task is cancelled
///   co_return quote ? 0 : 1;
/// }
/// co_await folly::coro::co_withCancellation(token, again::retry(polite, api.get("/")));   // another token
/// ```
///
/// - What travels in: cancellation. folly has no deadlines: `.within(duration)` sets one.
/// - Where it runs: as in every coroutine that has no context of ours, on the scheduler given with `.on`, else on the
///   loop that this thread is running, else on the default loop of the process.
/// - Where the Task goes on: on its executor, as after every `co_await` in a Task. What ends at once does not leave the
///   thread.
/// - Cancellation: a request of the token is a stop request: the result comes soon and says so
///   (`stop_reason::cancelled_in_attempt`). It is not folly's `OperationCancelled`; the Task decides what to do. Of two
///   tokens the inner one counts, as in folly.
/// - Lifetime: a temporary awaitable is moved into the await; a named operation, and a temporary that cannot be moved
///   (`when_all(...)`), is referred to: await it in the same expression.
/// - Cost: no allocation of ours beside that of an await without context (docs/interop.md has figures).
#pragma once

#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/call_body.hpp>
#include <again/coro/detail/run_followed.hpp>
#include <again/folly/library.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// A `Link` of `run_followed`. The callback only passes the request on; its destructor waits for it.
class folly_link {
 public:
  explicit folly_link(::folly::CancellationToken token) noexcept : token_{std::move(token)} {}
  void follow(inplace_stop_source& to) {
    if (token_.canBeCancelled()) callback_.emplace(token_, [&to]() noexcept { to.request_stop(); });
  }
  void unlink() noexcept { callback_.reset(); }

 private:
  ::folly::CancellationToken token_;
  std::optional<::folly::CancellationCallback> callback_;
};

/// What awaits `A` under a token of folly. folly moves it before it awaits it. `A` is a reference if the awaitable is
/// stored elsewhere.
template <class A> class [[nodiscard("nothing runs until it is awaited: write co_await before it")]] folly_cancellable {
  using run = run_followed<call_body<A>, folly_link>;

 public:
  folly_cancellable(const ::folly::CancellationToken& token, A&& awaitable)
      : token_{token}, awaitable_(static_cast<A&&>(awaitable)) {}
  auto operator co_await() && {
    return holding_awaiter<run>{std::in_place, std::move(token_), static_cast<A&&>(awaitable_)};
  }
  /// The Task's own token comes after the one that is there already.
  friend folly_cancellable co_withCancellation(const ::folly::CancellationToken& /*outer*/, folly_cancellable&& self) {
    return std::move(self);
  }

 private:
  ::folly::CancellationToken token_;
  A awaitable_;
};

/// Not what is only read, such as `get_context()`, and not what is no native awaitable of ours.
template <class A>
concept cancellable_by_folly = native_operation<A&&> || (native_awaitable<A&&> && startable<std::remove_cvref_t<A>>);

/// folly's customization point. The same template parameters as folly's own function for all awaitables, so that the
/// constraint makes this one the better match.
template <typename A AGAIN_FOLLY_IMMEDIATE>
  requires cancellable_by_folly<A>
auto co_withCancellation(const ::folly::CancellationToken& token, A&& awaitable) {
  using held = std::conditional_t<std::is_reference_v<A> || std::is_move_constructible_v<A>, A, A&&>;
  return folly_cancellable<held>{token, static_cast<A&&>(awaitable)};
}

}  // namespace detail

using detail::co_withCancellation;  // for awaitables that are no operations, such as `sleep`

}  // namespace AGAIN_ABI
}  // namespace again
