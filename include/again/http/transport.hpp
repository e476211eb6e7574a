// SPDX-License-Identifier: MIT
/// \file
/// `transport`: the concept of what sends one attempt to a server and returns its response, and the structs that it takes.
///
/// A transport knows nothing of retries, rules and accepted statuses: a complete response is a value, whatever its status is.
/// `httplib_transport` is the default; tests/http/client.test.cpp has one of twenty lines.
#pragma once

#include <again/core/clock.hpp>
#include <again/coro/awaitable.hpp>
#include <again/http/error_kind.hpp>
#include <again/http/message.hpp>
#include <again/policy/verdict.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// Which addresses of a name a transport uses.
enum class address_family : std::uint8_t { any, ipv4, ipv6 };

/// The bounds of one attempt. All are finite by default, so that an attempt never hangs.
struct send_limits {
  /// For the TCP connection, and again for each step of the TLS handshake. 5 s: a SYN that is lost twice (1 s, then 2 s) connects.
  duration connect = std::chrono::seconds{5};
  /// Without a byte in either direction. 30 s: load balancers keep a silent connection at least as long.
  duration idle = std::chrono::seconds{30};
  /// For the whole attempt, with the wait for a connection: it ends a response that arrives byte by byte. 60 s, as in nginx.
  duration total = std::chrono::seconds{60};
  /// Bytes of response body. 16 MiB is large for a response and small for the memory of a machine.
  std::uint64_t max_body = std::uint64_t{16} << 20U;

  friend bool operator==(const send_limits&, const send_limits&) = default;
};

/// A request that is being sent: complete, valid, and shared by all attempts. A worker that still runs an abandoned attempt keeps
/// it alive. Threads: it is constant but for the body that was given back, which a mutex protects.
class outgoing {
 public:
  outgoing(http::origin o, http::request r, http::send_limits l)
      : origin{std::move(o)}, request{std::move(r)}, limits{l} {}
  /// One attempt of `all`, with a request that was prepared for it. What attempts leave for the next one is kept in `all`.
  outgoing(std::shared_ptr<const outgoing> all, http::request r)
      : origin{all->origin}, request{std::move(r)}, limits{all->limits}, all_{std::move(all)} {}
  outgoing(const outgoing&) = delete;
  outgoing& operator=(const outgoing&) = delete;
  ~outgoing() = default;

  const http::origin origin;
  /// `request.fields(number)` are the header fields to send; the transport adds Host and framing.
  const http::request request;
  const http::send_limits limits;

  /// Bytes of a response's body that are read at most.
  std::uint64_t max_body() const noexcept {
    const std::uint64_t most = request.max_body().value_or(limits.max_body);
    return request.drain() ? std::min(most, std::max(request.drain()->read, request.drain()->keep)) : most;
  }
  /// The body for one attempt. Give it back if nothing of it was read, so that an attempt without a connection leaves even a
  /// one-shot body for the next one. Thread: any.
  expected<body::reader, invalid> open_body() const {
    if (all_) return all_->open_body();
    const std::lock_guard lock{mutex_};
    if (!unread_) return request.body().open();
    expected<body::reader, invalid> out{std::move(*unread_)};
    unread_.reset();
    return out;
  }
  void give_back(body::reader unread) const {
    if (all_) return all_->give_back(std::move(unread));
    const std::lock_guard lock{mutex_};
    unread_.emplace(std::move(unread));
  }
  /// An attempt failed on a connection that had been used before, and others may be as dead: the next attempt needs a fresh one.
  /// Thread: any.
  void need_fresh_connection(bool need) const noexcept { kept().fresh_.store(need, std::memory_order_relaxed); }
  bool needs_fresh_connection() const noexcept { return kept().fresh_.load(std::memory_order_relaxed); }
  /// What the rules need to know at this moment. Thread: any.
  request_facts facts() const {
    if (all_) return all_->facts();
    const std::lock_guard lock{mutex_};
    request_facts f = request.facts();
    f.replayable = f.replayable || unread_.has_value();
    return f;
  }

 private:
  const outgoing& kept() const noexcept { return all_ ? *all_ : *this; }

  const std::shared_ptr<const outgoing> all_;  // null: this is it
  mutable std::mutex mutex_;
  mutable std::optional<body::reader> unread_;
  mutable std::atomic<bool> fresh_{false};
};

/// Why there is no complete response.
struct send_failure {
  send_failure(error_kind k, again::reach r, std::string d, std::optional<response> p = {})
      : kind{k}, reach{r}, detail{std::move(d)}, partial{std::move(p)} {}

  error_kind kind;
  again::reach reach;
  std::string detail;               ///< half a sentence on the cause, without secrets
  std::optional<response> partial;  ///< the part of a response that arrived before it was cut short
};
using send_result = expected<response, send_failure>;

/// `t.send(what, number)` returns a startable for attempt `number`, from 1, whose result is the response or a `send_failure`.
///
/// - One `send` sends the request at most once.
/// - Cancellation: on `context.stop` it finishes at once, with the true reach. The kind is `deadline` or `timeout` where the
///   context's deadline has passed (by the deadline's kind), else `cancelled`.
/// - Lifetime: destroyed before it has finished, it ends the attempt without waiting for it.
/// - A response that was cut short is a `send_failure` with the part that arrived. Where `request.drain()` is set, a response is complete
///   with its head: the body is read within these limits, and what ends the reading (a limit, the connection, `context.stop`) gives
///   the response, with `body_cut`.
template <class T>
concept transport = requires(T& t, std::shared_ptr<const outgoing> what, int number) {
  { t.send(std::move(what), number) } -> startable;
  requires std::same_as<typename decltype(t.send(std::move(what), number))::result_type, send_result>;
};

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
