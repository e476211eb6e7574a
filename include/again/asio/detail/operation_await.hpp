// SPDX-License-Identifier: MIT
/// \file
/// `operation_await`: a startable that starts an operation of Asio and waits for its completion handler.
///
/// Two sides share a block: the awaiting side, on the thread of its scheduler, and the handler, on the executor of the
/// I/O object. `state_` says who came first; the last of the two frees the block. The awaiting side may be destroyed while
/// the operation runs: the operation is cancelled and the handler finds that nobody waits.
///
/// A stop request may come from any thread. The cancellation signal belongs to the executor of the I/O object: it is
/// emitted there only.
#pragma once

#include <again/asio/detail/executor_scheduler.hpp>
#include <again/asio/library.hpp>
#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/coro/detail/promise_allocation.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace asio {
inline namespace AGAIN_ASIO_FLAVOUR {
namespace detail {

template <class... T> struct values {
  using type = std::tuple<T...>;
};
template <class T> struct values<T> {
  using type = T;
};
template <> struct values<> {
  using type = void;
};
template <class... T> using values_t = typename values<std::decay_t<T>...>::type;

/// What the arguments of a completion handler are as a result.
template <class... Args> struct completion {
  using result_type = values_t<Args...>;
  static constexpr bool tells_abort = false;
  template <class Slot, class... Given> static void put(Slot& slot, std::exception_ptr& /*thrown*/, Given&&... values) {
    slot.emplace(std::forward<Given>(values)...);
  }
};
template <class... Args> struct completion<error_code, Args...> {
  using value = values_t<Args...>;
  using result_type = expected<value, error_code>;
  static constexpr bool tells_abort = true;
  template <class Slot, class... Given>
  static void put(Slot& slot, std::exception_ptr& /*thrown*/, const error_code& e, Given&&... values) {
    if (e) {
      slot.emplace(unexpect, e);
    } else if constexpr (std::is_void_v<value>) {
      slot.emplace();
    } else {
      slot.emplace(value(std::forward<Given>(values)...));  // tl::expected takes no in_place with one value
    }
  }
};
template <class... Args> struct completion<std::exception_ptr, Args...> {
  using result_type = values_t<Args...>;
  static constexpr bool tells_abort = false;
  template <class Slot, class... Given>
  static void put(Slot& slot, std::exception_ptr& thrown, std::exception_ptr e, Given&&... values) {
    if (e) {
      thrown = std::move(e);
    } else {
      slot.emplace(std::forward<Given>(values)...);
    }
  }
};

template <class... Args> auto completion_for(void (*signature)(Args...)) -> completion<Args...>;
template <class Signature> using completion_of = decltype(completion_for(static_cast<Signature*>(nullptr)));

struct void_value {};

/// The block.
template <class Completion> class operation_state : public again::detail::promise_allocation, work {
 public:
  using result_type = typename Completion::result_type;
  using stored = std::conditional_t<std::is_void_v<result_type>, void_value, result_type>;

  operation_state(continuation k, const context& ctx, net::any_io_executor ex)
      : k_{k}, home_{ctx.scheduler}, near_{executor_scheduler::of(ctx.scheduler)}, executor_{std::move(ex)} {
    if (near_ != nullptr && near_->executor() != executor_) near_ = nullptr;
    this->run = [](work& self) noexcept { static_cast<operation_state&>(self).resume(); };
  }
  operation_state(const operation_state&) = delete;
  operation_state& operator=(const operation_state&) = delete;
  ~operation_state() = default;

  // ── the awaiting side ──

  void listen(inplace_stop_token token) noexcept {
    if (token.stop_possible()) on_stop_.emplace(token, request_cancel{this});
  }
  /// After the initiating function has returned. True: the operation has finished already.
  bool suspend() noexcept {
    home_->work_started();
    state running = state::starting;
    if (state_.compare_exchange_strong(running, state::waiting, std::memory_order_acq_rel)) return false;
    home_->work_finished();
    on_stop_.reset();
    return true;
  }
  /// The awaiting side ends. Frees the block, or leaves that to the handler.
  void abandon() noexcept {
    on_stop_.reset();
    state seen = state::waiting;
    if (state_.compare_exchange_strong(seen, state::abandoned, std::memory_order_acq_rel)) {
      home_->work_finished();
      cancel();
      release();
      return;
    }
    if (seen == state::posting || seen == state::posted) {
      await_posted();
      if (this->queued != work::state::idle) {
        home_->forget(*this);
        home_->work_finished();
      }
    }
    release();
  }
  std::optional<stored>& result() noexcept { return result_; }
  std::exception_ptr& thrown() noexcept { return thrown_; }

  // ── the handler's side: the executor of the I/O object ──

  const net::any_io_executor& executor() const noexcept { return executor_; }
  net::cancellation_slot slot() noexcept { return signal_.slot(); }
  template <class... Args> void complete(Args&&... args) {
    try {
      Completion::put(result_, thrown_, std::forward<Args>(args)...);
    } catch (...) { thrown_ = std::current_exception(); }
    finished();
  }
  /// The handler was destroyed without having been called.
  void dropped() noexcept {
    try {
      if constexpr (Completion::tells_abort) {
        result_.emplace(unexpect, error_code(net::error::operation_aborted));
      } else {
        throw system_error(error_code(net::error::operation_aborted), "again::asio: the operation was destroyed");
      }
    } catch (...) { thrown_ = std::current_exception(); }
    near_ = nullptr;  // this may be any thread
    finished();
  }

  void add_owner() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  enum class state : std::uint8_t { starting, waiting, posting, posted, finished, abandoned };

  // On the thread that requests the stop.
  struct request_cancel {
    operation_state* self;
    void operator()() const noexcept { self->cancel(); }
  };
  struct owner {
    operation_state* self;
    explicit owner(operation_state* s) noexcept : self{s} { s->add_owner(); }
    owner(owner&& other) noexcept : self{std::exchange(other.self, nullptr)} {}
    owner& operator=(owner&&) = delete;
    ~owner() {
      if (self != nullptr) self->release();
    }
  };
  void cancel() noexcept {
    struct emit {
      owner state;
      void operator()() const noexcept {
        if (!state.self->over_) state.self->signal_.emit(net::cancellation_type::all);
      }
    };
    net::dispatch(executor_, emit{owner{this}});
  }
  void finished() {
    over_ = true;
    state seen = state::starting;
    if (state_.compare_exchange_strong(seen, state::finished, std::memory_order_acq_rel)) return;
    if (near_ != nullptr && near_->run_now([this] { resume_in_turn(); })) return;
    seen = state::waiting;
    if (!state_.compare_exchange_strong(seen, state::posting, std::memory_order_acq_rel)) return;  // abandoned
    home_->post(*this);
    state_.store(state::posted, std::memory_order_release);
  }
  // In the turn of the scheduler, in which the awaiting side cannot end meanwhile.
  void resume_in_turn() noexcept {
    state seen = state::waiting;
    if (state_.compare_exchange_strong(seen, state::posted, std::memory_order_acq_rel)) resume();
  }
  // The scheduler's thread.
  void resume() noexcept {
    await_posted();
    home_->work_finished();
    on_stop_.reset();
    k_();
  }
  void await_posted() const noexcept {
    while (state_.load(std::memory_order_acquire) == state::posting) {}
  }

  continuation k_;
  scheduler* home_;
  executor_scheduler* near_;  // the scheduler, if it runs on `executor_`
  net::any_io_executor executor_;
  net::cancellation_signal signal_;  // used on `executor_`
  bool over_ = false;                // used on `executor_`
  std::atomic<state> state_{state::starting};
  std::atomic<int> owners_{1};
  again::detail::manual_optional<inplace_stop_callback<request_cancel>> on_stop_;
  std::optional<stored> result_;
  std::exception_ptr thrown_;
};

/// The completion handler.
template <class State> class resume_handler {
 public:
  using executor_type = net::any_io_executor;
  using cancellation_slot_type = net::cancellation_slot;
  explicit resume_handler(State& s) noexcept : state_{&s} { s.add_owner(); }
  resume_handler(resume_handler&& other) noexcept : state_{std::exchange(other.state_, nullptr)} {}
  resume_handler& operator=(resume_handler&&) = delete;
  ~resume_handler() {
    if (state_ == nullptr) return;
    state_->dropped();
    state_->release();
  }
  executor_type get_executor() const noexcept { return state_->executor(); }
  cancellation_slot_type get_cancellation_slot() const noexcept { return state_->slot(); }
  template <class... Args> void operator()(Args&&... args) {
    struct owner {
      State* state;
      explicit owner(State* s) noexcept : state{s} {}
      owner(const owner&) = delete;
      owner& operator=(const owner&) = delete;
      ~owner() { state->release(); }
    };
    const owner mine{std::exchange(state_, nullptr)};
    mine.state->complete(std::forward<Args>(args)...);
  }

 private:
  State* state_;
};

/// See the top of this file. Can be moved until it is started.
template <class Completion, class Initiation, class... Args> class [[nodiscard]] operation_await {
  using state_type = operation_state<Completion>;

 public:
  using result_type = typename Completion::result_type;

  template <class I, class... A> explicit operation_await(I&& initiation, A&&... args)
      : initiation_(std::forward<I>(initiation)), args_(std::forward<A>(args)...) {}
  operation_await(operation_await&& other) noexcept
      : initiation_(std::move(other.initiation_)), args_(std::move(other.args_)) {}
  operation_await& operator=(operation_await&&) = delete;
  ~operation_await() {
    if (state_ != nullptr) state_->abandon();
  }
  [[nodiscard]] auto operator co_await() && noexcept {
    return again::detail::startable_awaiter<operation_await>{*this};
  }

  bool start(continuation k, const context& ctx) noexcept {
    try {
      state_ = new state_type(k, ctx, executor_for(ctx));
      std::apply(
          [this](Args&... args) { std::move(initiation_)(resume_handler<state_type>{*state_}, std::move(args)...); },
          args_);
      state_->listen(ctx.stop);  // now that there is something to cancel
    } catch (...) {
      thrown_ = std::current_exception();
      return true;
    }
    return state_->suspend();
  }
  std::exception_ptr exception() noexcept { return thrown_ ? thrown_ : state_->thrown(); }
  result_type take() {
    if (std::exception_ptr e = exception()) std::rethrow_exception(e);
    if constexpr (!std::is_void_v<result_type>) return std::move(*state_->result());
  }

 private:
  // The executor of the I/O object, if the operation names it; else that of our scheduler, if it has one.
  net::any_io_executor executor_for(const context& ctx) const {
    if constexpr (requires { net::any_io_executor(initiation_.get_executor()); }) {
      return net::any_io_executor(initiation_.get_executor());
    } else if (const auto* near = executor_scheduler::of(ctx.scheduler)) {
      return near->executor();
    } else {
      return net::system_executor();
    }
  }

  Initiation initiation_;
  std::tuple<Args...> args_;
  state_type* state_ = nullptr;
  std::exception_ptr thrown_;
};

}  // namespace detail
}  // namespace AGAIN_ASIO_FLAVOUR
}  // namespace asio
}  // namespace AGAIN_ABI
}  // namespace again
