// SPDX-License-Identifier: MIT
/// \file
/// `connection`: one connection to one server of the cluster, and exchanges over it: many requests at once, then all their replies.
///
/// Owned by the store's thread, and used by it alone. The library reads the socket on a thread of its own and puts what comes into the
/// queue of the one subscription; there are no callbacks, so nothing of ours is touched by another thread. The subscription ends before the
/// connection. The library does not reconnect: a connection that is lost, or over which a reply did not come in time, is closed, and the
/// next call tries the next server, at the earliest after a wait that doubles up to 5 s.
#pragma once

#include <again/core/clock.hpp>
#include <again/http/idempotency.hpp>
#include <again/nats/detail/reply.hpp>
#include <again/nats/options.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nats/nats.h>
#include <unistd.h>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

struct request {
  std::string subject;
  std::string body{};
  std::string id{};  ///< not empty: the servers know a repeated one
  std::optional<std::uint64_t>
      after{};  ///< only where the last message of the subject has this number; 0: where there is none
};

class connection {
 public:
  explicit connection(const options& o) : options_{o} {
    nats_Open(-1);
    for (const std::string& file : {o.ca, o.certificate, o.key, o.credentials}) {
      if (!file.empty() && ::access(file.c_str(), R_OK) != 0)
        fail(journal::error_kind::invalid, file + " cannot be read; name a file that exists, or change its mode");
    }
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() { close(); }

  bool open() const noexcept { return connection_ != nullptr && !natsConnection_IsClosed(connection_.get()); }
  /// Connects to the next server that can be reached. Throws nats_failure.
  void connect() {
    close();
    const time_point now = std::chrono::steady_clock::now();
    if (failures_ > 0 && now < next_try_) throw nats_failure{last_};
    try {
      for (std::size_t tried = 0;; ++tried) {
        const std::string& server = options_.servers[server_ % options_.servers.size()];
        const natsStatus s = try_server(server);
        if (s == NATS_OK) break;
        ++server_;
        if (tried + 1 == options_.servers.size()) refused(server, s);
      }
    } catch (const nats_failure& f) {
      last_ = f.why;
      next_try_ = now + std::min<duration>(std::chrono::milliseconds{50} * (1 << std::min(failures_++, 7)),
                                           std::chrono::seconds{5});
      throw;
    }
    failures_ = 0;
  }
  void close() noexcept {
    natsSubscription_Destroy(std::exchange(inbox_, nullptr));
    connection_.reset();
    arrived_.clear();
  }
  /// Where the connection is of no use: another server is tried next.
  [[noreturn]] void give_up(std::string why) {
    close();
    ++server_;
    fail(journal::error_kind::unreachable, std::move(why));
  }

  /// Sends all of them and waits for all replies, in this order. Throws nats_failure.
  std::vector<message> exchange(const std::vector<request>& all) {
    std::vector<message> replies(all.size());
    // What is under way at a time stays within what a server and its cluster buffer.
    constexpr std::size_t at_once = 512;
    for (std::size_t from = 0; from < all.size(); from += at_once)
      exchange_some(all, from, std::min(all.size(), from + at_once), replies);
    return replies;
  }
  message exchange(request one) {
    std::vector<request> all;
    all.push_back(std::move(one));
    return std::move(exchange(all).front());
  }
  /// Without a reply.
  void send(const std::string& subject, std::string_view body) {
    message m = make(subject, nullptr, body);
    check(natsConnection_PublishMsg(connection_.get(), m.get()));
  }
  /// At most `n` events, those that are there.
  std::vector<message> pull(const std::string& subject, std::size_t n) {
    std::vector<message> got = std::exchange(arrived_, {});
    if (got.size() >= n) return got;
    const std::size_t wanted = n - got.size();
    const std::uint64_t number = next_++;
    const std::string reply = prefix_ + std::to_string(number);
    message ask = make(subject, reply.c_str(), R"({"batch":)" + std::to_string(wanted) + R"(,"no_wait":true})");
    check(natsConnection_PublishMsg(connection_.get(), ask.get()));
    const time_point until = std::chrono::steady_clock::now() + options_.timeout;
    for (std::size_t had = 0; had < wanted;) {
      message m = next(until);
      if (!m) {  // those that came have leases that end by themselves
        give_up("the servers do not give events of stream " + options_.stream +
                " (no reply in time); see whether most of them are up and have the stream");
      }
      if (is_event(m)) {
        got.push_back(std::move(m));
        ++had;
      } else if (number_at(subject_of(m)) == number) {
        break;
      }
    }
    return got;
  }
  /// What was sent is on its way.
  void flush() noexcept { static_cast<void>(natsConnection_FlushTimeout(connection_.get(), 500)); }
  std::size_t most_bytes() const noexcept {
    return static_cast<std::size_t>(std::max<std::int64_t>(natsConnection_GetMaxPayload(connection_.get()), 0));
  }

 private:
  struct destroy {
    void operator()(natsConnection* c) const noexcept { natsConnection_Destroy(c); }
    void operator()(natsOptions* o) const noexcept { natsOptions_Destroy(o); }
  };

  natsStatus try_server(const std::string& server) {
    natsOptions* raw = nullptr;
    if (natsOptions_Create(&raw) != NATS_OK)
      fail(journal::error_kind::shortage, "out of memory; give this process more");
    const std::unique_ptr<natsOptions, destroy> o{raw};
    const std::string url = "nats://" + server;
    const auto file = [](const std::string& name) { return name.empty() ? nullptr : name.c_str(); };
    const std::int64_t wait = std::chrono::duration_cast<std::chrono::milliseconds>(duration{options_.timeout}).count();
    natsStatus s = natsOptions_SetURL(raw, url.c_str());
    const auto then = [&s](natsStatus next) {
      if (s == NATS_OK) s = next;
    };
    then(natsOptions_SetAllowReconnect(raw, false));
    then(natsOptions_SetTimeout(raw, std::clamp<std::int64_t>(wait, 1, 2000)));
    then(natsOptions_SetPingInterval(raw, 5000));
    then(natsOptions_SetMaxPingsOut(raw, 2));
    then(natsOptions_SetName(raw, "again"));
    if (!options_.ca.empty()) {
      then(natsOptions_SetSecure(raw, true));
      then(natsOptions_LoadCATrustedCertificates(raw, options_.ca.c_str()));
      const std::string host = server.substr(0, server.rfind(':'));
      then(natsOptions_SetExpectedHostname(raw, host.c_str()));
    }
    if (!options_.certificate.empty())
      then(natsOptions_LoadCertificatesChain(raw, options_.certificate.c_str(), file(options_.key)));
    if (!options_.credentials.empty())
      then(natsOptions_SetUserCredentialsFromFiles(raw, options_.credentials.c_str(), nullptr));
    if (!options_.user.empty()) then(natsOptions_SetUserInfo(raw, options_.user.c_str(), options_.password.c_str()));
    if (!options_.token.empty()) then(natsOptions_SetToken(raw, options_.token.c_str()));
    natsConnection* c = nullptr;
    then(natsConnection_Connect(&c, raw));
    connection_.reset(c);
    prefix_ = "_INBOX." + http::fresh_idempotency_key() + ".";
    if (s == NATS_OK) then(natsConnection_SubscribeSync(&inbox_, c, (prefix_ + "*").c_str()));
    if (s == NATS_OK) then(natsSubscription_SetPendingLimits(inbox_, -1, -1));
    if (s != NATS_OK) close();
    return s;
  }
  [[noreturn]] static void refused(const std::string& server, natsStatus s) {
    using journal::error_kind;
    const std::string at = "nats://" + server + ": ";
    switch (s) {
      case NATS_CONNECTION_AUTH_FAILED:
      case NATS_NOT_PERMITTED:
        fail(error_kind::unreachable, at + "the server refuses this user; name a file of credentials that it knows");
      case NATS_SSL_ERROR:
      case NATS_SECURE_CONNECTION_REQUIRED:
      case NATS_SECURE_CONNECTION_WANTED:
        fail(error_kind::unreachable,
             at + "no TLS connection (" + natsStatus_GetText(s) +
                 "); name the authority that has signed its certificate, and the host as in it");
      case NATS_NO_MEMORY: fail(error_kind::shortage, at + "out of memory; give this process more");
      default:
        fail(error_kind::unreachable, at + "no connection to a server (" + std::string{natsStatus_GetText(s)} +
                                          "); start it, or name one that runs");
    }
  }

  static message make(const std::string& subject, const char* reply, std::string_view body) {
    natsMsg* raw = nullptr;
    if (natsMsg_Create(&raw, subject.c_str(), reply, body.data(), static_cast<int>(body.size())) != NATS_OK)
      fail(journal::error_kind::shortage, "out of memory; give this process more");
    return message{raw};
  }
  void check(natsStatus s) {
    if (s == NATS_OK) return;
    if (s == NATS_MAX_PAYLOAD)
      fail(journal::error_kind::invalid, "an event has more bytes than max_payload of the servers (" +
                                             std::to_string(most_bytes()) + "); send smaller ones, or raise it");
    give_up(std::string{"the connection to the servers was lost ("} + natsStatus_GetText(s) + "); it is made again");
  }
  void exchange_some(const std::vector<request>& all, std::size_t from, std::size_t to, std::vector<message>& replies) {
    const std::uint64_t first = next_;
    next_ += to - from;
    for (std::size_t i = from; i < to; ++i) {
      const std::string reply = prefix_ + std::to_string(first + i - from);
      message m = make(all[i].subject, reply.c_str(), all[i].body);
      if (!all[i].id.empty()) check(natsMsgHeader_Set(m.get(), "Nats-Msg-Id", all[i].id.c_str()));
      if (all[i].after)
        check(natsMsgHeader_Set(m.get(), "Nats-Expected-Last-Subject-Sequence", std::to_string(*all[i].after).c_str()));
      check(natsConnection_PublishMsg(connection_.get(), m.get()));
    }
    const time_point until = std::chrono::steady_clock::now() + options_.timeout;
    for (std::size_t missing = to - from; missing > 0;) {
      message m = next(until);
      if (!m) {
        give_up("the servers do not reply in time for stream " + options_.stream +
                "; see whether most of them are up and have the stream");
      }
      if (is_event(m)) {
        arrived_.push_back(std::move(m));
        continue;
      }
      const std::uint64_t number = number_at(subject_of(m));
      if (number < first || number >= first + (to - from)) continue;
      message& place = replies[from + static_cast<std::size_t>(number - first)];
      if (!place) --missing;
      place = std::move(m);
    }
  }
  // Null: none came in time.
  message next(time_point until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    natsMsg* raw = nullptr;
    const natsStatus s = natsSubscription_NextMsg(&raw, inbox_, std::max<std::int64_t>(left, 1));
    if (s == NATS_TIMEOUT) return nullptr;
    if (s == NATS_NO_RESPONDERS) {
      // The library keeps to itself which request it was. Others of this exchange may have had the same reply, which would be taken for
      // the reply to a later one: so the connection is made anew, with an inbox of its own.
      give_up("no server takes messages for stream " + options_.stream +
              ": it is missing, or its servers choose a leader, or they run without JetStream; see nats stream info");
    }
    check(s);
    return message{raw};
  }
  static bool is_event(const message& m) noexcept { return reply_of(m).starts_with("$JS.ACK."); }
  std::uint64_t number_at(std::string_view subject) const noexcept {
    return subject.starts_with(prefix_) ? number_of(subject.substr(prefix_.size())) : 0;
  }

  const options& options_;
  std::unique_ptr<natsConnection, destroy> connection_;
  natsSubscription* inbox_ = nullptr;
  std::string prefix_;
  std::vector<message> arrived_;  // events that came late
  std::uint64_t next_ = 1;
  std::size_t server_ = 0;
  int failures_ = 0;
  time_point next_try_{};
  journal::error last_{journal::error_kind::unreachable};
};

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
