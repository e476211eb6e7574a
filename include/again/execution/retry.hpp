// SPDX-License-Identifier: MIT
/// \file
/// `retry` of senders: `retry(policy, f)` where `f` returns a sender of P2300, and `sender | retry(policy)`. Both give
/// a sender.
///
/// ```cpp
/// auto quote = again::retry(polite, [&] { return read_quote(pool); });          // f is called for each attempt
/// auto same  = ex::schedule(pool) | ex::then(read) | again::retry(polite);      // a sender that can be copied: copies
/// auto busy  = again::retry(polite, f).when(is_busy).observe(log).budget(shared);
/// auto slow  = f | again::timeout(1s) | again::retry(polite);                   // any stage of a pipe
/// ```
///
/// What fails in a channel is retried, and the end is in the same channel:
///
/// | the sender completes with | an attempt that | the retry completes with |
/// |---|---|---|
/// | `set_value(V...)` | succeeds | `set_value(V...)` |
/// | `set_value(expected<T, E>)`, and no error but exceptions | fails if it holds an error | `set_value(expected<T, failure<E>>)` |
/// | `set_error(E)` | fails with `E` | `set_error(failure<E>)` |
/// | `set_error(std::exception_ptr)` | fails if nothing else can; else ends the retry | `set_error(failure<std::exception_ptr>)`; else the exception |
/// | `set_stopped()` | was stopped: our timeout (`attempt_timeout`) may lead to another one, anything else ends the retry | `set_stopped()` |
///
/// - Errors: a sender with several error types, or several value completions, is one compile error that says what to
///   write. An exception of `f`, of `connect`, a predicate or an observer ends the retry with
///   `set_error(std::exception_ptr)`. A failure whose attempts were all stopped by their timeouts has no error: its
///   `error()` is null.
/// - Where: timers and waits are on the loop that `as_sender` names without a loop. An attempt's environment has that
///   loop as its scheduler, and the stop token of the attempt. The sender runs where it says.
/// - Cancellation: as in `as_sender`; `set_stopped` after it.
/// - Nesting: senders pass on the context of a task that awaits them. So attempts add up with those of a retry around
///   them.
/// - In a task: `co_await as_awaitable(retry(policy, f))` gives an `expected` with a `failure`, of either channel.
/// - Cost: each attempt takes one recycled block and a post; two allocations for the final failure.
#pragma once

#include <again/coro/operation.hpp>
#include <again/execution/as_awaitable.hpp>
#include <again/execution/detail/run_operation.hpp>
#include <again/execution/detail/sender_attempts.hpp>
#include <again/execution/library.hpp>
#include <again/protection/pipe.hpp>
#include <again/retry/retry.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {

/// A function that returns a sender, and no awaitable.
template <class F>
concept sender_factory = std::invocable<std::decay_t<F>&> && !operation<std::decay_t<F>> &&
                         detail::awaited_sender<std::invoke_result_t<std::decay_t<F>&>>;
/// A sender that can be connected any number of times.
template <class S>
concept repeatable_sender =
    detail::awaited_sender<S> && std::copy_constructible<std::decay_t<S>> && !awaitable<std::decay_t<S>>;

namespace detail {

/// How a combinator over senders completes a receiver.
template <class Channel> struct channel_end {
  template <class Body, class Receiver> static void deliver(Body& ended, bool /*stop*/, Receiver&& to) noexcept {
    again::detail::manual_optional<typename Body::result_type> r;
    try {
      r.emplace(ended.take());
    } catch (...) {
      lib::set_error(static_cast<Receiver&&>(to), std::current_exception());
      return;
    }
    if (r->has_value()) {
      if constexpr (std::is_void_v<typename Body::result_type::value_type>) {
        Channel::deliver(static_cast<Receiver&&>(to));
      } else {
        Channel::deliver(**r, static_cast<Receiver&&>(to));
      }
    } else if (cancelled(r->error().reason())) {
      lib::set_stopped(static_cast<Receiver&&>(to));
    } else {
      Channel::fail(plain_failure(std::move(r->error())), static_cast<Receiver&&>(to));
    }
  }
};

/// The same for a task: one `expected`, of either channel.
template <class Op, class Channel> class expected_run {
  using startable_type = std::invoke_result_t<Op&>;
  template <class T> struct plain {
    using type = T;
    static T of(T&& v) { return std::move(v); }
  };
  template <class... V> struct plain<std::tuple<V...>> : awaited_value<types<types<V...>>> {
    static auto of(std::tuple<V...>&& v) {
      if constexpr (sizeof...(V) == 1) {
        return std::get<0>(std::move(v));
      } else {
        return std::move(v);
      }
    }
  };
  using given = typename startable_type::result_type;
  using value = typename expected_parts<given>::value;

 public:
  using result_type =
      expected<typename std::conditional_t<std::is_void_v<value>, std::type_identity<void>, plain<value>>::type,
               failure<merged_error_t<typename Channel::error>>>;
  explicit expected_run(Op op) : op_(std::move(op)) {}
  expected_run(expected_run&& other) noexcept(std::is_nothrow_move_constructible_v<Op>) : op_(std::move(other.op_)) {}
  expected_run& operator=(expected_run&&) = delete;
  ~expected_run() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return again::detail::startable_awaiter<expected_run>{*this}; }

