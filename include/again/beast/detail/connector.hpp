// SPDX-License-Identifier: MIT
/// \file
/// `connector`: from an origin to a connection that is ready for a request: the name is looked up, its addresses are tried, a proxy
/// makes a tunnel, TLS shakes hands.
///
/// The addresses race as in RFC 8305 (happy eyeballs): IPv6 and IPv4 by turns, the next one where the one before has failed or has been
/// silent for 250 ms; the first that connects wins.
#pragma once

#include <again/beast/detail/connection.hpp>
#include <again/beast/detail/exchange.hpp>
#include <again/beast/detail/resources.hpp>
#include <again/core/clock.hpp>
#include <again/http/transport.hpp>
#include <again/net/detail/diagnosis.hpp>
#include <again/net/detail/peer_address.hpp>
#include <again/net/detail/resolver.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// In the pool's turns, except that a look-up tells its listener from a thread of the resolver. Owned by an attempt, which destroys it to
/// break it off: nothing was sent then.
class connector final : connection_user, http::detail::lookup_listener {
 public:
  /// Tells the attempt that it is over, which destroys the connector.
  struct owner {
    void (*over)(void* self) noexcept = nullptr;
    void* self = nullptr;
  };

  connector(resources& shared, origin_entry& home, const http::outgoing& what, std::shared_ptr<void> pool, owner then)
      : shared_{shared}, home_{home}, what_{what}, pool_{std::move(pool)}, then_{then} {
    changed = [](lookup_listener& self) noexcept {
      connector& c = static_cast<connector&>(self);
      if (!c.told_.exchange(true)) c.shared_.loop.post(c.looked_up_);
    };
    looked_up_.run = [](work& w) noexcept { static_cast<own_work&>(w).self->guarded(&connector::on_lookup); };
    looked_up_.self = bound_.self = next_.self = this;
    bound_.fire = [](timer& t) noexcept { static_cast<own_timer&>(t).self->guarded(&connector::on_bound); };
    next_.fire = [](timer& t) noexcept { static_cast<own_timer&>(t).self->guarded(&connector::on_next); };
  }
  connector(const connector&) = delete;
  connector& operator=(const connector&) = delete;
  ~connector() {
    if (lookup_) {
      lookup_->leave(*this);
      shared_.loop.forget(looked_up_);
    }
    shared_.loop.disarm(bound_);
    shared_.loop.disarm(next_);
    for (const auto& c : racing_) c->close();
    if (connection_) connection_->close();
  }

  /// True: it is over at once.
  bool begin() {
    const std::string& name = shared_.via.host_to_resolve(what_.origin);
    if (name.empty()) {
      addresses_.resize(1);
      return race();
    }
    if (http::detail::numeric_address(name)) return addresses_are({{name}, {}});
    lookup_ = shared_.names.ask(name);
    if (!lookup_) return addresses_are({{}, "no thread to look it up", true});
    lookup_->listen(*this);
    const duration patience = lookup_patience();
    if (auto known = lookup_->outcome(patience)) return addresses_are(std::move(*known));
    shared_.loop.arm(bound_, saturating_add(shared_.loop.now(), patience));
    return false;
  }

  /// After it is over: the connection, or null.
  std::shared_ptr<connection> take() noexcept { return std::move(connection_); }
  const http::detail::diagnosis& failure() const noexcept { return failure_; }
  /// The address that is being tried has had all the time there was: the next attempt begins with another one.
  void no_response() noexcept {
    if (step_ == step::lookup) return;
    const std::string& tried = connection_ ? connection_->address() : addresses_.front();
    if (!tried.empty()) home_.addresses.failed(tried);
  }
  /// It has failed because no descriptor is left for a socket.
  bool lacks_descriptor() const noexcept { return lacks_descriptor_; }

 private:
  enum class step : unsigned char { lookup, race, tunnel, handshake };
  struct own_work : work {
    connector* self = nullptr;
  };
  struct own_timer : timer {
    connector* self = nullptr;
  };

  /// Runs one step of what is going on. Without memory that is over.
  void guarded(bool (connector::*f)()) noexcept {
    bool over = true;
    try {
      over = (this->*f)();
    } catch (const std::exception&) { no_memory(); }
    if (over) then_.over(then_.self);
  }
  void no_memory() noexcept {
    failure_ = {false, http::error_kind::shortage, reach::not_sent, {}};
    end();
  }
  bool fail(http::detail::diagnosis d) {
    failure_ = std::move(d);
    end();
    return true;
  }
  void end() noexcept {
    for (const auto& c : racing_) c->close();
    racing_.clear();
    if (connection_) connection_->close();
    connection_ = nullptr;
  }
  void arm_bound() {
    shared_.loop.disarm(bound_);
    shared_.loop.arm(bound_, saturating_add(shared_.loop.now(), what_.limits.connect));
  }

