// SPDX-License-Identifier: MIT
/// \file
/// `operation_state`: runs an awaitable or an operation of ours and completes a receiver of P2300 with its end.
///
/// It is an operation state of P2300, so its owner keeps it where it is from `start` until it has completed, and may
/// destroy it inside the completion. It allocates nothing.
///
/// Threads: `start` runs on any thread. All else is the loop's, except the receiver's stop callback, which only passes
/// the request on to `source_`.
#pragma once

#include <again/core/detail/manual_optional.hpp>
#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/default_loop.hpp>
#include <again/coro/detail/call_body.hpp>
#include <again/execution/detail/context_query.hpp>
#include <again/execution/library.hpp>

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace execution {
inline namespace AGAIN_EXECUTION_FLAVOUR {
namespace detail {

/// What runs: an awaitable, or one start of an operation.
template <class A> struct operation_body {
  static_assert(std::is_move_constructible_v<A>,
                "again/execution.hpp: this awaitable cannot be moved into a sender; pass a function that makes it: "
                "as_sender([&] { return when_all(a(), b()); })");
  using type = again::detail::call_body<A>;
};

/// The loop on which what is started with `env` runs, if the sender names none: the loop of the environment's
/// scheduler, else of the awaiting task, else the one that this thread is running, else the default loop.
template <class Env> again::scheduler& loop_for(const Env& env) {
  if constexpr (requires {
                  { lib::get_scheduler(env).loop() } -> std::same_as<again::scheduler&>;
                }) {
    return lib::get_scheduler(env).loop();
  } else {
    if (const context* const outer = context_of(env)) return *outer->scheduler;
    if (again::detail::running_context != nullptr) return *again::detail::running_context->scheduler;
    return again::detail::default_loop();
  }
}

/// `End::deliver(body, stop_requested, receiver)` tells the receiver the end of a body that did not throw.
template <class A, class End, lib::receiver Receiver> class operation_state : work {
  using env = lib::env_of_t<Receiver>;
  using token = lib::stop_token_of_t<env>;

 public:
  using operation_state_concept = lib::operation_state_tag;

  template <class From> operation_state(From&& from, again::scheduler* where, Receiver to)
      : receiver_(std::move(to)), home_{where}, body_(std::in_place, std::forward<From>(from)) {}
  operation_state(operation_state&&) = delete;

  void start() & noexcept {
    const auto& environment = lib::get_env(receiver_);
    if (home_ == nullptr) home_ = &loop_for(environment);
    if (const context* const outer = context_of(environment)) inherit(*outer);
    context_.scheduler = home_;
    context_.stop = source_.get_token();
    if (home_->here()) {
      begin();
    } else {
      this->run = [](work& self) noexcept { static_cast<operation_state&>(self).begin(); };
      home_->post(*this);  // nothing of this may be touched afterwards
    }
  }

 private:
  struct pass_on {
    inplace_stop_source* to;
    void operator()() const noexcept { to->request_stop(); }
  };

  void inherit(const context& outer) noexcept {
    context_ = outer;
    if (outer.deadline == never || outer.scheduler == home_) return;
    const duration left = outer.deadline - outer.scheduler->now();  // the two loops may have different clocks
    context_.deadline = saturating_add(home_->now(), left > duration::zero() ? left : duration::zero());
  }

  void begin() noexcept {
    const auto stop = lib::get_stop_token(lib::get_env(receiver_));
    if (stop.stop_possible()) on_stop_.emplace(stop, pass_on{&source_});
    if (body_.start({[](void* self) noexcept { static_cast<operation_state*>(self)->ended(); }, this}, context_))
      ended();
  }

  void ended() noexcept {
    on_stop_.reset();  // first: the completion may end the life of what the token refers to
    if (std::exception_ptr thrown = body_.exception()) {
      lib::set_error(std::move(receiver_), std::move(thrown));
    } else {
      End::deliver(body_, source_.stop_requested(), std::move(receiver_));
    }
  }

  Receiver receiver_;
  again::scheduler* home_;
  context context_;
  inplace_stop_source source_;
  again::detail::manual_optional<lib::stop_callback_for_t<token, pass_on>> on_stop_;
  typename operation_body<A>::type body_;  // last: it ends before what it refers to
};

}  // namespace detail
}  // namespace AGAIN_EXECUTION_FLAVOUR
}  // namespace execution
}  // namespace AGAIN_ABI
}  // namespace again
