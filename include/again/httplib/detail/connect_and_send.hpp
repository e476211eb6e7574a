// SPDX-License-Identifier: MIT
/// \file
/// `connect_and_send`: one attempt: the body is opened, the name resolved, and addresses are tried until one takes the request.
#pragma once

#include <again/http/transport.hpp>
#include <again/httplib/detail/connection.hpp>
#include <again/httplib/detail/dead_fd.hpp>
#include <again/httplib/detail/descriptor_wait.hpp>
#include <again/httplib/detail/idle_connections.hpp>
#include <again/httplib/detail/origin_queue.hpp>
#include <again/httplib/detail/resolve.hpp>
#include <again/httplib/detail/send_job.hpp>
#include <again/httplib/detail/tls_setup.hpp>
#include <again/net/detail/resolver.hpp>
#include <again/net/detail/route.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// What all attempts of a pool share. Any thread.
struct send_resources {
  route via;
  idle_limits keep;
  tls_credentials credentials;
  resolver names;
  descriptor_wait descriptors;
  dead_fd dead{};
};

struct attempt_end {
  send_result result;
  cancel_switch::by stopped = cancel_switch::by::none;  ///< what has stopped it, and so gives the result
  /// It failed on a connection that was used before, at that time: others opened before may be as dead. The epoch: it did not.
  std::chrono::steady_clock::time_point suspect_before{};
};

/// Without memory it has no text.
inline send_failure client_destroyed(reach far) noexcept {
  send_failure f{error_kind::cancelled, far, {}};
  try {
    f.detail = "the client was destroyed";
  } catch (const std::bad_alloc&) {}
  return f;
}

/// One attempt on the calling thread, which it blocks; `job.stop` ends it from any other. `c`: a connection that was idle, or null;
/// afterwards the one that was used, open or closed, or null.
class connect_and_send {
 public:
  using connection = idle_connections::connection;

  connect_and_send(send_resources& shared, send_job& job, connection& c) noexcept
      : shared_{shared}, job_{job}, what_{*job.what}, connection_{c} {}

  attempt_end run() noexcept {
    try {
      return open_body();
    } catch (const std::exception& e) {  // out of memory
      connection_.reset();
      return failed(error_kind::shortage, reach::maybe_sent, e.what());
    } catch (...) {
      connection_.reset();
      return failed(error_kind::shortage, reach::maybe_sent, "an exception");
    }
  }

 private:
  using steady = std::chrono::steady_clock;

  attempt_end open_body() {
    if (connection_ && (what_.needs_fresh_connection() || shared_.keep.passed_by(*connection_, steady::now())))
      connection_->close();
    if (!connection_) {
      connection_ =
          std::make_unique<httplib_connection>(what_.origin, shared_.via, shared_.credentials, shared_.dead.fd());
    }
    if (!what_.request.body().absent()) {
      for (;;) {
        ended_before_ = shared_.descriptors.ended();
        errno = 0;
        auto opened = what_.open_body();
        if (opened) {
          content_.emplace(std::move(*opened));
          break;
        }
        const bool no_descriptor = errno == EMFILE || errno == ENFILE;
        if (no_descriptor && what_.request.body().replayable() && may_try_again()) continue;
        return failed(no_descriptor ? error_kind::shortage : error_kind::invalid_request, reach::not_sent,
                      opened.error().reason());
      }
    }
    return find_addresses();
  }

  attempt_end find_addresses() {
    std::vector<std::string> addresses(1);
    connection_->prepare();
    const std::string& name = shared_.via.host_to_resolve(what_.origin);
    if (!connection_->open() && !name.empty()) {
      const duration patience = std::min<duration>({what_.limits.total, what_.limits.connect, std::chrono::hours{24}});
      resolved found = resolve(shared_.names, name, patience, job_.stop);
      if (found.addresses.empty()) {
        keep_unread_body();
        return failed(found.own_shortage ? error_kind::shortage : error_kind::resolve, reach::not_sent,
                      "'" + name + "': " + found.reason);
      }
      if (const std::string refusal = shared_.via.keep_allowed(found.addresses); found.addresses.empty()) {
        keep_unread_body();
        return failed(error_kind::denied, reach::not_sent, "'" + name + "': " + refusal);
      }
      addresses = std::move(found.addresses);
      job_.home->addresses.sort(addresses);
    }
    return try_addresses(addresses);
  }

