// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_worker`: one endpoint of a sink: its client, its policy, its rules and its numbers. What it may be sent, and when, is the
/// `dispatcher`'s.
#pragma once

#include <again/http/attempt_hook.hpp>
#include <again/http/body.hpp>
#include <again/http/client.hpp>
#include <again/http/error.hpp>
#include <again/http/message.hpp>
#include <again/http/transport.hpp>
#include <again/policy/policy.hpp>
#include <again/sink/detail/async_semaphore.hpp>
#include <again/sink/detail/counts.hpp>
#include <again/sink/event.hpp>
#include <again/sink/options.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <http::transport T> class endpoint_worker {
 public:
  endpoint_worker(T& through, endpoint e, endpoint_numbers& counted)
      : series{series_of(e.policy)},
        attempt{attempt_of(e.policy)},
        rules{e.rules},
        accept{e.accept},
        numbers{counted},
        client_{through,
                e.url.origin,
                {.limits = e.limits, .rules = e.rules, .headers = e.headers, .max_redirects = e.max_redirects}},
        target_{std::move(e.url.target)},
        each_attempt_{std::move(e.each_attempt)},
        drain_{.keep = e.keep_body},
        method_{e.method} {}

  /// The operation that sends `e` here.
  http::send_operation<T> send(const event& e, const http::body& content, bool keyed) const {
    http::request r{method_, target_};
    for (const http::headers::field& f : e.headers) r.header(f.name, f.value);
    r.body(content).accept(accept).status_decides(drain_);
    if (keyed) r.idempotency_key(e.key);
    if (each_attempt_) r.each_attempt(each_attempt_);
    return client_.send(std::move(r));
  }

  const checked_policy series;   ///< of all attempts, without the bound on one: an attempt also waits for its permit
  const checked_policy attempt;  ///< of one attempt: its bound alone
  const http::rules rules;
  const http::status_set accept;
  endpoint_numbers& numbers;
  async_semaphore turn{1};  ///< where endpoints keep an order

 private:
  static policy series_of(policy p) noexcept {
    p.attempt_timeout = forever;
    return p;
  }
  static policy attempt_of(const policy& p) noexcept {
    return {.attempts = 1, .attempt_timeout = attempt_bound(p), .deadline = forever};
  }

  http::client_over<T> client_;
  std::string target_;
  http::attempt_hook each_attempt_;
  http::drain_limits drain_;
  http::method method_;
};

/// In the order of the sink's constructor. A worker stays where it was made.
template <http::transport T> using endpoint_workers = std::deque<endpoint_worker<T>>;

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
