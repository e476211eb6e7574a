// SPDX-License-Identifier: MIT
/// \file
/// A small look-alike of stdexec (P2300), for the tests of the edge to senders: same names, same rules. Here the
/// algorithms. `tests/execution` runs with the real one by `-Dstdexec=PATH`.
#pragma once

#include "stdexec_lookalike_concepts.hpp"

namespace again_test::p2300 {

// ── just, just_error, just_stopped ──

template <class Signal, class... V> struct just_sender {
  using sender_concept = sender_t;
  using completion_signatures = p2300::completion_signatures<Signal(V...)>;
  template <class R> struct state {
    using operation_state_concept = operation_state_t;
    R to;
    std::tuple<V...> values;
    void start() & noexcept {
      std::apply([this](V&... v) { Signal{}(std::move(to), std::move(v)...); }, values);
    }
  };
  std::tuple<V...> values;
  template <receiver R> state<R> connect(R to) && { return {std::move(to), std::move(values)}; }
  template <receiver R> state<R> connect(R to) const& { return {std::move(to), values}; }
};
template <class... V> just_sender<set_value_t, std::decay_t<V>...> just(V&&... v) { return {{std::forward<V>(v)...}}; }
template <class E> just_sender<set_error_t, std::decay_t<E>> just_error(E&& e) { return {{std::forward<E>(e)}}; }
inline just_sender<set_stopped_t> just_stopped() { return {{}}; }

// ── pipes ──

template <class F> struct closure {
  F apply;
};
template <class F> closure(F) -> closure<F>;
template <sender S, class F> auto operator|(S&& s, closure<F> c) { return std::move(c.apply)(std::forward<S>(s)); }

// ── then, upon_error, upon_stopped ──

template <class Signal, class S, class F> struct map_sender {
  using sender_concept = sender_t;
  template <class Signature> struct mapped;
  template <class... A> struct mapped<Signal(A...)> {
    using result = std::invoke_result_t<F, A...>;
    template <class R> struct with {
      using type = p2300::completion_signatures<set_value_t(R)>;
    };
    template <class R>
      requires std::is_void_v<R>
    struct with<R> {
      using type = p2300::completion_signatures<set_value_t()>;
    };
    using type = typename with<result>::type;
  };
  template <class... All> static auto mapped_all(p2300::completion_signatures<All...>) {
    return joined_t<typename mapped<All>::type...>{};
  }
  template <class Env> static consteval auto completions() {
    using all = completion_signatures_of_t<S, Env>;
    return joined_t<decltype(mapped_all(only<Signal, all>{})), without<Signal, all>, exception_signature>{};
  }
  template <class R> struct to_next {
    using receiver_concept = receiver_t;
    F f;
    R to;
    template <class Given, class... A> void complete(A&&... a) noexcept {
      if constexpr (std::is_same_v<Given, Signal>) {
        try {
          if constexpr (std::is_void_v<std::invoke_result_t<F, A...>>) {
            std::invoke(std::move(f), std::forward<A>(a)...);
            p2300::set_value(std::move(to));
          } else {
            p2300::set_value(std::move(to), std::invoke(std::move(f), std::forward<A>(a)...));
          }
        } catch (...) { p2300::set_error(std::move(to), std::current_exception()); }
      } else {
        Given{}(std::move(to), std::forward<A>(a)...);
      }
    }
    template <class... A> void set_value(A&&... a) && noexcept { complete<set_value_t>(std::forward<A>(a)...); }
    template <class E> void set_error(E&& e) && noexcept { complete<set_error_t>(std::forward<E>(e)); }
    void set_stopped() && noexcept { complete<set_stopped_t>(); }
    auto get_env() const noexcept { return p2300::get_env(to); }
  };
  S s;
  F f;
  auto get_env() const noexcept { return p2300::get_env(s); }
  template <receiver R> auto connect(R to) && {
    return p2300::connect(std::move(s), to_next<R>{std::move(f), std::move(to)});
  }
  template <receiver R>
    requires std::copy_constructible<S>
  auto connect(R to) const& {
    return p2300::connect(s, to_next<R>{f, std::move(to)});
  }
};
template <class Signal, class F> auto map_closure(F f) {
  return closure{[f = std::move(f)]<class S>(S&& s) mutable {
    return map_sender<Signal, std::decay_t<S>, F>{std::forward<S>(s), std::move(f)};
  }};
}
template <class F> auto then(F f) { return map_closure<set_value_t>(std::move(f)); }
template <class F> auto upon_error(F f) { return map_closure<set_error_t>(std::move(f)); }
template <class F> auto upon_stopped(F f) { return map_closure<set_stopped_t>(std::move(f)); }

// ── let_value ──

template <class S, class F> struct let_sender {
  using sender_concept = sender_t;
  template <class Tuple> struct made;
  template <class... V> struct made<std::tuple<V...>> {
    using type = std::invoke_result_t<F, V&...>;
  };
  template <class Env> static consteval auto completions() {
    using next = typename made<value_tuple<S, Env>>::type;
    return joined_t<without<set_value_t, completion_signatures_of_t<S, Env>>, completion_signatures_of_t<next, Env>,
                    exception_signature>{};
  }
  template <class R> struct state {
    using operation_state_concept = operation_state_t;
    struct first {
      using receiver_concept = receiver_t;
      state* self;
      template <class... V> void set_value(V&&... v) && noexcept { self->go_on(std::forward<V>(v)...); }
      template <class E> void set_error(E&& e) && noexcept {
        p2300::set_error(std::move(self->to), std::forward<E>(e));
      }
      void set_stopped() && noexcept { p2300::set_stopped(std::move(self->to)); }
      auto get_env() const noexcept { return p2300::get_env(self->to); }
    };
    struct second {
      using receiver_concept = receiver_t;
      state* self;
      template <class... V> void set_value(V&&... v) && noexcept {
        p2300::set_value(std::move(self->to), std::forward<V>(v)...);
      }
      template <class E> void set_error(E&& e) && noexcept {
        p2300::set_error(std::move(self->to), std::forward<E>(e));
      }
      void set_stopped() && noexcept { p2300::set_stopped(std::move(self->to)); }
      auto get_env() const noexcept { return p2300::get_env(self->to); }
    };
    using values = value_tuple<S, env_of_t<R>>;
    using next_sender = typename made<values>::type;
    struct next_state {
      connect_result_t<next_sender, second> operation;
      next_state(next_sender&& s, second r) : operation(p2300::connect(std::move(s), r)) {}
    };

    R to;
    F f;
    connect_result_t<S, first> operation;
    std::optional<values> kept;
    std::optional<next_state> next;
    state(S&& s, F&& then, R r)
        : to(std::move(r)), f(std::move(then)), operation(p2300::connect(std::move(s), first{this})) {}
    state(state&&) = delete;
    void start() & noexcept { p2300::start(operation); }
    template <class... V> void go_on(V&&... v) noexcept {
      try {
        kept.emplace(std::forward<V>(v)...);
        next.emplace(std::apply(std::move(f), *kept), second{this});
      } catch (...) {
        p2300::set_error(std::move(to), std::current_exception());
        return;
      }
      p2300::start(next->operation);
    }
  };
  S s;
  F f;
  template <receiver R> state<R> connect(R to) && { return {std::move(s), std::move(f), std::move(to)}; }
  template <receiver R>
    requires std::copy_constructible<S>
  state<R> connect(R to) const& {
    return {S(s), F(f), std::move(to)};
  }
};
template <class F> auto let_value(F f) {
  return closure{[f = std::move(f)]<class S>(S&& s) mutable {
    return let_sender<std::decay_t<S>, F>{std::forward<S>(s), std::move(f)};
  }};
}

// ── starts_on: schedules, then starts the sender with that scheduler in its environment ──

template <class Scheduler, class S> struct starts_on_sender {
  using sender_concept = sender_t;
  template <class Env> using inner_env = env_with<get_scheduler_t, Scheduler, Env>;
  using hop = decltype(p2300::schedule(std::declval<Scheduler&>()));
  template <class Env> static consteval auto completions() {
    return joined_t<without<set_value_t, completion_signatures_of_t<hop, Env>>,
                    completion_signatures_of_t<S, inner_env<Env>>, exception_signature>{};
  }
  template <class R> struct state {
    using operation_state_concept = operation_state_t;
    struct there {
      using receiver_concept = receiver_t;
      state* self;
      void set_value() && noexcept { p2300::start(self->operation); }
      template <class E> void set_error(E&& e) && noexcept {
        p2300::set_error(std::move(self->to), std::forward<E>(e));
      }
      void set_stopped() && noexcept { p2300::set_stopped(std::move(self->to)); }
      auto get_env() const noexcept { return p2300::get_env(self->to); }
    };
    struct last {
      using receiver_concept = receiver_t;
      state* self;
      template <class... V> void set_value(V&&... v) && noexcept {
        p2300::set_value(std::move(self->to), std::forward<V>(v)...);
      }
      template <class E> void set_error(E&& e) && noexcept {
        p2300::set_error(std::move(self->to), std::forward<E>(e));
      }
      void set_stopped() && noexcept { p2300::set_stopped(std::move(self->to)); }
      inner_env<env_of_t<R>> get_env() const noexcept { return {self->on, p2300::get_env(self->to)}; }
    };
    R to;
    Scheduler on;
    connect_result_t<hop, there> schedule;
    connect_result_t<S, last> operation;
    state(Scheduler where, S&& s, R r)
        : to(std::move(r)),
          on(where),
          schedule(p2300::connect(p2300::schedule(on), there{this})),
          operation(p2300::connect(std::move(s), last{this})) {}
    state(state&&) = delete;
    void start() & noexcept { p2300::start(schedule); }
  };
  Scheduler on;
  S s;
  template <receiver R> state<R> connect(R to) && { return {on, std::move(s), std::move(to)}; }
  template <receiver R>
    requires std::copy_constructible<S>
  state<R> connect(R to) const& {
    return {on, S(s), std::move(to)};
  }
};
template <scheduler Scheduler, sender S> auto starts_on(Scheduler on, S&& s) {
  return starts_on_sender<Scheduler, std::decay_t<S>>{on, std::forward<S>(s)};
}

// ── several at once ──

/// What `when_all` and `when_any` share: a stop source for the children, which follows the receiver's token.
template <class Derived, class R> struct several_state {
  using operation_state_concept = operation_state_t;
  using env = env_with<get_stop_token_t, inplace_stop_token, env_of_t<R>>;
  struct pass_on {
    inplace_stop_source* to;
    void operator()() const noexcept { to->request_stop(); }
  };
  template <std::size_t I> struct child {
    using receiver_concept = receiver_t;
    Derived* self;
    template <class... V> void set_value(V&&... v) && noexcept {
      self->template value<I>(std::forward<V>(v)...);
      self->arrive();
    }
    template <class E> void set_error(E&& e) && noexcept {
      self->error(std::forward<E>(e));
      self->arrive();
    }
    void set_stopped() && noexcept {
      self->stopped();
      self->arrive();
    }
    env get_env() const noexcept { return {self->stop.get_token(), p2300::get_env(self->to)}; }
  };

  R to;
  inplace_stop_source stop;
  std::optional<stop_callback_for_t<stop_token_of_t<env_of_t<R>>, pass_on>> on_stop;
  std::atomic<int> running;
  std::atomic<bool> decided{false};
  several_state(R r, int n) : to(std::move(r)), running{n} {}
  several_state(several_state&&) = delete;

  template <class States> void start_all(States& states) noexcept {
    on_stop.emplace(p2300::get_stop_token(p2300::get_env(to)), pass_on{&stop});
    if (stop.stop_requested()) {
      on_stop.reset();
      p2300::set_stopped(std::move(to));
      return;
    }
    std::apply([](auto&... s) { (p2300::start(s.operation), ...); }, states);
  }
  void arrive() noexcept {
    if (running.fetch_sub(1) != 1) return;
    on_stop.reset();
    static_cast<Derived*>(this)->complete();
  }
};
/// An operation state that a tuple makes in place.
template <class S, class R> struct in_place {
  connect_result_t<S, R> operation;
  struct parts {
    S s;
    R r;
  };
  in_place(parts&& p) : operation(p2300::connect(std::move(p.s), p.r)) {}
  in_place(in_place&&) = delete;
};

template <class R, class Indices, class... S> struct when_all_state;
template <class R, std::size_t... I, class... S>
struct when_all_state<R, std::index_sequence<I...>, S...>
    : several_state<when_all_state<R, std::index_sequence<I...>, S...>, R> {
  using base = several_state<when_all_state, R>;
  template <std::size_t N> using child = typename base::template child<N>;
  std::tuple<std::optional<value_tuple<S, typename base::env>>...> values;
  std::exception_ptr thrown;
  std::tuple<in_place<S, child<I>>...> states;
  when_all_state(std::tuple<S...>&& s, R r)
      : base(std::move(r), sizeof...(S)),
        states(typename in_place<S, child<I>>::parts{std::get<I>(std::move(s)), child<I>{this}}...) {}
  void start() & noexcept { this->start_all(states); }

  template <std::size_t N, class... V> void value(V&&... v) noexcept {
    std::get<N>(values).emplace(std::forward<V>(v)...);
  }
  template <class E> void error(E&& e) noexcept {
    if (!this->decided.exchange(true)) {
      if constexpr (std::is_same_v<std::remove_cvref_t<E>, std::exception_ptr>) {
        thrown = std::forward<E>(e);
      } else {
        thrown = std::make_exception_ptr(std::forward<E>(e));
      }
    }
    this->stop.request_stop();
  }
  void stopped() noexcept {
    this->decided = true;
    this->stop.request_stop();
  }
  void complete() noexcept {
    if (thrown) {
      p2300::set_error(std::move(this->to), std::move(thrown));
    } else if (this->decided) {
      p2300::set_stopped(std::move(this->to));
    } else {
      std::apply([this](auto&&... v) { p2300::set_value(std::move(this->to), std::move(v)...); },
                 std::tuple_cat(std::move(*std::get<I>(values))...));
    }
  }
};
template <class Tuple> struct as_values;
template <class... V> struct as_values<std::tuple<V...>> {
  using type = completion_signatures<set_value_t(V...)>;
};
template <class... S> struct when_all_sender {
  using sender_concept = sender_t;
  template <class Env> static consteval auto completions() {
    using env = env_with<get_stop_token_t, inplace_stop_token, Env>;
    return joined_t<typename as_values<decltype(std::tuple_cat(std::declval<value_tuple<S, env>>()...))>::type,
                    exception_signature, p2300::completion_signatures<set_stopped_t()>>{};
  }
  std::tuple<S...> senders;
  template <receiver R> when_all_state<R, std::index_sequence_for<S...>, S...> connect(R to) && {
    return {std::move(senders), std::move(to)};
  }
  template <receiver R>
    requires(std::copy_constructible<S> && ...)
  when_all_state<R, std::index_sequence_for<S...>, S...> connect(R to) const& {
    return {std::tuple<S...>(senders), std::move(to)};
  }
};
template <sender... S> when_all_sender<std::decay_t<S>...> when_all(S&&... s) { return {{std::forward<S>(s)...}}; }

/// As `exec::when_any`: the first to end decides, the others are stopped and waited for. Here all have one value type.
template <class R, class Indices, class... S> struct when_any_state;
template <class R, std::size_t... I, class... S>
struct when_any_state<R, std::index_sequence<I...>, S...>
    : several_state<when_any_state<R, std::index_sequence<I...>, S...>, R> {
  using base = several_state<when_any_state, R>;
  template <std::size_t N> using child = typename base::template child<N>;
  using first_sender = std::tuple_element_t<0, std::tuple<S...>>;
  std::optional<value_tuple<first_sender, typename base::env>> values;
  std::exception_ptr thrown;
  std::tuple<in_place<S, child<I>>...> states;
  when_any_state(std::tuple<S...>&& s, R r)
      : base(std::move(r), sizeof...(S)),
        states(typename in_place<S, child<I>>::parts{std::get<I>(std::move(s)), child<I>{this}}...) {}
  void start() & noexcept { this->start_all(states); }

  template <class Keep> void decide(Keep keep) noexcept {
    if (!this->decided.exchange(true)) keep();
    this->stop.request_stop();
  }
  template <std::size_t, class... V> void value(V&&... v) noexcept {
    decide([&] { values.emplace(std::forward<V>(v)...); });
  }
  template <class E> void error(E&& e) noexcept {
    decide([&] {
      if constexpr (std::is_same_v<std::remove_cvref_t<E>, std::exception_ptr>) {
        thrown = std::forward<E>(e);
      } else {
        thrown = std::make_exception_ptr(std::forward<E>(e));
      }
    });
  }
  void stopped() noexcept {
    decide([] {});
  }
  void complete() noexcept {
    if (thrown) {
      p2300::set_error(std::move(this->to), std::move(thrown));
    } else if (!values) {
      p2300::set_stopped(std::move(this->to));
    } else {
      std::apply([this](auto&&... v) { p2300::set_value(std::move(this->to), std::move(v)...); }, std::move(*values));
    }
  }
};
template <class... S> struct when_any_sender {
  using sender_concept = sender_t;
  template <class Env> static consteval auto completions() {
    using env = env_with<get_stop_token_t, inplace_stop_token, Env>;
    return joined_t<only<set_value_t, completion_signatures_of_t<S, env>>..., exception_signature,
                    p2300::completion_signatures<set_stopped_t()>>{};
  }
  std::tuple<S...> senders;
  template <receiver R> when_any_state<R, std::index_sequence_for<S...>, S...> connect(R to) && {
    return {std::move(senders), std::move(to)};
  }
};
template <sender... S> when_any_sender<std::decay_t<S>...> when_any(S&&... s) { return {{std::forward<S>(s)...}}; }

// ── stop_when: the sender has this stop token in place of the receiver's ──

template <class S, class Token> struct stop_when_sender {
  using sender_concept = sender_t;
  template <class Env> using inner_env = env_with<get_stop_token_t, Token, Env>;
  template <class Env> static consteval auto completions() { return completion_signatures_of_t<S, inner_env<Env>>{}; }
  template <class R> struct with_token {
    using receiver_concept = receiver_t;
    R to;
    Token token;
    template <class... V> void set_value(V&&... v) && noexcept {
      p2300::set_value(std::move(to), std::forward<V>(v)...);
    }
    template <class E> void set_error(E&& e) && noexcept { p2300::set_error(std::move(to), std::forward<E>(e)); }
    void set_stopped() && noexcept { p2300::set_stopped(std::move(to)); }
    inner_env<env_of_t<R>> get_env() const noexcept { return {token, p2300::get_env(to)}; }
  };
  S s;
  Token token;
  template <receiver R> auto connect(R to) && {
    return p2300::connect(std::move(s), with_token<R>{std::move(to), token});
  }
};
template <sender S, stoppable_token Token> auto stop_when(S&& s, Token token) {
  return stop_when_sender<std::decay_t<S>, Token>{std::forward<S>(s), token};
}

// ── run_loop, sync_wait, a thread with a loop ──

class run_loop {
  struct task {
    void (*execute)(task*) noexcept;
    task* next = nullptr;
  };