  bool start(continuation k, const context& ctx) noexcept { return slot_.start(op_, k, ctx); }
  std::exception_ptr exception() noexcept { return slot_.exception(); }
  result_type take() {
    given r = slot_.take();
    if (!r.has_value()) return result_type(unexpect, plain_failure(std::move(r.error())));
    if constexpr (std::is_void_v<typename expected_parts<result_type>::value>) {
      return result_type();
    } else {
      return result_type(plain<value>::of(*std::move(r)));
    }
  }

 private:
  Op op_;
  again::detail::attempt_slot<Op> slot_;
};

}  // namespace detail

/// What a combinator over senders returns: a sender. The members are those of the combinator inside.
template <class Op, class Channel> class operation_over_senders {
 public:
  using sender_concept = lib::sender_tag;
  using completion_signatures = typename Channel::completions;
  using channel = Channel;

  explicit operation_over_senders(Op op) : op_(std::move(op)) {}

  template <class Pred> auto when(Pred pred) && {
    if constexpr (again::detail::merged_error<typename Channel::error>::nested) {
      return over(std::move(op_).when(std::move(pred)));
    } else {
      return over(std::move(op_).when(detail::judge<Pred, typename Channel::error>{std::move(pred)}));
    }
  }
  template <class See> auto observe(See see) && { return over(std::move(op_).observe(std::move(see))); }
  template <class Budget> auto budget(Budget& shared) && { return over(std::move(op_).budget(shared)); }
  template <class Breaker> auto breaker(Breaker& shared) && { return over(std::move(op_).breaker(shared)); }
  auto within(duration_with_unit d) && { return over(std::move(op_).within(d)); }
  auto stop(inplace_stop_token token) && { return over(std::move(op_).stop(token)); }
  auto nested(nesting n) && { return over(std::move(op_).nested(n)); }
  auto seed(std::uint64_t s) && { return over(std::move(op_).seed(s)); }
  auto on(again::scheduler& loop) && { return over(std::move(op_).on(loop)); }

  struct attributes {};
  [[nodiscard]] static attributes get_env() noexcept { return {}; }
  template <lib::receiver Receiver>
  detail::operation_state<Op, detail::channel_end<Channel>, Receiver> connect(Receiver to) && {
    return {std::move(op_), nullptr, std::move(to)};
  }
  template <lib::receiver Receiver>
    requires std::copy_constructible<Op>
  detail::operation_state<Op, detail::channel_end<Channel>, Receiver> connect(Receiver to) const& {
    return {op_, nullptr, std::move(to)};
  }
  /// The combinator without its end as a sender: for a stage around it.
  Op operation() && { return std::move(op_); }
  Op operation() const& { return op_; }

 private:
  template <class Changed> static auto over(Changed changed) {
    return operation_over_senders<Changed, Channel>{std::move(changed)};
  }
  Op op_;
};

/// In a task the failure is in an `expected`.
template <class Op, class Channel> [[nodiscard]] auto as_awaitable(operation_over_senders<Op, Channel> sender) {
  return detail::expected_run<Op, Channel>{std::move(sender).operation()};
}

namespace detail {

template <class S> inline constexpr bool is_over_senders = false;
template <class Op, class Channel> inline constexpr bool is_over_senders<operation_over_senders<Op, Channel>> = true;

/// The operation inside, and its channel.
template <class S> auto attempts_of(S&& s) {
  using source = std::decay_t<S>;
  if constexpr (is_over_senders<source>) {
    return std::forward<S>(s).operation();
  } else if constexpr (sender_factory<source>) {
    return sender_attempts<source>{std::in_place, std::forward<S>(s)};
  } else {
    return sender_attempts<sender_copies<source>>{std::in_place, std::forward<S>(s)};
  }
}
template <class S> struct channel_of : std::type_identity<typename decltype(attempts_of(std::declval<S>()))::channel> {
};
template <class Op, class Channel> struct channel_of<operation_over_senders<Op, Channel>>
    : std::type_identity<Channel> {};

template <class S> auto over_senders(auto&& combine, S&& s) {
  auto op = combine(attempts_of(std::forward<S>(s)));
  return operation_over_senders<decltype(op), typename channel_of<std::decay_t<S>>::type>{std::move(op)};
}

}  // namespace detail
}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution

/// Retries what `f` returns, as `p` says. See the top of this file.
template <execution::sender_factory F> auto retry(const checked_policy& p, F&& f) {
  return execution::detail::over_senders([&p](auto op) { return again::retry(p, std::move(op)); }, std::forward<F>(f));
}
template <execution::sender_factory F> auto retry(const policy& p, F&& f) {
  return again::retry(checked_policy{p}, std::forward<F>(f));
}

namespace detail {
/// `sender | stage`, and `function | stage`.
template <class S>
  requires execution::sender_factory<S> || execution::repeatable_sender<S>
struct stage_entry<S> {
  using for_stages = void;
  template <class From, class Stage> static auto enter(From&& s, const Stage& next) {
    return execution::detail::over_senders([&next](auto op) { return next(std::move(op)); }, std::forward<From>(s));
  }
};
}  // namespace detail

}  // namespace AGAIN_ABI
}  // namespace again
