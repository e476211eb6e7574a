// SPDX-License-Identifier: MIT
/// \file
/// `as_sender`: an awaitable or an operation of this library as a sender of P2300.
///
/// ```cpp
/// namespace ex = stdexec;
/// auto quote = again::execution::as_sender(again::retry(polite, api.get("/quote/ACME")));   // an operation
/// auto row = again::execution::as_sender(load(db, 42), loop);                               // a task, on that loop
/// auto both = ex::sync_wait(ex::when_all(std::move(quote), std::move(row)));
/// ```
///
/// - Completes with `set_value(R)`, where `R` is the result of awaiting it (`set_value()` if that is void). A failure
///   travels there, in the `expected`, so that no algorithm takes it for an exception.
/// - `set_stopped()` if the result is an `expected` without a value and stop was requested: for a `failure`, if its
///   reason is a cancellation; for another error, always. `set_error(std::exception_ptr)` if it threw.
/// - Stop: a request of the token in the receiver's environment, whatever its type, reaches the operation. It ends
///   soon.
/// - Deadline: P2300 has none; say `.within(5s)` to the operation. Awaited by `as_awaitable` in a task, the operation
///   has that task's deadline, and its attempts add up with those of a retry around it.
/// - Where: it runs, and completes, on the loop given, which the sender then advertises as its completion scheduler.
///   Without one: on the loop of the environment's scheduler if that is a `loop_scheduler` (`starts_on`), else of the
///   awaiting task, else on the loop that the starting thread is running, else on the default loop of the process. If
///   that is the starting thread's loop, it begins inside `start`, and may complete there; else it is posted.
/// - Lifetime: the sender owns what it is given as an rvalue, and a copy of an lvalue. An operation that can be copied
///   can be connected as often as you like (`const&`), a task once (`&&`). The loop outlives the operation state.
/// - Thread: `start` on any.
/// - Cost: no allocation, apart from those of the operation itself.
#pragma once

#include <again/coro/operation.hpp>
#include <again/execution/detail/promise_stop.hpp>
#include <again/execution/detail/run_operation.hpp>
#include <again/execution/library.hpp>
#include <again/execution/loop_scheduler.hpp>
#include <again/policy/failure.hpp>

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {
namespace detail {

template <class R> struct result_signature {
  using type = lib::set_value_t(R);
};
template <> struct result_signature<void> {
  using type = lib::set_value_t();
};

template <class E> bool ended_by_stop(const E& /*error*/) noexcept { return true; }
template <class E> bool ended_by_stop(const failure<E>& f) noexcept { return cancelled(f.reason()); }

/// How an awaitable of ours completes a receiver.
struct result_end {
  template <class Body, class Receiver> static void deliver(Body& ended, bool stop_requested, Receiver&& to) noexcept {
    using result = typename Body::result_type;
    if constexpr (std::is_void_v<result>) {
      lib::set_value(static_cast<Receiver&&>(to));
    } else {
      again::detail::manual_optional<result> r;
      try {
        r.emplace(ended.take());
      } catch (...) {
        lib::set_error(static_cast<Receiver&&>(to), std::current_exception());
        return;
      }
      if constexpr (expected_result<result>) {
        if (stop_requested && !r->has_value() && ended_by_stop(r->error())) {
          lib::set_stopped(static_cast<Receiver&&>(to));
          return;
        }
      }
      lib::set_value(static_cast<Receiver&&>(to), std::move(*r));
    }
  }
};

}  // namespace detail

/// What `as_sender` can make a sender of.
template <class A>
concept sendable = awaitable<A> || operation<A>;

/// What `as_sender` returns. `Placed`: the loop is given.
template <class A, bool Placed> class operation_sender {
 public:
  using sender_concept = lib::sender_tag;
  using completion_signatures = lib::completion_signatures<
      typename detail::result_signature<typename detail::operation_body<A>::type::result_type>::type,
      lib::set_error_t(std::exception_ptr), lib::set_stopped_t()>;

  template <class From> operation_sender(std::in_place_t, From&& from, again::scheduler* where)
      : body_(std::forward<From>(from)), where_{where} {}

  [[nodiscard]] auto get_env() const noexcept {
    if constexpr (Placed) {
      return loop_scheduler::attributes{where_};
    } else {
      return wherever_started{};
    }
  }
  template <lib::receiver Receiver>
  detail::operation_state<A, detail::result_end, Receiver> connect(Receiver to) && {
    return {std::move(body_), where_, std::move(to)};
  }
  template <lib::receiver Receiver>
    requires std::copy_constructible<A>
  detail::operation_state<A, detail::result_end, Receiver> connect(Receiver to) const& {
    return {body_, where_, std::move(to)};
  }

 private:
  struct wherever_started {};

  A body_;
  again::scheduler* where_;
};

/// On the loop where it is started. See the top of this file.
template <class A>
  requires sendable<std::remove_cvref_t<A>>
[[nodiscard]] auto as_sender(A&& a) {
  return operation_sender<std::remove_cvref_t<A>, false>{std::in_place, std::forward<A>(a), nullptr};
}
/// On `loop`.
template <class A>
  requires sendable<std::remove_cvref_t<A>>
[[nodiscard]] auto as_sender(A&& a, again::scheduler& loop) {
  return operation_sender<std::remove_cvref_t<A>, true>{std::in_place, std::forward<A>(a), &loop};
}
template <class A>
  requires sendable<std::remove_cvref_t<A>>
[[nodiscard]] auto as_sender(A&& a, loop_scheduler loop) {
  return as_sender(std::forward<A>(a), loop.loop());
}

}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution
}  // namespace AGAIN_ABI
}  // namespace again
