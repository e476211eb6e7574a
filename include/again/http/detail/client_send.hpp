// SPDX-License-Identifier: MIT
/// \file
/// `client_send`: one attempt of a client's operation: a transport's send, with the rules applied to what comes of it.
#pragma once

#include <again/awaitable.hpp>
#include <again/http/error.hpp>
#include <again/http/rules.hpp>
#include <again/http/transport.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace again::inline AGAIN_ABI::http::detail {

/// What all attempts of an operation share, made once.
struct planned : outgoing {
  planned(http::origin o, http::request r, http::limits l, const http::rules& by, std::optional<invalid> b)
      : outgoing{std::move(o), std::move(r), l}, rules{by}, bad{std::move(b)} {}
  const http::rules rules;
  const std::optional<invalid> bad;  ///< why it is not sent at all
};

/// A startable. Needs nothing of the client once it has started.
template <transport T> class [[nodiscard]] client_send {
 public:
  using result_type = expected<response, error>;

  client_send(T& through, std::shared_ptr<const planned> what, int number)
      : what_{std::move(what)}, inner_{through.send(what_, number)} {}
  client_send(const client_send&) = delete;
  client_send& operator=(const client_send&) = delete;
  ~client_send() = default;
  [[nodiscard]] auto operator co_await() && noexcept { return again::detail::startable_awaiter<client_send>{*this}; }

  bool start(continuation k, const context& ctx) noexcept {
    then_ = k;
    scheduler_ = ctx.scheduler;
    if (what_->bad) {
      result_.emplace(unexpect, error{what_->rules, what_->facts(), error_kind::invalid_request, reach::not_sent, what_->bad->text()});
      return true;
    }
    const continuation done{[](void* self) noexcept { static_cast<client_send*>(self)->finish(); }, this};
    if (!inner_.start(done, ctx)) return false;
    conclude();
    return true;
  }
  result_type take() {
    if (failed_) std::rethrow_exception(failed_);
    return std::move(*result_);
  }
  /// The result where it stands, after it has finished; null if it threw.
  result_type* peek() noexcept { return result_ ? &*result_ : nullptr; }
  std::exception_ptr exception() const noexcept { return failed_; }

 private:
  void finish() noexcept {
    conclude();
    then_();
  }
  void conclude() noexcept {
    failed_ = inner_.exception();
    if (failed_) return;
    try {
      judged(inner_.take());
    } catch (...) {
      failed_ = std::current_exception();
    }
  }
  void judged(send_result r) {
    const http::rules& by = what_->rules;
    if (r && accepted(by, what_->request.accept(), r->status)) {
      result_.emplace(std::move(*r));
    } else if (r) {
      result_.emplace(unexpect, error{by, what_->facts(), std::move(*r), scheduler_->wall_now()});
    } else if (send_failure& f = r.error(); f.partial) {
      result_.emplace(unexpect, error{by, what_->facts(), f.kind, f.reach, std::move(f.detail), std::move(*f.partial), scheduler_->wall_now()});
    } else {
      result_.emplace(unexpect, error{by, what_->facts(), f.kind, f.reach, std::move(f.detail)});
    }
  }

  const std::shared_ptr<const planned> what_;
  continuation then_;
  again::scheduler* scheduler_ = nullptr;
  std::optional<result_type> result_;
  std::exception_ptr failed_;
  decltype(std::declval<T&>().send(std::shared_ptr<const outgoing>{}, 1)) inner_;  // last: goes first, and then nobody calls us
};

}  // namespace again::inline AGAIN_ABI::http::detail
