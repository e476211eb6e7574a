// SPDX-License-Identifier: MIT
/// \file
/// `sender_attempts`: a function that makes senders, or a sender that can be connected again and again, as an operation
/// that a retry takes. What failed in a channel is an error of that attempt.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/execution/detail/attempt_error.hpp>
#include <again/execution/detail/completions.hpp>
#include <again/execution/detail/sender_await.hpp>
#include <again/execution/library.hpp>

#include <concepts>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {
namespace detail {

/// A sender whose error channel is retried. `E`: its error.
template <class E, class... V> struct error_channel {
  using error = E;
  using attempt = attempt_error_of<E>;
  using value = std::tuple<V...>;
  using result_type = expected<value, typename attempt::type>;
  template <class Slot, class... Given> static void put_value(Slot& to, Given&&... given) {
    to.emplace(value(std::forward<Given>(given)...));
  }
  using completions = lib::completion_signatures<lib::set_value_t(V...), lib::set_error_t(failure<merged_error_t<E>>),
                                                 lib::set_error_t(std::exception_ptr), lib::set_stopped_t()>;
  template <class Value, class Receiver> static void deliver(Value& value, Receiver&& to) noexcept {
    std::apply([&to](V&... v) { lib::set_value(static_cast<Receiver&&>(to), std::move(v)...); }, value);
  }
  template <class F, class Receiver> static void fail(F&& f, Receiver&& to) noexcept {
    lib::set_error(static_cast<Receiver&&>(to), std::forward<F>(f));
  }
};

/// A sender whose one value is an `expected`, which is what is retried.
template <class T, class E> struct value_channel {
  using error = E;
  using attempt = attempt_error_of<E>;
  using result_type = expected<T, typename attempt::type>;
  using final_type = expected<T, failure<merged_error_t<E>>>;
  template <class Slot, class Given> static void put_value(Slot& to, Given&& given) {
    expected<T, E> r(std::forward<Given>(given));
    if (!r.has_value()) {
      to.emplace(unexpect, attempt::failed(std::move(r.error())));
    } else if constexpr (std::is_void_v<T>) {
      to.emplace();
    } else {
      to.emplace(*std::move(r));
    }
  }
  using completions = lib::completion_signatures<lib::set_value_t(final_type), lib::set_error_t(std::exception_ptr),
                                                 lib::set_stopped_t()>;
  template <class Value, class Receiver> static void deliver(Value& value, Receiver&& to) noexcept {
    lib::set_value(static_cast<Receiver&&>(to), final_type(std::move(value)));
  }
  template <class Receiver> static void deliver(Receiver&& to) noexcept {
    lib::set_value(static_cast<Receiver&&>(to), final_type());
  }
  template <class F, class Receiver> static void fail(F&& f, Receiver&& to) noexcept {
    lib::set_value(static_cast<Receiver&&>(to), final_type(unexpect, std::forward<F>(f)));
  }
};

template <class Values, class Errors> struct channel_for {};
template <class... V, class E> struct channel_for<types<types<V...>>, types<E>> {
  static_assert(
      !(expected_result<V> || ...),
      "again::retry: the sender fails in two ways, with an expected and with an error; make one of them: with "
      "let_error, or in an exception: set_error(std::exception_ptr)");
  using type = error_channel<E, V...>;
};
template <class... V> struct channel_for<types<types<V...>>, types<>> {
  using type = error_channel<std::exception_ptr, V...>;
};
template <expected_result R> struct channel_for<types<types<R>>, types<>> {
  using type = value_channel<typename expected_parts<R>::value, typename expected_parts<R>::error>;
};
template <class E> struct channel_for<types<>, types<E>> {
  using type = error_channel<E>;
};
template <> struct channel_for<types<>, types<>> {
  using type = error_channel<std::exception_ptr>;
};

template <class Sender> struct channel_of_sender {
  using values = values_of<Sender, await_env>;
  using errors = errors_of<Sender, await_env>;
  static_assert(values::size <= 1, "again::retry: the sender can complete with different values; make one of them: "
                                   "retry(policy, [&] { return into_variant(s()); })");
  static_assert(errors::size <= 1,
                "again::retry: the sender fails with errors of different types; make one of them with "
                "let_error, or exceptions: set_error(std::exception_ptr)");
  using type = typename channel_for<values, errors>::type;
};

/// The end of one attempt. An exception is its error if the channel has no other one.
template <class Channel> class attempt_end {
 public:
  using result_type = typename Channel::result_type;
  template <class... V> void put_value(V&&... v) { Channel::put_value(result_, std::forward<V>(v)...); }
  template <class E> void put_error(E&& e) {
    if constexpr (std::is_same_v<std::remove_cvref_t<E>, typename Channel::error>) {
      result_.emplace(unexpect, Channel::attempt::failed(typename Channel::error(std::forward<E>(e))));
    } else {
      thrown_ = std::forward<E>(e);
    }
  }
  void put_stopped() { result_.emplace(unexpect, Channel::attempt::stopped()); }
  void put_exception(std::exception_ptr e) noexcept { thrown_ = std::move(e); }

  std::exception_ptr thrown() const noexcept { return thrown_; }
  result_type take() { return std::move(*result_); }

 private:
  again::detail::manual_optional<result_type> result_;
  std::exception_ptr thrown_;
};

template <class F> class sender_attempts {
  using sender_type = std::remove_cvref_t<std::invoke_result_t<F&>>;

 public:
  using channel = typename channel_of_sender<sender_type>::type;
  template <class From> explicit sender_attempts(std::in_place_t, From&& from) : make_(std::forward<From>(from)) {}
  auto operator()() { return sender_await<sender_type, attempt_end<channel>>{make_()}; }

 private:
  F make_;
};

/// Makes copies of a sender.
template <class Sender> class sender_copies {
 public:
  explicit sender_copies(Sender s) : sender_(std::move(s)) {}
  Sender operator()() const { return sender_; }

 private:
  Sender sender_;
};

template <class S>
concept awaited_sender = lib::sender_in<std::remove_cvref_t<S>, await_env>;

}  // namespace detail
}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution
}  // namespace AGAIN_ABI
}  // namespace again
