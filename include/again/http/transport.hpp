// SPDX-License-Identifier: MIT
/// \file
/// `transport`: what carries one attempt to a server and its response back, and the plain structs that go in.
///
/// A transport knows nothing of retries, rules and accepted statuses: a complete response is a value whatever its status.
/// `httplib_transport` is ours; a test writes its own in twenty lines (see tests/http/client.test.cpp).
#pragma once

#include <again/core/clock.hpp>
#include <again/coro/awaitable.hpp>
#include <again/http/error_kind.hpp>
#include <again/http/message.hpp>
#include <again/policy/verdict.hpp>

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

/// The bounds of one attempt. All are finite unless you say otherwise: an attempt never hangs.
struct send_limits {
  /// For the TCP connection, and again for each step of the TLS handshake. 5 s: a SYN lost twice (1 s, then 2 s more) still connects.
  duration connect = std::chrono::seconds{5};
  /// Without a byte, in either direction. 30 s: what load balancers allow a silent connection at least.
  duration idle = std::chrono::seconds{30};
  /// For the whole attempt, waiting for a connection included: what stops a response that drips. 60 s, as nginx gives an upstream.
  duration total = std::chrono::seconds{60};
  /// Bytes of response body. 16 MiB: large for a response, small for a memory.
  std::uint64_t max_body = std::uint64_t{16} << 20U;

  friend bool operator==(const send_limits&, const send_limits&) = default;
};

/// A request on its way: complete, valid, and shared by all attempts, so that whoever still works on an abandoned attempt
/// keeps what it reads alive.
class outgoing {
 public:
  outgoing(http::origin o, http::request r, http::send_limits l)
      : origin{std::move(o)}, request{std::move(r)}, limits{l} {}
  outgoing(const outgoing&) = delete;
  outgoing& operator=(const outgoing&) = delete;
  ~outgoing() = default;

  const http::origin origin;
  const http::request
      request;  ///< `request.fields(number)` are the header fields; Host and framing are the transport's
  const http::send_limits limits;

  /// The body for one attempt; give it back if nothing of it was read, so that an attempt that found no connection leaves
  /// even a one-shot body whole. Any thread.
  expected<body::reader, invalid> open_body() const {
    const std::lock_guard lock{mutex_};
    if (!unread_) return request.body().open();
    expected<body::reader, invalid> out{std::move(*unread_)};
    unread_.reset();
    return out;
  }
  void give_back(body::reader unread) const {
    const std::lock_guard lock{mutex_};
    unread_.emplace(std::move(unread));
  }
  /// An attempt failed on a connection that had been used before, and others may be as dead: the next attempt needs a fresh one.
  /// Thread: any.
  void need_fresh_connection(bool need) const noexcept { fresh_.store(need, std::memory_order_relaxed); }
  bool needs_fresh_connection() const noexcept { return fresh_.load(std::memory_order_relaxed); }
  /// What the rules need to know, now.
  request_facts facts() const {
    const std::lock_guard lock{mutex_};
    request_facts f = request.facts();
    f.replayable = f.replayable || unread_.has_value();
    return f;
  }

 private:
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
  std::string detail;               ///< half a sentence; no secrets
  std::optional<response> partial;  ///< what came of a response that was cut short
};
using send_result = expected<response, send_failure>;

/// `t.send(what, number)` gives a startable for attempt `number` (from 1) whose result is the response, or what became of it.
///
/// What is asked of the result: one `send` sends at most once, whatever happens. On `context.stop` it finishes at once,
/// as `deadline` or `timeout` where the context's deadline has passed (by its kind) and as `cancelled` otherwise, with the true reach.
/// Destroyed unfinished, it ends what runs without waiting. A response cut short is an error that holds what came.
template <class T>
concept transport = requires(T& t, std::shared_ptr<const outgoing> what, int number) {
  { t.send(std::move(what), number) } -> startable;
  requires std::same_as<typename decltype(t.send(std::move(what), number))::result_type, send_result>;
};

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
