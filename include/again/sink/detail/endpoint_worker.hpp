// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_worker`: one endpoint of a sink: its client, its policy, its permits and its numbers.
#pragma once

#include <again/http/body.hpp>
#include <again/http/client.hpp>
#include <again/http/message.hpp>
#include <again/http/transport.hpp>
#include <again/policy/policy.hpp>
#include <again/sink/detail/async_semaphore.hpp>
#include <again/sink/detail/counts.hpp>
#include <again/sink/event.hpp>
#include <again/sink/options.hpp>

#include <cstddef>
#include <deque>
#include <string>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

template <http::transport T> class endpoint_worker {
 public:
  endpoint_worker(T& through, endpoint e, const sink_options& o, endpoint_numbers& counted)
      : policy{e.policy},
        permits{o.order == ordering::per_endpoint ? std::size_t{1} : static_cast<std::size_t>(e.in_flight)},
        numbers{counted},
        client_{through,
                e.url.origin,
                {.limits = e.limits, .rules = e.rules, .headers = e.headers, .max_redirects = e.max_redirects}},
        target_{std::move(e.url.target)},
        accept_{e.accept},
        method_{e.method} {}

  /// The operation that sends `e` here.
  http::send_operation<T> send(const event& e, const http::body& content, bool keyed) const {
    http::request r{method_, target_};
    for (const http::headers::field& f : e.headers) r.header(f.name, f.value);
    r.body(content).accept(accept_);
    if (keyed) r.idempotency_key(e.key);
    return client_.send(std::move(r));
  }

  const checked_policy policy;
  async_semaphore permits;
  endpoint_numbers& numbers;

 private:
  http::client_over<T> client_;
  std::string target_;
  http::status_set accept_;
  http::method method_;
};

/// In the order of the sink's constructor. A worker stays where it was made.
template <http::transport T> using endpoint_workers = std::deque<endpoint_worker<T>>;

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
