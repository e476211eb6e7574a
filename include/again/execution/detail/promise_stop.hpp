// SPDX-License-Identifier: MIT
/// \file
/// The stop token in the environment of a promise: a coroutine of the library of senders that awaits one of our tasks or
/// combinators directly can stop it.
///
/// Such a coroutine asks what it awaits for a member `as_awaitable(promise)`. If the promise's environment has a token that
/// can stop, that gives an awaiter which follows it; else the usual one is taken.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/context.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/call_body.hpp>
#include <again/coro/detail/not_awaited.hpp>
#include <again/coro/detail/run_followed.hpp>
#include <again/execution/library.hpp>

#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {
namespace detail {

/// Passes a request of the library's token on to a source of ours.
template <class Token> class token_link {
 public:
  explicit token_link(Token token) : token_(std::move(token)) {}
  void follow(inplace_stop_source& to) noexcept {
    if (token_.stop_possible()) link_.emplace(token_, pass_on{&to});
  }
  void unlink() noexcept { link_.reset(); }

 private:
  struct pass_on {
    inplace_stop_source* to;
    void operator()() const noexcept { to->request_stop(); }
  };
  Token token_;
  again::detail::manual_optional<lib::stop_callback_for_t<Token, pass_on>> link_;
};

template <class Token>
concept never_stops = requires { typename std::bool_constant<Token::stop_possible()>; };
template <class Promise> using token_of = lib::stop_token_of_t<lib::env_of_t<const Promise&>>;
/// That of a coroutine, which has `unhandled_stopped`: there are promises that only declare `get_env`, for concepts.
template <class Promise>
concept promise_with_token = !context_provider<Promise> && requires(const Promise& p, Promise& coroutine) {
  p.get_env();
  coroutine.unhandled_stopped();
  requires !never_stops<token_of<Promise>>;
};

/// A combinator that was given a scheduler by `.on` goes its own way.
template <class Op>
concept runs_elsewhere = requires(Op& op) { op().own_scheduler(); };

}  // namespace detail
}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution

// Result types are written out: to ask for them must not use `promise.get_env()`, which some promises only declare.
template <execution::detail::promise_with_token Promise> struct detail::outside_promise<Promise> {
  using link = execution::detail::token_link<execution::detail::token_of<Promise>>;
  template <class Awaited>
    requires(!execution::detail::runs_elsewhere<Awaited> &&
             (!std::is_lvalue_reference_v<Awaited> || operation<std::remove_reference_t<Awaited>>))
  static holding_awaiter<run_followed<call_body<Awaited>, link>> awaiter(Awaited&& awaited, const Promise& promise) {
    return holding_awaiter<run_followed<call_body<Awaited>, link>>{
        std::in_place, execution::lib::get_stop_token(execution::lib::get_env(promise)),
        std::forward<Awaited>(awaited)};
  }
};

}  // namespace AGAIN_ABI
}  // namespace again
