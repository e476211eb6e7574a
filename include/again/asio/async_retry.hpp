// SPDX-License-Identifier: MIT
/// \file
/// `async_retry`: a retry as an asynchronous operation of Asio's kind, with any completion token.
///
/// ```cpp
/// boost::asio::awaitable<void> show(again::http::client& api) {
///   auto quote = co_await again::asio::async_retry(polite, api.get("/quote/ACME"));
///   if (!quote) fmt::print("gave up: {}\n", quote.error());
/// }
/// ```
///
/// `async_retry(policy, op, token)` is `async_run(retry(policy, op), token)`; write that to add hooks and bounds:
/// `async_run(retry(polite, op).observe(log).budget(shared), token)`. Result, executor, cancellation, lifetime and cost
/// are those of `async_run`. An operation may give an `again::task`, any awaitable of ours, or an operation of Asio with
/// the token `use_expected`.
#pragma once

#include <again/asio/async_run.hpp>
#include <again/retry/retry.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {

/// On the handler's associated executor. Throws `std::invalid_argument` for a `policy` with impossible values.
template <class Policy, class Op, class Token = net::use_awaitable_t<>>
  requires std::is_convertible_v<const Policy&, policy>
auto async_retry(const Policy& p, Op&& op, Token&& token = Token()) {
  return async_run(again::retry(p, std::forward<Op>(op)), std::forward<Token>(token));
}
/// On an executor, or on the executor of an execution context.
template <class Where, class Policy, class Op, class Token = net::use_awaitable_t<>>
  requires(std::is_convertible_v<const Policy&, policy> &&
           (detail::executor<Where> || detail::execution_context<Where>))
auto async_retry(Where&& where, const Policy& p, Op&& op, Token&& token = Token()) {
  return async_run(where, again::retry(p, std::forward<Op>(op)), std::forward<Token>(token));
}

}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio
}  // namespace AGAIN_ABI
}  // namespace again
