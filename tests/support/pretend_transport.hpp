// SPDX-License-Identifier: MIT
/// \file
/// A transport for pretend time: a function decides how each request ends and how long it takes. Remembers what it was given.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/coro/scheduler.hpp>
#include <again/http/transport.hpp>

#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again_test {

struct pretended {
  again::http::send_result result;
  again::duration takes = std::chrono::milliseconds{1};
};
inline pretended response(int status, again::duration takes = std::chrono::milliseconds{1}) {
  return {again::http::response{status}, takes};
}
inline pretended breaks(again::http::error_kind kind, again::reach far,
                        again::duration takes = std::chrono::milliseconds{1}) {
  return {again::unexpected<again::http::send_failure>{again::http::send_failure{kind, far, "as pretended"}}, takes};
}

class pretend_transport {
 public:
  struct request {
    std::string origin, target, key, body;
    again::http::headers headers;
    std::optional<again::http::drain_limits> drain;
    again::time_point at;
  };
  using decide = std::function<pretended(const request&)>;

  explicit pretend_transport(decide d) : decide_{std::move(d)} {}

  class send_type : again::timer, again::work {
   public:
    using result_type = again::http::send_result;
    send_type(pretend_transport& owner, std::shared_ptr<const again::http::outgoing> what, int number)
        : owner_{owner}, what_{std::move(what)}, number_{number} {}
    send_type(const send_type&) = delete;
    send_type& operator=(const send_type&) = delete;
    ~send_type() { leave(); }
    bool start(again::continuation k, const again::context& ctx) noexcept {
      k_ = k;
      request r;
      r.origin = what_->origin.host;
      r.target = what_->request.target();
      r.headers = what_->request.fields(number_);
      r.key = what_->request.idempotency_key();
      r.drain = what_->request.drain();
      const auto body = what_->request.body().open();
      if (body && body->bytes()) r.body = *body->bytes();
      r.at = ctx.scheduler->now();
      outcome_ = owner_.decide_(r);
      owner_.seen.push_back(std::move(r));
      ++owner_.running;
      if (owner_.running > owner_.most_running) owner_.most_running = owner_.running;
      context_ = &ctx;
      fire = [](again::timer& t) noexcept { static_cast<send_type&>(t).finish(); };
      run = [](again::work& w) noexcept {
        auto& self = static_cast<send_type&>(w);
        const bool expired = self.context_->deadline <= self.context_->scheduler->now();
        const bool by_attempt = self.context_->kind == again::deadline_kind::attempt;
        const auto kind = !expired     ? again::http::error_kind::cancelled
                          : by_attempt ? again::http::error_kind::timeout
                                       : again::http::error_kind::deadline;
        self.outcome_ = breaks(kind, again::reach::maybe_sent);
        self.finish();
      };
      ctx.scheduler->arm(*this, again::saturating_add(ctx.scheduler->now(), outcome_->takes));
      if (ctx.stop.stop_possible()) stopped_.emplace(ctx.stop, stopped{this});
      return false;
    }
    result_type take() { return std::move(outcome_->result); }
    static std::exception_ptr exception() noexcept { return nullptr; }

   private:
    struct stopped {
      send_type* self;
      void operator()() const noexcept { self->context_->scheduler->post(*self); }
    };
    void leave() noexcept {
      if (context_ == nullptr) return;
      stopped_.reset();
      context_->scheduler->disarm(*this);
      context_->scheduler->forget(*this);
      context_ = nullptr;
      --owner_.running;
    }
    void finish() noexcept {
      leave();
      k_();
    }
    pretend_transport& owner_;
    std::shared_ptr<const again::http::outgoing> what_;
    int number_;
    again::continuation k_;
    const again::context* context_ = nullptr;
    std::optional<pretended> outcome_;
    std::optional<again::inplace_stop_callback<stopped>> stopped_;
  };
  send_type send(std::shared_ptr<const again::http::outgoing> what, int number) {
    return send_type{*this, std::move(what), number};
  }

  std::vector<request> seen;
  int running = 0, most_running = 0;

 private:
  decide decide_;
};
static_assert(again::http::transport<pretend_transport>);

}  // namespace again_test
