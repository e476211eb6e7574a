// SPDX-License-Identifier: MIT
/// \file
/// `attempt`: one attempt while it runs: the body is opened, a connection is taken or made, and the request goes over it.
#pragma once

#include <again/beast/detail/body_feed.hpp>
#include <again/beast/detail/connection.hpp>
#include <again/beast/detail/connector.hpp>
#include <again/beast/detail/exchange.hpp>
#include <again/beast/detail/resources.hpp>
#include <again/beast/detail/send_job.hpp>
#include <again/core/clock.hpp>
#include <again/http/body.hpp>
#include <again/http/transport.hpp>

#include <cerrno>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
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
  virtual std::shared_ptr<connection> take_idle(origin_entry& home, time_point now) noexcept = 0;
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
    patience_.self = fed_.self = this;
    fed_.run = [](work& w) noexcept { static_cast<own_work&>(w).self->on_fed(); };
  }
  attempt(const attempt&) = delete;
  attempt& operator=(const attempt&) = delete;
  ~attempt() {
    shared_.loop.disarm(patience_);
    if (feed_) feed_->leave();
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
  struct own_work : work {
    attempt* self = nullptr;
  };

  template <class F> void guarded(F f) noexcept {
    try {
      f();
    } catch (const std::exception&) {  // out of memory: of a result without a text there is always room
      const reach far = exchange_ && connection_ != nullptr ? exchange_->how_far(*connection_) : reach::not_sent;
      if (!exchange_)
        keep_unread_body();  // Asio may have had no descriptor for itself, which the next attempt may find
      end(unexpected<http::send_failure>{http::send_failure{http::error_kind::shortage, far, {}}});
    }
  }

  // ── the body ──

  void open_body() {
    const http::body& body = what_.request.body();
    if (body.absent() || content_ || (feed_ && !feed_->busy() && feed_->is_open())) return take_connection();
    if (body.in_memory()) {
      content_.emplace(*what_.open_body());
      return take_connection();
    }
    if (!feed_) {
      feed_ = std::make_shared<body_feed>(job_.what, shared_.bodies);
      feed_->listen(shared_.loop, fed_);
    }
    if (!feed_->open()) lacks_thread();
  }
  void on_fed() noexcept {
    feed_->told();
    guarded([this] {
      if (feed_->lacked_memory()) throw std::bad_alloc{};
      exchange_ ? on_part() : on_open();
    });
  }
  void on_open() {
    if (feed_->is_open()) return take_connection();
    const bool no_descriptor = feed_->open_error() == EMFILE || feed_->open_error() == ENFILE;
    if (no_descriptor && what_.request.body().replayable()) {
      const auto now = owner_.lacks_descriptor(job_);
      if (now == attempt_owner::descriptor::freed) return open_body();
      if (now == attempt_owner::descriptor::awaited) return;
    }
    fail({false, no_descriptor ? http::error_kind::shortage : http::error_kind::invalid_request, reach::not_sent,
          feed_->problem()});
  }
  void on_part() {
    if (feed_->problem().empty()) {
      exchange_->take_part(feed_->part(), feed_->bytes(), shared_.loop.last_wake());
    } else {
      exchange_->lose_part(feed_->problem());
    }
    go_on();
  }
  void lacks_thread() {
    const reach far = exchange_ ? exchange_->how_far(*connection_) : reach::not_sent;
    fail({false, http::error_kind::shortage, far, "no thread could be started to read the body"});
  }
  request_content content() {
    if (content_) return {.kind = request_content::bytes, .all = *content_->bytes()};
    if (feed_) return {.kind = request_content::parts, .size = feed_->reader().size()};
    return {};
  }

  void take_connection() {
    const time_point now = shared_.loop.now();  // a turn may have lasted
    if (!what_.needs_fresh_connection()) connection_ = owner_.take_idle(*job_.home, now);
    reused_ = connection_ != nullptr;
    reused_ ? send(now) : connect();
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
    if (connection_) return send(shared_.loop.now());
    if (over->lacks_descriptor()) {
      const auto now = owner_.lacks_descriptor(job_);
      if (now == attempt_owner::descriptor::freed) return connect();
      if (now == attempt_owner::descriptor::awaited) return;
    }
    fail(over->failure());
  }

  // ── the exchange ──

  void send(time_point now) {
    connection_->belongs_to(this);
    const bool to_proxy = !shared_.via.proxy_host.empty() && what_.origin.scheme == http::scheme::http;
    exchange_.emplace(
        what_, job_.number, content(),
        request_route{to_proxy, to_proxy ? std::string_view{shared_.proxy_authorization} : std::string_view{}});
    if (exchange_->begin(*connection_, now)) return conclude();
    shared_.loop.arm(patience_, exchange_->patience());
    ask_for_part();
  }
  void ready(connection& /*c*/) noexcept override {
    guarded([this] { go_on(); });
  }
  void go_on() {
    if (exchange_->go_on(*connection_, shared_.space, shared_.loop.last_wake())) return conclude();
    const time_point until = exchange_->patience();
    if (!patience_.armed() || until < patience_.when) {  // else it looks again when it fires
      shared_.loop.disarm(patience_);
      shared_.loop.arm(patience_, until);
    }
    ask_for_part();
  }
  /// It may end the attempt.
  void ask_for_part() {
    if (!exchange_->needs_part() || asked_ == exchange_->parts()) return;
    asked_ = exchange_->parts();
    if (!feed_->read()) lacks_thread();
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
      if (connector_ && kind != http::error_kind::cancelled) connector_->no_response();
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
    if (!feed_) return;
    feed_->leave();
    if (!feed_->busy() && feed_->is_open() && !what_.request.body().replayable())
      what_.give_back(std::move(feed_->reader()));
    feed_ = nullptr;
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
  std::optional<http::body::reader> content_;  // bytes in memory
  std::shared_ptr<body_feed> feed_;            // or what is read by other threads
  own_work fed_;
  std::optional<std::size_t> asked_;  // the number of the part that it was asked for last
  std::shared_ptr<connection> connection_;
  bool reused_ = false;
  std::unique_ptr<connector> connector_;
  std::optional<exchange> exchange_;
  own_timer patience_;
};

inline void attempt_deleter::operator()(attempt* a) const noexcept { delete a; }

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
