// SPDX-License-Identifier: MIT
/// \file
/// `attempt`: one attempt while it runs: the body is opened, a connection is taken or made, and the request goes over it.
#pragma once

#include <again/beast/detail/connection.hpp>
#include <again/beast/detail/connector.hpp>
#include <again/beast/detail/exchange.hpp>
#include <again/beast/detail/resources.hpp>
#include <again/beast/detail/send_job.hpp>
#include <again/core/clock.hpp>
#include <again/http/body.hpp>
#include <again/http/transport.hpp>

#include <cerrno>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// What an attempt needs of the pool. In its turns.
class attempt_owner {
 public:
  /// The open connection of that origin used last, or null. Stale ones are closed on the way.
  virtual std::shared_ptr<connection> take_idle(origin_entry& home) noexcept = 0;
  /// It has its result, which goes to the awaiting side now. `keep`: its connection, where another request can use it; else null.
  virtual void finished(send_job& job, http::send_result&& r, std::shared_ptr<connection> keep) noexcept = 0;
  /// No descriptor is left: true if another connection was closed, or `job` waits for one to be and begins anew then.
  enum class descriptor { freed, awaited, none };
  virtual descriptor lacks_descriptor(send_job& job) noexcept = 0;
  /// Connections of that origin opened before `when` may be dead.
  virtual void suspect(origin_entry& home, time_point when) noexcept = 0;

 protected:
  ~attempt_owner() = default;
};

/// Owned by its job while it runs. In the pool's turns. `pool` is what its connections keep alive.
class attempt final : connection_user {
 public:
  attempt(resources& shared, attempt_owner& owner, std::shared_ptr<void> pool, send_job& job)
      : shared_{shared}, owner_{owner}, pool_{std::move(pool)}, job_{job}, what_{*job.what} {
    patience_.fire = [](timer& t) noexcept { static_cast<own_timer&>(t).self->on_patience(); };
    patience_.self = this;
  }
  attempt(const attempt&) = delete;
  attempt& operator=(const attempt&) = delete;
  ~attempt() {
    shared_.loop.disarm(patience_);
    if (connection_) connection_->close();
  }

  /// From the beginning, and once more after it has waited for a descriptor. It may end, and be gone, at once.
  void begin() noexcept {
    guarded([this] { open_body(); });
  }
  /// The awaiting side wants its result now.
  void stop() noexcept {
    guarded([this] { break_off(job_.why().kind, job_.why().text); });
  }
  /// The transport is gone, or its loop.
  void shut_down() noexcept {
    guarded([this] { break_off(http::error_kind::cancelled, "the client was destroyed"); });
  }

 private:
  struct own_timer : timer {
    attempt* self = nullptr;
  };

  template <class F> void guarded(F f) noexcept {
    try {
      f();
    } catch (const std::exception&) {  // out of memory: of a result without a text there is always room
      const reach far = exchange_ && connection_ ? exchange_->how_far(*connection_) : reach::not_sent;
      end(unexpected<http::send_failure>{http::send_failure{http::error_kind::shortage, far, {}}});
    }
  }

  void open_body() {
    if (!content_ && !what_.request.body().absent()) {
      for (;;) {
        errno = 0;
        auto opened = what_.open_body();
        if (opened) {
          content_.emplace(std::move(*opened));
          break;
        }
        const bool no_descriptor = errno == EMFILE || errno == ENFILE;
        if (no_descriptor && what_.request.body().replayable()) {
          const auto now = owner_.lacks_descriptor(job_);
          if (now == attempt_owner::descriptor::freed) continue;
          if (now == attempt_owner::descriptor::awaited) return;
        }
        return fail({false, no_descriptor ? http::error_kind::shortage : http::error_kind::invalid_request,
                     reach::not_sent, opened.error().reason()});
      }
    }
    if (!what_.needs_fresh_connection()) connection_ = owner_.take_idle(*job_.home);
    reused_ = connection_ != nullptr;
    reused_ ? send() : connect();
  }

  // ── a new connection ──

  void connect() {
    connector_ = std::make_unique<connector>(shared_, *job_.home, what_, pool_,
                                             connector::owner{[](void* self) noexcept {
                                                                auto& a = *static_cast<attempt*>(self);
                                                                a.guarded([&a] { a.connected(); });
                                                              },
                                                              this});
    if (connector_->begin()) connected();
  }
  void connected() {
    const std::unique_ptr<connector> over = std::move(connector_);
    connection_ = over->take();
    if (connection_) return send();
    if (over->lacks_descriptor()) {
      const auto now = owner_.lacks_descriptor(job_);
      if (now == attempt_owner::descriptor::freed) return connect();
      if (now == attempt_owner::descriptor::awaited) return;
    }
    fail(over->failure());
  }