 public:
  class scheduler_type {
   public:
    using scheduler_concept = scheduler_t;
    explicit scheduler_type(run_loop* loop) noexcept : loop_{loop} {}
    bool operator==(const scheduler_type&) const = default;
    struct hop {
      using sender_concept = sender_t;
      using completion_signatures = p2300::completion_signatures<set_value_t(), set_stopped_t()>;
      struct attributes {
        run_loop* loop;
        template <class Signal> scheduler_type query(get_completion_scheduler_t<Signal>) const noexcept {
          return scheduler_type{loop};
        }
      };
      template <class R> struct state : task {
        using operation_state_concept = operation_state_t;
        run_loop* loop;
        R to;
        state(run_loop* l, R r)
            : task{[](task* self) noexcept { static_cast<state*>(self)->arrive(); }}, loop{l}, to(std::move(r)) {}
        state(state&&) = delete;
        void start() & noexcept { loop->push(this); }
        void arrive() noexcept {
          if (p2300::get_stop_token(p2300::get_env(to)).stop_requested()) {
            p2300::set_stopped(std::move(to));
          } else {
            p2300::set_value(std::move(to));
          }
        }
      };
      run_loop* loop;
      attributes get_env() const noexcept { return {loop}; }
      template <receiver R> state<R> connect(R to) const { return {loop, std::move(to)}; }
    };
    hop schedule() const noexcept { return {loop_}; }

