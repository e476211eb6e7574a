// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_delivery`: one event at one endpoint (or, in turns, at one endpoint after the other): the permit that it holds, and
/// what its retry sends.
#pragma once

#include <again/http/client.hpp>
#include <again/http/transport.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/async_semaphore.hpp>
#include <again/sink/detail/endpoint_worker.hpp>
#include <again/sink/options.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Endpoints, by their place in the sink's order.
using targets = std::vector<std::size_t>;

template <http::transport T> class endpoint_delivery {
 public:
  /// Adopts a permit of the worker at `at`. `rotating`: the endpoints that a retry may move to; null: it stays.
  endpoint_delivery(endpoint_workers<T>& workers, const sink_options& options, const event& e,
                    const http::body& content, std::size_t at, const targets* rotating)
      : workers_{workers},
        options_{options},
        event_{e},
        content_{content},
        at_{at},
        rotating_{rotating},
        permit_{workers[at].permits} {
    here().numbers.in_flight.add(1);
  }
  endpoint_delivery(const endpoint_delivery&) = delete;
  endpoint_delivery& operator=(const endpoint_delivery&) = delete;
  ~endpoint_delivery() {
    if (running_) here().numbers.cut_off(made_ > 0);
    here().numbers.in_flight.add(-1);
  }

  /// The next attempt.
  auto next() {
    if (std::exchange(move_on_, false)) move();
    http::send_operation<T>& send = operation();
    running_ = true;
    return send();
  }
  /// An attempt has ended, and it is decided what comes next.
  void seen(const attempt_record& r) {
    running_ = false;
    ++made_;
    trace_.push(r);
    here().numbers.attempted(r);
    move_on_ = !r.ok && (options_.move_on == moving::any || r.reach != reach::answered);
    if (options_.observer != nullptr) options_.observer->attempted(event_, here().numbers.name, r);
  }
  endpoint_outcome outcome(endpoint_outcome::result_type result, duration elapsed) {
    return {here().numbers.name, std::move(result), made_, elapsed, trace_};
  }

 private:
  endpoint_worker<T>& here() noexcept { return workers_[at_]; }

  // To the next endpoint that has a permit; where none has, the delivery stays, as it has one here. Where endpoints keep an order it
  // stays too: at another endpoint it would come after events that were accepted later, and here one of those would come before it.
  void move() {
    if (rotating_ == nullptr || options_.order == ordering::per_endpoint) return;
    const std::size_t n = rotating_->size();
    std::size_t from = 0;
    while (from < n && (*rotating_)[from] != at_) ++from;
    for (std::size_t i = 1; i < n; ++i) {
      const std::size_t to = (*rotating_)[(from + i) % n];
      if (!workers_[to].permits.try_acquire()) continue;
      here().numbers.in_flight.add(-1);
      at_ = to;
      permit_ = permit{workers_[to].permits};
      here().numbers.in_flight.add(1);
      return;
    }
  }
  // Made once for each endpoint, so that an attempt knows its number there.
  http::send_operation<T>& operation() {
    for (auto& [at, send] : sends_)
      if (at == at_) return send;
    return sends_.emplace_back(at_, here().send(event_, content_, options_.idempotency_keys)).second;
  }

  endpoint_workers<T>& workers_;
  const sink_options& options_;
  const event& event_;
  const http::body& content_;
  std::size_t at_;
  const targets* rotating_;
  permit permit_;
  std::vector<std::pair<std::size_t, http::send_operation<T>>> sends_;
  int made_ = 0;          // attempts that have ended
  bool running_ = false;  // an attempt has begun and has not ended
  bool move_on_ = false;  // before the next attempt
  attempt_trace trace_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
