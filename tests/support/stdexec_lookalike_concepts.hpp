// SPDX-License-Identifier: MIT
/// \file
/// The concepts, queries and stop tokens of the look-alike of stdexec: see `stdexec_lookalike.hpp`. What a concept or a
/// customization point of the real one refuses, this one refuses, too.
#pragma once

#include <atomic>
#include <concepts>
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace again_test::p2300 {

// ── stop tokens ──

template <template <class> class> struct has_alias;
template <class T>
concept stoppable_token = requires(const T t) {
  typename has_alias<T::template callback_type>;
  { t.stop_requested() } noexcept -> std::convertible_to<bool>;
  { t.stop_possible() } noexcept -> std::convertible_to<bool>;
  { T(t) } noexcept;
} && std::copyable<T> && std::equality_comparable<T>;

template <class Token, class F> using stop_callback_for_t = typename Token::template callback_type<F>;

struct never_stop_token {
  template <class> struct callback_type {
    template <class F> explicit callback_type(never_stop_token, F&&) noexcept {}
  };
  static constexpr bool stop_requested() noexcept { return false; }
  static constexpr bool stop_possible() noexcept { return false; }
  bool operator==(const never_stop_token&) const = default;
};

struct stop_callback_base {
  void (*call)(stop_callback_base*) noexcept;
  stop_callback_base* next = nullptr;
  stop_callback_base** link = nullptr;
};

/// As `inplace_stop_source`: a callback's destructor waits while another thread runs it.
class inplace_stop_source {
 public:
  template <class F> class callback : stop_callback_base {
   public:
    template <class Init> callback(auto token, Init&& f) noexcept(std::is_nothrow_constructible_v<F, Init>)
        : stop_callback_base{[](stop_callback_base* self) noexcept { static_cast<callback*>(self)->f_(); }},
          source_{token.source_},
          f_(std::forward<Init>(f)) {
      if (source_ != nullptr && !source_->add(this)) f_();
    }
    callback(callback&&) = delete;
    ~callback() {
      if (source_ != nullptr) source_->remove(this);
    }

   private:
    inplace_stop_source* source_;
    F f_;
  };
  class token {
   public:
    template <class F> using callback_type = callback<F>;
    token() noexcept = default;
    explicit token(inplace_stop_source* source) noexcept : source_{source} {}
    bool stop_requested() const noexcept { return source_ != nullptr && source_->stop_requested(); }
    bool stop_possible() const noexcept { return source_ != nullptr; }
    bool operator==(const token&) const = default;

   private:
    template <class> friend class callback;
    inplace_stop_source* source_ = nullptr;
  };

  inplace_stop_source() = default;
  inplace_stop_source(inplace_stop_source&&) = delete;
  token get_token() noexcept { return token{this}; }
  bool stop_requested() const noexcept { return requested_.load(); }
  bool request_stop() noexcept {
    std::unique_lock lock{mutex_};
    if (requested_.exchange(true)) return false;
    notifier_ = std::this_thread::get_id();
    while (stop_callback_base* const first = first_) {
      unhook(first);
      running_ = first;
      lock.unlock();
      first->call(first);
      lock.lock();
      running_ = nullptr;
      ended_.notify_all();
    }
    return true;
  }

 private:
  void unhook(stop_callback_base* c) noexcept {
    *c->link = c->next;
    if (c->next != nullptr) c->next->link = c->link;
    c->link = nullptr;
  }
  bool add(stop_callback_base* c) noexcept {
    const std::lock_guard lock{mutex_};
    if (requested_) return false;
    c->next = first_;
    c->link = &first_;
    if (first_ != nullptr) first_->link = &c->next;
    first_ = c;
    return true;
  }
  void remove(stop_callback_base* c) noexcept {
    std::unique_lock lock{mutex_};
    if (c->link != nullptr) {
      unhook(c);
    } else if (notifier_ != std::this_thread::get_id()) {
      ended_.wait(lock, [&] { return running_ != c; });
    }
  }
  std::atomic<bool> requested_{false};
  std::mutex mutex_;
  std::condition_variable ended_;
  stop_callback_base* first_ = nullptr;
  stop_callback_base* running_ = nullptr;
  std::thread::id notifier_;
};
using inplace_stop_token = inplace_stop_source::token;
static_assert(stoppable_token<never_stop_token> && stoppable_token<inplace_stop_token>);

// ── environments and queries ──

struct forwarding_query_t {
  template <class Query> consteval bool operator()(Query q) const noexcept {
    if constexpr (requires { q.query(forwarding_query_t{}); }) {
      return q.query(forwarding_query_t{});
    } else {
      return false;
    }
  }
};
template <class Query>
concept forwarded = forwarding_query_t{}(Query{});
struct forwarding {
  static constexpr bool query(forwarding_query_t) noexcept { return true; }
};

struct get_env_t {
  template <class T> auto operator()(const T& t) const noexcept {
    if constexpr (requires { t.get_env(); }) {
      static_assert(noexcept(t.get_env()));
      return t.get_env();
    } else {
      struct env {};
      return env{};
    }
  }
};
inline constexpr get_env_t get_env{};
template <class T> using env_of_t = decltype(get_env(std::declval<const T&>()));

struct get_stop_token_t : forwarding {
  template <class Env> auto operator()(const Env& env) const noexcept {
    if constexpr (requires { env.query(*this); }) {
      static_assert(stoppable_token<decltype(env.query(*this))> && noexcept(env.query(*this)));
      return env.query(*this);
    } else {
      return never_stop_token{};
    }
  }
};
inline constexpr get_stop_token_t get_stop_token{};
template <class Env> using stop_token_of_t = decltype(get_stop_token(std::declval<const Env&>()));

struct get_scheduler_t : forwarding {
  template <class Env>
    requires requires(const Env& env, get_scheduler_t self) {
      { env.query(self) } noexcept;
    }
  auto operator()(const Env& env) const noexcept {
    return env.query(*this);
  }
};
inline constexpr get_scheduler_t get_scheduler{};
template <class Signal> struct get_completion_scheduler_t : forwarding {
  template <class Env>
    requires requires(const Env& env, get_completion_scheduler_t self) {
      { env.query(self) } noexcept;
    }
  auto operator()(const Env& env) const noexcept {
    return env.query(*this);
  }
};
template <class Signal> inline constexpr get_completion_scheduler_t<Signal> get_completion_scheduler{};

enum class forward_progress_guarantee { concurrent, parallel, weakly_parallel };
struct get_forward_progress_guarantee_t {
  template <class Scheduler> constexpr forward_progress_guarantee operator()(const Scheduler& s) const noexcept {
    if constexpr (requires { s.query(*this); }) {
      return s.query(*this);
    } else {
      return forward_progress_guarantee::weakly_parallel;
    }
  }
};
inline constexpr get_forward_progress_guarantee_t get_forward_progress_guarantee{};

/// An environment that answers one query, and passes on what may be passed on.
template <class Query, class Value, class Outer> struct env_with {
  Value value;
  Outer outer;
  Value query(Query) const noexcept { return value; }
  template <class Other>
    requires(!std::same_as<Other, Query> && forwarded<Other> && requires(const Outer& o, Other q) { o.query(q); })
  auto query(Other q) const noexcept {
    return outer.query(q);
  }
};

// ── receivers, senders, operation states ──

struct receiver_t {};
struct sender_t {};
struct operation_state_t {};
struct scheduler_t {};

struct set_value_t {
  template <class R, class... V> void operator()(R&& r, V&&... v) const noexcept {
    static_assert(!std::is_lvalue_reference_v<R> && !std::is_const_v<R>, "a receiver is completed as an rvalue");
    static_assert(noexcept(std::move(r).set_value(std::forward<V>(v)...)));
    std::move(r).set_value(std::forward<V>(v)...);
  }
};
struct set_error_t {
  template <class R, class E> void operator()(R&& r, E&& e) const noexcept {
    static_assert(!std::is_lvalue_reference_v<R> && !std::is_const_v<R>, "a receiver is completed as an rvalue");
    static_assert(noexcept(std::move(r).set_error(std::forward<E>(e))));
    std::move(r).set_error(std::forward<E>(e));
  }
};
struct set_stopped_t {
  template <class R> void operator()(R&& r) const noexcept {
    static_assert(!std::is_lvalue_reference_v<R> && !std::is_const_v<R>, "a receiver is completed as an rvalue");
    static_assert(noexcept(std::move(r).set_stopped()));
    std::move(r).set_stopped();
  }
};
inline constexpr set_value_t set_value{};
inline constexpr set_error_t set_error{};
inline constexpr set_stopped_t set_stopped{};

template <class... Signatures> struct completion_signatures {};

template <class R>
concept receiver =
    std::derived_from<typename std::remove_cvref_t<R>::receiver_concept, receiver_t> &&
    std::move_constructible<std::remove_cvref_t<R>> && std::constructible_from<std::remove_cvref_t<R>, R>;
template <class R, class Signature> struct takes;
template <class R, class Signal, class... A> struct takes<R, Signal(A...)> {
  static constexpr bool value = requires(R r, A&&... a) { Signal{}(std::move(r), std::forward<A>(a)...); };
};
template <class R, class Completions> struct takes_all;
template <class R, class... S> struct takes_all<R, completion_signatures<S...>> {
  static constexpr bool value = (takes<R, S>::value && ...);
};

template <class S>
concept sender = std::derived_from<typename std::remove_cvref_t<S>::sender_concept, sender_t> &&
                 std::move_constructible<std::remove_cvref_t<S>> && std::constructible_from<std::remove_cvref_t<S>, S>;
template <class S, class Env> struct completions_of {};
template <class S, class Env>
  requires requires { typename S::completion_signatures; }
struct completions_of<S, Env> {
  using type = typename S::completion_signatures;
};
template <class S, class Env>
  requires requires { S::template completions<Env>(); }
struct completions_of<S, Env> {
  using type = decltype(S::template completions<Env>());
};
template <class S, class Env>
using completion_signatures_of_t = typename completions_of<std::remove_cvref_t<S>, Env>::type;
template <class S, class Env>
concept sender_in = sender<S> && requires { typename completion_signatures_of_t<S, Env>; };

template <class O>
concept operation_state = std::derived_from<typename O::operation_state_concept, operation_state_t> &&
                          std::is_object_v<O> && std::destructible<O> && requires(O& o) {
                            { o.start() } noexcept;
                          };
struct start_t {
  template <operation_state O> void operator()(O& o) const noexcept { o.start(); }
};
inline constexpr start_t start{};
struct connect_t {
  template <class S, receiver R>
    requires sender_in<S, env_of_t<R>>
  auto operator()(S&& s, R r) const {
    static_assert(takes_all<R, completion_signatures_of_t<S, env_of_t<R>>>::value);
    static_assert(operation_state<decltype(std::forward<S>(s).connect(std::move(r)))>);
    return std::forward<S>(s).connect(std::move(r));
  }
};
inline constexpr connect_t connect{};
template <class S, class R> using connect_result_t = decltype(connect(std::declval<S>(), std::declval<R>()));

struct schedule_t {
  template <class Scheduler> auto operator()(Scheduler&& s) const {
    static_assert(sender<decltype(s.schedule())>);
    return s.schedule();
  }
};
inline constexpr schedule_t schedule{};
template <class S>
concept scheduler =
    std::derived_from<typename std::remove_cvref_t<S>::scheduler_concept, scheduler_t> &&
    std::equality_comparable<std::remove_cvref_t<S>> && std::copyable<std::remove_cvref_t<S>> && requires(S&& s) {
      { schedule(s) } -> sender;
      { get_completion_scheduler<set_value_t>(get_env(schedule(s))) } -> std::same_as<std::remove_cvref_t<S>>;
    };

// ── lists of signatures ──

template <class List, class... More> struct joined;
template <class... Kept> struct joined<completion_signatures<Kept...>> {
  using type = completion_signatures<Kept...>;
};
template <class... Kept, class... More>
struct joined<completion_signatures<Kept...>, completion_signatures<>, More...>
    : joined<completion_signatures<Kept...>, More...> {};
template <class... Kept, class S, class... Rest, class... More>
struct joined<completion_signatures<Kept...>, completion_signatures<S, Rest...>, More...>
    : joined<std::conditional_t<(std::is_same_v<S, Kept> || ...), completion_signatures<Kept...>,
                                completion_signatures<Kept..., S>>,
             completion_signatures<Rest...>, More...> {};
template <class... Lists> using joined_t = typename joined<completion_signatures<>, Lists...>::type;

/// Only those of one signal, or all but those.
template <class Signal, bool Those, class Signature> struct filtered;
template <class Signal, bool Those, class Of, class... A> struct filtered<Signal, Those, Of(A...)> {
  using type =
      std::conditional_t<std::is_same_v<Signal, Of> == Those, completion_signatures<Of(A...)>, completion_signatures<>>;
};
template <class Signal, bool Those, class List> struct filter;
template <class Signal, bool Those, class... S> struct filter<Signal, Those, completion_signatures<S...>> {
  using type = joined_t<typename filtered<Signal, Those, S>::type...>;
};
template <class Signal, class List> using only = typename filter<Signal, true, List>::type;
template <class Signal, class List> using without = typename filter<Signal, false, List>::type;

template <class List, template <class...> class Tuple, template <class...> class Variant> struct gathered;
template <template <class...> class Tuple, template <class...> class Variant, class Signal, class... A> Tuple<A...>
    arguments(Signal (*)(A...));
template <class... S, template <class...> class Tuple, template <class...> class Variant>
struct gathered<completion_signatures<S...>, Tuple, Variant> {
  template <class F> struct of;
  template <class Signal, class... A> struct of<Signal(A...)> {
    using type = Tuple<A...>;
  };
  using type = Variant<typename of<S>::type...>;
};
template <class T> using itself = T;
template <class S, class Env, template <class...> class Tuple, template <class...> class Variant>
using value_types_of_t = typename gathered<only<set_value_t, completion_signatures_of_t<S, Env>>, Tuple, Variant>::type;
template <class... E> struct error_list;
template <class List, template <class...> class Variant> struct errors;
template <template <class...> class Variant, class... E>
struct errors<completion_signatures<set_error_t(E)...>, Variant> {
  using type = Variant<E...>;
};
template <class S, class Env, template <class...> class Variant>
using error_types_of_t = typename errors<only<set_error_t, completion_signatures_of_t<S, Env>>, Variant>::type;

template <class... T> using decayed_tuple = std::tuple<std::decay_t<T>...>;
template <class T> struct single;
template <class T> struct single<std::variant<T>> {
  using type = T;
};
/// The one way to complete with values, as a tuple; more than one is a compile error.
template <class S, class Env>
using value_tuple = typename single<value_types_of_t<S, Env, decayed_tuple, std::variant>>::type;

using exception_signature = completion_signatures<set_error_t(std::exception_ptr)>;

}  // namespace again_test::p2300