   private:
    run_loop* loop_;
  };

  scheduler_type get_scheduler() noexcept { return scheduler_type{this}; }
  void run() {
    std::unique_lock lock{mutex_};
    for (;;) {
      changed_.wait(lock, [this] { return first_ != nullptr || finished_; });
      task* const next = first_;
      if (next == nullptr) return;
      first_ = next->next;
      if (first_ == nullptr) last_ = nullptr;
      lock.unlock();
      next->execute(next);
      lock.lock();
    }
  }
  void finish() noexcept {
    const std::lock_guard lock{mutex_};
    finished_ = true;
    changed_.notify_all();
  }

 private:
  void push(task* t) noexcept {
    const std::lock_guard lock{mutex_};
    t->next = nullptr;
    (last_ == nullptr ? first_ : last_->next) = t;
    last_ = t;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  task* first_ = nullptr;
  task* last_ = nullptr;
  bool finished_ = false;
};

/// As `exec::single_thread_context`.
class single_thread_context {
 public:
  single_thread_context() : thread_{[this] { loop_.run(); }} {}
  single_thread_context(single_thread_context&&) = delete;
  ~single_thread_context() {
    loop_.finish();
    thread_.join();
  }
  auto get_scheduler() noexcept { return loop_.get_scheduler(); }