  // ── the look-up ──

  duration lookup_patience() const noexcept {
    return std::min<duration>({what_.limits.total, what_.limits.connect, std::chrono::hours{24}});
  }
  bool on_lookup() {
    told_.store(false);
    auto known = lookup_->outcome(lookup_patience());
    return known && addresses_are(std::move(*known));
  }
  bool addresses_are(http::detail::resolved found) {
    if (lookup_) {
      lookup_->leave(*this);
      shared_.loop.forget(looked_up_);
      lookup_ = nullptr;
    }
    shared_.loop.disarm(bound_);
    const std::string& name = shared_.via.host_to_resolve(what_.origin);
    if (found.addresses.empty()) {
      return fail({false, found.own_shortage ? http::error_kind::shortage : http::error_kind::resolve, reach::not_sent,
                   "'" + name + "': " + found.reason});
    }
    if (const std::string refusal = shared_.via.keep_allowed(found.addresses); found.addresses.empty())
      return fail({false, http::error_kind::denied, reach::not_sent, "'" + name + "': " + refusal});
    addresses_ = by_turns(std::move(found.addresses));
    home_.addresses.sort(addresses_);
    return race();
  }
  /// RFC 8305 4: the families by turns, each in its order.
  static std::vector<std::string> by_turns(std::vector<std::string> all) {
    const auto is_v6 = [](const std::string& a) { return a.find(':') != std::string::npos; };
    const bool v6_first = is_v6(all.front());
    std::vector<std::string> first, second, mixed;
    for (std::string& a : all) (is_v6(a) == v6_first ? first : second).push_back(std::move(a));
    for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
      if (i < first.size()) mixed.push_back(std::move(first[i]));
      if (i < second.size()) mixed.push_back(std::move(second[i]));
    }
    return mixed;
  }

  // ── the race ──

  bool race() {
    step_ = step::race;
    arm_bound();
    return try_next();
  }
  bool on_next() { return try_next(); }
  /// Begins to connect to the next address that can be tried. True: it is over.
  bool try_next() {
    shared_.loop.disarm(next_);
    while (tried_ < addresses_.size()) {
      const std::string& address = addresses_[tried_++];
      const auto to = peer(address);
      auto c = std::make_shared<connection>(pool_, shared_.connections, shared_.loop);
      c->belongs_to(this);
      racing_.reserve(addresses_.size());
      error_ = to.size == 0 ? EINVAL : c->connect(to, address);
      if (error_ != 0) {
        c->close();
        lacks_descriptor_ = error_ == EMFILE || error_ == ENFILE;
        if (lacks_descriptor_) break;  // of the others no more can be opened
        continue;
      }
      racing_.push_back(std::move(c));
      if (tried_ < addresses_.size())
        shared_.loop.arm(next_, saturating_add(shared_.loop.now(), shared_.next_address_after));
      return false;
    }
    if (!racing_.empty()) return false;
    if (!addresses_.front().empty()) home_.addresses.failed(addresses_.front());
    return fail(http::detail::no_connection(error_));
  }
  http::detail::peer_address peer(const std::string& address) const {
    if (!shared_.via.unix_socket.empty()) return http::detail::peer_address::unix_domain(shared_.via.unix_socket);
    return http::detail::peer_address::tcp(address,
                                           shared_.via.proxy_host.empty() ? what_.origin.port : shared_.via.proxy_port);
  }
  void connected(connection& c, int error) noexcept override {
    try {
      if (on_connected(c, error)) then_.over(then_.self);
    } catch (const std::exception&) {
      no_memory();
      then_.over(then_.self);
    }
  }
  bool on_connected(connection& c, int error) {
    const auto it = std::find_if(racing_.begin(), racing_.end(), [&](const auto& r) { return r.get() == &c; });
    std::shared_ptr<connection> arrived = std::move(*it);
    racing_.erase(it);
    if (error != 0) {
      error_ = error;
      // On a machine without IPv6 this is all that the kernel says of an IPv6 address.
      if (error == EADDRNOTAVAIL && c.address().find(':') != std::string::npos) error_ = ENETUNREACH;
      arrived->close();
      return try_next();
    }
    lacks_descriptor_ = false;
    connection_ = std::move(arrived);
    for (const auto& other : racing_) other->close();
    racing_.clear();
    shared_.loop.disarm(next_);
    if (!c.address().empty()) home_.addresses.worked(c.address());
    const bool tls = what_.origin.scheme == http::scheme::https;
    if (tls && !shared_.via.proxy_host.empty()) return open_tunnel();
    return tls ? secure() : true;
  }

  // ── the proxy's tunnel ──

  bool open_tunnel() {
    step_ = step::tunnel;
    arm_bound();
    std::string authority =
        what_.origin.host.find(':') == std::string::npos ? what_.origin.host : "[" + what_.origin.host + "]";
    authority += ":" + std::to_string(what_.origin.port);
    ask_ = "CONNECT " + authority + " HTTP/1.1\r\n";
    append_field(ask_, "Host", authority);
    if (!shared_.proxy_authorization.empty()) append_field(ask_, "Proxy-Authorization", shared_.proxy_authorization);
    ask_ += "\r\n";
    reply_.emplace(0, true);
    return tunnel();
  }
  bool tunnel() {
    while (!ask_.empty()) {
      const progress p = connection_->write(ask_, {});
      if (p.n > 0) {
        ask_.erase(0, static_cast<std::size_t>(p.n));
      } else if (p.needs != 0) {
        connection_->want_write();
        return false;
      } else {
        return refuse_tunnel(": " + http::detail::reason_of(p.error));
      }
    }
    for (;;) {
      if (connection_->waits_to_read()) return false;
      std::string_view bytes;
      char space[2048];
      const progress p = connection_->read(space, bytes);
      if (p.needs != 0) {
        connection_->want_read();
        return false;
      }
      if (p.n <= 0)
        return refuse_tunnel(p.n == 0 ? ": it closed the connection" : ": " + http::detail::reason_of(p.error));
      switch (reply_->feed(bytes)) {
        case response_reader::state::more: break;
        case response_reader::state::whole: {
          const int status = reply_->status();
          if (status >= 200 && status < 300) return secure();
          return refuse_tunnel(" (" + std::to_string(status) + ")");
        }
        default: return refuse_tunnel(": " + std::string{reply_->reason()});
      }
    }
  }
  bool refuse_tunnel(const std::string& why) {
    return fail({false, http::error_kind::refused, reach::not_sent, "the proxy refused the tunnel" + why});
  }

  // ── TLS ──

  bool secure() {
    step_ = step::handshake;
    arm_bound();
    connection_->secure(shared_.tls, what_.origin.host, home_.tls);
    return handshake();
  }
  bool handshake() {
    const progress p = connection_->tls()->handshake();
    if (p.n > 0) return true;
    if (p.needs == 0) {
      http::detail::diagnosis d = connection_->tls()->diagnose_handshake(p.error);
      if (d.kind != http::error_kind::shortage) no_response();
      return fail(std::move(d));
    }
    p.needs == POLLIN ? connection_->want_read() : connection_->want_write();
    return false;
  }

  void ready(connection& /*c*/) noexcept override {
    guarded(step_ == step::tunnel ? &connector::tunnel : &connector::handshake);
  }
  bool on_bound() {
    switch (step_) {
      case step::lookup: return addresses_are(lookup_->give_up(lookup_patience()));
      case step::race: no_response(); return fail(http::detail::no_connection(ETIMEDOUT));
      case step::tunnel:
        no_response();
        return fail({false, http::error_kind::connect_timeout, reach::not_sent, "no tunnel in time"});
      case step::handshake: no_response(); break;
    }
    return fail(
        {false, http::error_kind::connect_timeout, reach::not_sent, "the TLS handshake did not finish in time"});
  }

  resources& shared_;
  origin_entry& home_;
  const http::outgoing& what_;
  const std::shared_ptr<void> pool_;
  const owner then_;
  step step_ = step::lookup;
  std::shared_ptr<http::detail::lookup> lookup_;
  std::atomic<bool> told_{false};  // `looked_up_` is posted
  own_work looked_up_;
  own_timer bound_, next_;
  std::vector<std::string> addresses_;
  std::size_t tried_ = 0;
  std::vector<std::shared_ptr<connection>> racing_;
  std::shared_ptr<connection> connection_;  // the one that has connected
  std::string ask_;                         // of the proxy, what is not written yet
  std::optional<response_reader> reply_;
  http::detail::diagnosis failure_;
  int error_ = 0;
  bool lacks_descriptor_ = false;
};

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