  // ── the exchange ──

  void send() {
    connection_->belongs_to(this);
    const bool to_proxy = !shared_.via.proxy_host.empty() && what_.origin.scheme == http::scheme::http;
    const time_point now = shared_.loop.last_wake();
    exchange_.emplace(
        what_, job_.number, content_ ? &*content_ : nullptr,
        request_route{to_proxy, to_proxy ? std::string_view{shared_.proxy_authorization} : std::string_view{}});
    if (exchange_->begin(*connection_, now)) return conclude();
    shared_.loop.arm(patience_, exchange_->patience());
  }
  void ready(connection& /*c*/) noexcept override {
    guarded([this] {
      if (exchange_->go_on(*connection_, shared_.space, shared_.loop.last_wake())) return conclude();
      if (exchange_->patience() < patience_.when) {  // there is an end to the reading now
        shared_.loop.disarm(patience_);
        shared_.loop.arm(patience_, exchange_->patience());
      }
    });
  }
  void connected(connection& /*c*/, int /*error*/) noexcept override {}  // it was, before it became ours
  void on_patience() noexcept {
    guarded([this] {
      const time_point until = exchange_->patience();
      if (until > shared_.loop.last_wake()) return shared_.loop.arm(patience_, until);
      exchange_->run_out();
      conclude();
    });
  }

  /// It is over by itself.
  void conclude() {
    const bool keep = exchange_->reusable();
    http::send_result r = exchange_->take(*connection_);
    learn_from(r);
    if (!r && r.error().reach == reach::not_sent && !exchange_->content_touched()) keep_unread_body();
    end(std::move(r), keep);
  }
  void break_off(http::error_kind kind, const char* text) {
    if (!exchange_) {
      keep_unread_body();
      return end(unexpected<http::send_failure>{http::send_failure{kind, reach::not_sent, text}});
    }
    if (exchange_->decided()) return end(exchange_->take(*connection_));
    const reach far = exchange_->how_far(*connection_);
    if (far == reach::not_sent && !exchange_->content_touched()) keep_unread_body();
    // Cancelled by the caller it had no time; cut off by a bound it had all there was.
    if (kind != http::error_kind::cancelled && far != reach::answered) no_response();
    end(unexpected<http::send_failure>{http::send_failure{kind, far, text}});
  }

  void learn_from(const http::send_result& r) {
    if (!r && r.error().kind == http::error_kind::shortage) return;  // it is not the peer's
    if (!r && r.error().reach != reach::answered) no_response();
    // A connection that broke inside the response may have died with its peer, and others with it.
    if (!r && (r.error().kind == http::error_kind::truncated || r.error().kind == http::error_kind::reset))
      suspect_peer();
    if (!reused_) what_.need_fresh_connection(false);
  }
  void no_response() {
    if (!connection_->address().empty()) job_.home->addresses.failed(connection_->address());
    suspect_peer();
  }
  /// Of a fresh connection it says nothing about others.
  void suspect_peer() {
    if (!reused_) return;
    what_.need_fresh_connection(true);
    owner_.suspect(*job_.home, shared_.loop.last_wake());
  }
  /// A body that can be had once, and of which nothing was read, is left for the next attempt.
  void keep_unread_body() {
    if (content_ && !what_.request.body().replayable()) what_.give_back(std::move(*content_));
    content_.reset();
  }

  void fail(http::detail::diagnosis d) {
    keep_unread_body();
    end(unexpected<http::send_failure>{http::send_failure{d.kind, d.reach, std::move(d.text)}});
  }
  /// The last thing that it does.
  void end(http::send_result&& r, bool keep = false) noexcept {
    shared_.loop.disarm(patience_);
    connector_.reset();
    std::shared_ptr<connection> c = std::move(connection_);
    if (c && !keep) c->close();
    if (!keep) c = nullptr;
    if (c) c->belongs_to(nullptr);
    owner_.finished(job_, std::move(r), std::move(c));
  }

  resources& shared_;
  attempt_owner& owner_;
  const std::shared_ptr<void> pool_;
  send_job& job_;
  const http::outgoing& what_;
  std::optional<http::body::reader> content_;
  std::shared_ptr<connection> connection_;
  bool reused_ = false;
  std::unique_ptr<connector> connector_;
  std::optional<exchange> exchange_;
  own_timer patience_;
};

inline send_job::~send_job() = default;

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