 private:
  run_loop loop_;
  std::thread thread_;
};

/// As `exec::task`, as far as the tests need it: a coroutine that is a sender. It asks what it awaits for a member
/// `as_awaitable(promise)`, and has the receiver's stop token in its environment. It goes on where what it awaits has
/// finished.
template <class T> class task {
 public:
  using sender_concept = sender_t;
  using completion_signatures =
      p2300::completion_signatures<set_value_t(T), set_error_t(std::exception_ptr), set_stopped_t()>;
  struct ending {
    virtual void value(T&&) noexcept = 0;
    virtual void error(std::exception_ptr) noexcept = 0;

   protected:
    ~ending() = default;
  };
  struct promise_type {
    struct env {
      inplace_stop_token token;
      inplace_stop_token query(get_stop_token_t) const noexcept { return token; }
    };
    struct last {
      static bool await_ready() noexcept { return false; }
      static void await_suspend(std::coroutine_handle<promise_type> frame) noexcept {
        promise_type& p = frame.promise();
        p.thrown ? p.to->error(p.thrown) : p.to->value(std::move(*p.result));
      }
      static void await_resume() noexcept {}
    };
    ending* to = nullptr;
    inplace_stop_token token;
    std::optional<T> result;
    std::exception_ptr thrown;
    task get_return_object() { return task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    static std::suspend_always initial_suspend() noexcept { return {}; }
    static last final_suspend() noexcept { return {}; }
    void return_value(T v) { result.emplace(std::move(v)); }
    void unhandled_exception() { thrown = std::current_exception(); }
    env get_env() const noexcept { return {token}; }
    static std::coroutine_handle<> unhandled_stopped() noexcept { return std::noop_coroutine(); }
    template <class A> decltype(auto) await_transform(A&& awaited) {
      if constexpr (requires { std::forward<A>(awaited).as_awaitable(*this); }) {
        return std::forward<A>(awaited).as_awaitable(*this);
      } else {
        return std::forward<A>(awaited);
      }
    }
  };
  template <class R> struct state final : ending {
    using operation_state_concept = operation_state_t;
    struct pass_on {
      inplace_stop_source* to;
      void operator()() const noexcept { to->request_stop(); }
    };
    std::coroutine_handle<promise_type> frame;
    R to;
    inplace_stop_source stop;
    std::optional<stop_callback_for_t<stop_token_of_t<env_of_t<R>>, pass_on>> on_stop;
    state(std::coroutine_handle<promise_type> f, R r) : frame{f}, to(std::move(r)) {}
    state(state&&) = delete;
    ~state() { frame.destroy(); }
    void start() & noexcept {
      on_stop.emplace(p2300::get_stop_token(p2300::get_env(to)), pass_on{&stop});
      frame.promise().to = this;
      frame.promise().token = stop.get_token();
      frame.resume();
    }
    void value(T&& v) noexcept override {
      on_stop.reset();
      p2300::set_value(std::move(to), std::move(v));
    }
    void error(std::exception_ptr e) noexcept override {
      on_stop.reset();
      p2300::set_error(std::move(to), std::move(e));
    }
  };
  task(task&& other) noexcept : frame_{std::exchange(other.frame_, nullptr)} {}
  ~task() {
    if (frame_) frame_.destroy();
  }
  template <receiver R> state<R> connect(R to) && { return {std::exchange(frame_, nullptr), std::move(to)}; }

 private:
  explicit task(std::coroutine_handle<promise_type> frame) noexcept : frame_{frame} {}
  std::coroutine_handle<promise_type> frame_;
};

struct sync_wait_env {
  run_loop* loop;
  run_loop::scheduler_type query(get_scheduler_t) const noexcept { return loop->get_scheduler(); }
};
template <class Values> struct sync_wait_receiver {
  using receiver_concept = receiver_t;
  run_loop* loop;
  std::optional<Values>* values;
  std::exception_ptr* thrown;
  template <class... V> void set_value(V&&... v) && noexcept {
    try {
      values->emplace(std::forward<V>(v)...);
    } catch (...) { *thrown = std::current_exception(); }
    loop->finish();
  }
  template <class E> void set_error(E&& e) && noexcept {
    if constexpr (std::is_same_v<std::remove_cvref_t<E>, std::exception_ptr>) {
      *thrown = std::forward<E>(e);
    } else if constexpr (std::is_same_v<std::remove_cvref_t<E>, std::error_code>) {
      *thrown = std::make_exception_ptr(std::system_error(e));
    } else {
      *thrown = std::make_exception_ptr(std::forward<E>(e));
    }
    loop->finish();
  }
  void set_stopped() && noexcept { loop->finish(); }
  sync_wait_env get_env() const noexcept { return {loop}; }
};
template <sender_in<sync_wait_env> S> auto sync_wait(S&& s) {
  using values_type = value_tuple<S, sync_wait_env>;
  run_loop loop;
  std::optional<values_type> values;
  std::exception_ptr thrown;
  auto operation = p2300::connect(std::forward<S>(s), sync_wait_receiver<values_type>{&loop, &values, &thrown});
  p2300::start(operation);
  loop.run();
  if (thrown) std::rethrow_exception(thrown);
  return values;
}

}  // namespace again_test::p2300