  attempt_end try_addresses(const std::vector<std::string>& addresses) {
    for (std::size_t i = 0;;) {
      std::optional<attempt_end> end = try_address(addresses[i], i + 1 == addresses.size());
      if (end) return std::move(*end);
      if (no_descriptor_.empty()) {
        ++i;
      } else if (!may_try_again()) {
        keep_unread_body();
        return failed(error_kind::shortage, reach::not_sent, std::move(no_descriptor_));
      }
      no_descriptor_.clear();
      connection_->prepare();
    }
  }
  /// No descriptor is left. False: nothing of ours could end and leave one.
  bool may_try_again() { return shared_.descriptors.free_one(job_.stop, ended_before_); }

  /// Empty: nothing was sent, and there is another address, or `no_descriptor_` says why this one has to be tried again.
  std::optional<attempt_end> try_address(const std::string& address, bool last) {
    fresh_ = !connection_->open();
    address_ = fresh_ ? address : connection_->address();
    cancel_switch::phase phase{job_.stop,
                               {[](void* self, cancel_switch::by source) noexcept {
                                  return static_cast<connect_and_send*>(self)->break_off(source);
                                },
                                this},
                               reach::maybe_sent};
    if (!phase.entered()) {
      keep_unread_body();
      return ended(unexpected<send_failure>{client_destroyed(reach::not_sent)});
    }
    ended_before_ = shared_.descriptors.ended();
    send_result r = connection_->attempt(what_, job_.number, address_, content_ ? &*content_ : nullptr, job_.stop);
    learn_from(r);
    // Refused at once and not a byte sent: the next address belongs to the same attempt. A silent one has used up its time.
    const bool refused = !r && r.error().reach == reach::not_sent && r.error().kind == error_kind::refused;
    const bool no_descriptor = !r && connection_->lacks_descriptor();
    if (no_descriptor) no_descriptor_ = r.error().detail;
    if (no_descriptor || (refused && !last)) {
      phase.sent_nothing();
      return std::nullopt;
    }
    if (!r && r.error().reach == reach::not_sent && !connection_->content_touched()) keep_unread_body();
    return ended(std::move(r));  // inside the phase: a stop always finds how far the request has got
  }

  /// On the thread that stops the attempt. The next one may begin before this worker has noticed: what it must know is noted here.
  reach break_off(cancel_switch::by source) noexcept {
    const reach far = connection_->watch().interrupt();
    if (source == cancel_switch::by::bound && far != reach::answered) no_response();
    return far;
  }
  void learn_from(const send_result& r) {
    const auto stopped = job_.stop.raised();
    if (stopped == cancel_switch::by::awaiter || stopped == cancel_switch::by::pool) return;  // it had no time
    if (!r && r.error().kind == error_kind::shortage) return;                                 // it is not the peer's
    if (r || r.error().reach == reach::answered) {
      if (fresh_ && !address_.empty()) job_.home->addresses.worked(address_);
    } else {
      no_response();
    }
    // A connection that broke inside the response may have died with its peer, and others with it.
    if (!r && (r.error().kind == error_kind::truncated || r.error().kind == error_kind::reset)) suspect_peer();
    if (fresh_ && stopped == cancel_switch::by::none) what_.need_fresh_connection(false);
  }
  /// An address that gives no response counts as failed, unless we cancelled before it had time.
  void no_response() noexcept {
    if (!address_.empty()) job_.home->addresses.failed(address_);
    suspect_peer();
  }
  /// Of a fresh connection it says nothing about others.
  void suspect_peer() noexcept {
    if (fresh_) return;
    steady::time_point none{};
    suspect_before_.compare_exchange_strong(none, steady::now(), std::memory_order_relaxed);
    what_.need_fresh_connection(true);
  }
  /// A body that can be had once, and of which nothing was read, is left for the next attempt.
  void keep_unread_body() {
    if (content_ && !what_.request.body().replayable()) what_.give_back(std::move(*content_));
  }
  attempt_end failed(error_kind kind, reach far, std::string detail) {
    return ended(unexpected<send_failure>{send_failure{kind, far, std::move(detail)}});
  }
  /// From here on a stop neither says that less was sent, nor reaches for a connection that is no longer ours.
  attempt_end ended(send_result r) {
    const auto stopped = job_.stop.settle(r ? reach::answered : r.error().reach);
    return {std::move(r), stopped, suspect_before_.load(std::memory_order_relaxed)};
  }

  send_resources& shared_;
  send_job& job_;
  const outgoing& what_;
  connection& connection_;
  std::optional<body::reader> content_;
  // Of the try that runs: constant for as long as `break_off` may be called.
  std::string address_;
  bool fresh_ = true;
  std::string no_descriptor_;       // why no socket could be opened; empty: one was
  std::uint64_t ended_before_ = 0;  // attempts, at the last try that needs a descriptor
  std::atomic<steady::time_point> suspect_before_{steady::time_point{}};
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
