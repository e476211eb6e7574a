// SPDX-License-Identifier: MIT
// An awaitable that waits for the stop request of a token.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/awaitable.hpp>
#include <again/coro/task.hpp>

#include <atomic>
#include <exception>
#include <optional>

namespace programs {

/// `co_await stop_wait{token}`: true when a stop is requested through `token`, false when the awaiting coroutine is stopped.
class [[nodiscard]] stop_wait : again::work {
 public:
  using result_type = bool;
  explicit stop_wait(again::inplace_stop_token token) noexcept : token_{token} {}
  stop_wait(const stop_wait&) = delete;
  stop_wait& operator=(const stop_wait&) = delete;
  ~stop_wait() {
    if (context_ != nullptr) disconnect();
  }
  auto operator co_await() && noexcept { return again::detail::startable_awaiter<stop_wait>{*this}; }

  bool start(again::continuation k, const again::context& ctx) noexcept {
    if (token_.stop_requested() || ctx.stop.stop_requested()) return true;
    k_ = k;
    context_ = &ctx;
    this->run = [](again::work& w) noexcept {
      auto& self = static_cast<stop_wait&>(w);
      self.disconnect();
      self.k_();
    };
    theirs_.emplace(token_, on_stop{this});
    if (ctx.stop.stop_possible()) own_.emplace(ctx.stop, on_stop{this});
    return false;
  }
  bool take() const noexcept { return token_.stop_requested(); }
  static std::exception_ptr exception() noexcept { return nullptr; }

 private:
  struct on_stop {
    stop_wait* self;
    void operator()() const noexcept { self->post(); }
  };
  void post() noexcept {
    if (!posted_.exchange(true)) context_->scheduler->post(*this);
  }
  void disconnect() noexcept {
    theirs_.reset();
    own_.reset();
    context_->scheduler->forget(*this);
    context_ = nullptr;
  }

  again::inplace_stop_token token_;
  again::continuation k_;
  const again::context* context_ = nullptr;
  std::atomic<bool> posted_{false};
  std::optional<again::inplace_stop_callback<on_stop>> theirs_, own_;
};

}  // namespace programs
