// SPDX-License-Identifier: MIT
/// \file
/// `use_expected`: a completion token with which an `again::task`, and every combinator, awaits an operation of Asio.
///
/// ```cpp
/// again::task<again::expected<std::size_t, boost::system::error_code>> read(tcp::socket& s, std::span<char> to) {
///   co_return co_await s.async_read_some(boost::asio::buffer(to), again::asio::use_expected);
/// }
/// auto n = co_await again::retry(polite, [&] { return s.async_connect(peer, again::asio::use_expected); });
/// auto x = co_await again::timeout(1s, boost::asio::co_spawn(ex, their_coroutine(), again::asio::use_expected));
/// ```
///
/// - Result: `expected<T, error_code>` for the signature `void(error_code, T)`; `expected<void, error_code>` for
///   `void(error_code)`; with several values a `std::tuple`. `retry` understands the `error_code`
///   (`<again/asio/error.hpp>`). For `void(std::exception_ptr, T)` it is `T`, and the exception is rethrown. For other
///   signatures it is the value or the tuple.
/// - The operation is started when it is awaited. Awaited twice, it is an error.
/// - Cancellation: a stop request of the awaiting context emits `terminal | partial | total` on the executor of the I/O
///   object. Operations that do not support cancellation finish in their own time. A `timeout` and an `attempt_timeout`
///   stop it in the same way.
/// - Where it goes on: on the scheduler of the awaiting coroutine; in place, if that runs on the executor of the I/O object
///   (`async_run`, `scheduler_of`), else by a post to it.
/// - Lifetime: an awaiting coroutine that is destroyed cancels the operation and does not wait for it. Buffers that it owns
///   must not be in use then: destroy it on the executor of the I/O object, or stop it and let it finish. If Asio destroys
///   the handler without calling it, because the execution context ends, the result is `operation_aborted`.
/// - Errors: what the initiating function throws is rethrown by the `co_await`.
/// - Cost: one recycled block.
#pragma once

#include <again/asio/detail/operation_await.hpp>
#include <again/asio/error.hpp>
#include <again/asio/library.hpp>
#include <again/coro/awaitable.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {

/// The type of `use_expected`.
struct use_expected_t {
  constexpr use_expected_t() noexcept = default;

  /// Makes the token the default of an executor: `use_expected_t::as_default_on(tcp::socket{io})`.
  template <class Executor> struct executor_with_default : Executor {
    using default_completion_token_type = use_expected_t;
    executor_with_default(const Executor& ex) noexcept : Executor(ex) {}  // NOLINT: as Asio's tokens do
    template <class Other>
      requires(!std::is_same_v<Other, executor_with_default> && std::is_convertible_v<const Other&, Executor>)
    executor_with_default(const Other& ex) noexcept : Executor(ex) {}  // NOLINT: as Asio's tokens do
  };
  template <class T>
  using as_default_on_t = typename T::template rebind_executor<executor_with_default<typename T::executor_type>>::other;
  template <class T> static as_default_on_t<std::decay_t<T>> as_default_on(T&& object) {
    return as_default_on_t<std::decay_t<T>>(std::forward<T>(object));
  }
};
inline constexpr use_expected_t use_expected{};

}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio
}  // namespace AGAIN_ABI
}  // namespace again

/// A coroutine of Asio can only be awaited by one of its kind.
template <class T, class Executor> struct again::detail::await_advice<again::asio::net::awaitable<T, Executor>> {
  static void explain() {
    static_assert(
        sizeof(T*) == 0,
        "again: a coroutine of Asio runs on an executor; give the operation the token again::asio::use_expected, "
        "or write co_await boost::asio::co_spawn(executor, f(), again::asio::use_expected)");
  }
};

/// How Asio makes the awaitable.
template <class Signature> class again::asio::net::async_result<again::asio::use_expected_t, Signature> {
 public:
  template <class Initiation, class... InitArgs>
  static auto initiate(Initiation&& initiation, again::asio::use_expected_t /*token*/, InitArgs&&... args) {
    return again::asio::detail::operation_await<again::asio::detail::completion_of<Signature>, std::decay_t<Initiation>,
                                                std::decay_t<InitArgs>...>{std::forward<Initiation>(initiation),
                                                                           std::forward<InitArgs>(args)...};
  }
};
