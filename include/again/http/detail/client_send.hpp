// SPDX-License-Identifier: MIT
/// \file
/// `client_send`: one attempt of a client's operation. It sends through a transport, follows redirects where the request asks for
/// them, and judges the result by the rules.
///
/// Owner: the awaiting coroutine's frame. Thread: that of the context's scheduler, on which the transport finishes.
#pragma once

#include <again/coro/awaitable.hpp>
#include <again/coro/detail/awaiters.hpp>
#include <again/http/error.hpp>
#include <again/http/redirect.hpp>
#include <again/http/rules.hpp>
#include <again/http/transport.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Whether a response of this status says that a gateway got no response from the origin, which may still act on the request: 502,
/// 504, and the unregistered codes that content delivery networks use.
constexpr bool from_gateway(int status) noexcept {
  return status == 502 || status == 504 || (status > 500 && reason_phrase(status).empty());
}

/// What all attempts of an operation share. `client_over::send` makes it once.
struct planned : outgoing {
  planned(http::origin o, http::request r, http::send_limits l, const http::rules& by, int redirects,
          std::optional<invalid> b)
      : outgoing{std::move(o), std::move(r), l},
        rules{by},
        max_redirects{request.max_redirects().value_or(redirects)},
        bad{std::move(b)} {}
  const http::rules rules;
  const int max_redirects;
  const std::optional<invalid> bad;  ///< why the request is not sent
  /// Attempts that were started and got no response of the origin: it may still process them. Threads: attempts of one operation may
  /// run on several, as hedged ones do; the count orders nothing else.
  mutable std::atomic<int> unanswered{0};
};

/// A startable. It uses the transport while redirects are followed, else only to start.
template <transport T> class [[nodiscard]] client_send {
 public:
  using result_type = expected<response, error>;

  client_send(T& through, std::shared_ptr<const planned> what, int number) noexcept
      : through_{through}, what_{std::move(what)}, number_{number} {}
  client_send(const client_send&) = delete;
  client_send& operator=(const client_send&) = delete;
  ~client_send() { end_hop(); }
  [[nodiscard]] auto operator co_await() && noexcept { return again::detail::startable_awaiter<client_send>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    then_ = k;
    context_ = &ctx;
    if (what_->bad) {
      result_.emplace(unexpect, error{what_->rules, what_->facts(), error_kind::invalid_request, reach::not_sent,
                                      what_->bad->text()});
      return true;
    }
    hop_ = what_;
    if (what_->request.each_attempt() && !prepare()) return true;
    what_->unanswered.fetch_add(1, std::memory_order_relaxed);
    if (what_->max_redirects > 0) began_ = ctx.scheduler->now();
    return go_on();
  }
  result_type take() {
    if (failed_) std::rethrow_exception(failed_);
    return std::move(*result_);
  }
  /// The result, after it has finished; null if it threw.
  result_type* peek() noexcept { return result_ ? &*result_ : nullptr; }
  std::exception_ptr exception() const noexcept { return failed_; }

 private:
  using inner = decltype(std::declval<T&>().send(std::shared_ptr<const outgoing>{}, 1));

  /// Lets the request's hook prepare this attempt. False: it is over.
  bool prepare() noexcept {
    try {
      auto made = what_->request.for_attempt(number_, now());
      if (made) {
        hop_ = std::make_shared<const outgoing>(what_, *std::move(made));
        return true;
      }
      result_.emplace(unexpect, error{what_->rules, what_->facts(), error_kind::invalid_request, reach::not_sent,
                                      made.error().text()});
    } catch (...) { failed_ = std::current_exception(); }
    return false;
  }
  void finish() noexcept {
    if (concluded() || go_on()) then_();
  }
  /// Sends hop after hop while each finishes at once. True: there is a result.
  bool go_on() noexcept {
    try {
      do {
        end_hop();
        ::new (static_cast<void*>(std::addressof(inner_))) inner(through_.send(hop_, number_));
        sending_ = true;
        if (!inner_.start({[](void* self) noexcept { static_cast<client_send*>(self)->finish(); }, this}, *context_))
          return false;
      } while (!concluded());
    } catch (...) { failed_ = std::current_exception(); }
    return true;
  }
  void end_hop() noexcept {
    if (std::exchange(sending_, false)) std::destroy_at(std::addressof(inner_));
  }

  /// Takes the result of a hop. False: `hop_` is the next one to send.
  bool concluded() noexcept {
    failed_ = inner_.exception();
    if (failed_) return true;
    try {
      return judged(inner_.take());
    } catch (...) {
      failed_ = std::current_exception();
      return true;
    }
  }
  bool judged(send_result r) {
    const http::rules& by = what_->rules;
    if (r) {
      r->redirects = redirects_;
      if (what_->max_redirects > 0 && is_redirect(*r) && !what_->request.accept().contains(r->status))
        return !followed(*r);
      if (!from_gateway(r->status)) settled();
      if (!accepted(by, what_->request.accept(), r->status)) return fail({by, facts(), std::move(*r), now()});
      result_.emplace(std::move(*r));
      return true;
    }
    send_failure& f = r.error();
    if (f.reach == reach::not_sent) settled();
    // After a redirect a server has seen the request, also where the last hop was not sent.
    const reach far = redirects_ > 0 ? reach::answered : f.reach;
    if (!f.partial) return fail({by, facts(), f.kind, far, std::move(f.detail)});
    f.partial->redirects = redirects_;
    return fail({by, facts(), f.kind, far, std::move(f.detail), std::move(*f.partial), now()});
  }
  bool followed(response& response) {
    std::string why = "more than " + std::to_string(what_->max_redirects);
    if (redirects_ < what_->max_redirects) {
      auto next = redirected(hop_->request, hop_->origin, response);
      if (next) {
        ++redirects_;
        http::send_limits left = what_->limits;  // the bound on the whole is one for all hops
        if (left.total < forever)
          left.total = std::max(duration::zero(), left.total - (context_->scheduler->now() - began_));
        hop_ = std::make_shared<const outgoing>(std::move(next->origin), std::move(next->request), left);
        return true;
      }
      why = next.error().reason();
    }
    settled();
    fail({what_->rules, facts(), error_kind::redirects, reach::answered, std::move(why), std::move(response), now()});
    return false;
  }
  /// This attempt is not, or no longer, processed by the server.
  void settled() noexcept { what_->unanswered.fetch_sub(1, std::memory_order_relaxed); }
  request_facts facts() const {
    request_facts f = what_->facts();
    f.outstanding = hop_->request.keyed() && what_->unanswered.load(std::memory_order_relaxed) > 0;
    return f;
  }
  bool fail(error e) {
    e.redirects(redirects_);
    result_.emplace(unexpect, std::move(e));
    return true;
  }
  wall_time now() const noexcept { return context_->scheduler->wall_now(); }

  T& through_;
  const std::shared_ptr<const planned> what_;
  const int number_;
  std::shared_ptr<const outgoing> hop_;
  int redirects_ = 0;
  time_point began_{};  // where redirects are followed
  continuation then_;
  const context* context_ = nullptr;
  std::optional<result_type> result_;
  std::exception_ptr failed_;
  bool sending_ = false;
  union {
    inner inner_;
  };
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
