// SPDX-License-Identifier: MIT
/// \file
/// `origin_queue`: what a pool keeps for one origin. `origin_queues`: all of them.
#pragma once

#include <again/http/url.hpp>
#include <again/httplib/detail/idle_connections.hpp>
#include <again/httplib/detail/send_job.hpp>
#include <again/net/detail/address_order.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Owns the origin's idle connections. Guarded by the pool's lock, except where said.
struct origin_queue {
  explicit origin_queue(http::origin o) : origin{std::move(o)} {}

  const http::origin origin;  ///< any thread
  address_order addresses;    ///< any thread: it has its own lock
  std::size_t in_use = 0;     ///< attempts that run or may run now
  job_list waiting;           ///< jobs above the limit of connections
  idle_connections idle;

  /// An attempt uses it or waits in it, or a connection is kept.
  bool needed() const noexcept { return in_use > 0 || !waiting.empty() || !idle.empty(); }
};

/// One for each origin that is in use or of which a connection is kept. Guarded by the pool's lock.
class origin_queues {
 public:
  /// The queue stays where it is for as long as it is needed.
  origin_queue& of(const origin& o) {
    if (const auto known = all_.find(o); known != all_.end()) return *known->second;
    if (all_.size() >= most_) {  // an origin out of use is forgotten, with what is known of its addresses
      std::erase_if(all_, [](const auto& q) { return !q.second->needed(); });
      most_ = std::max(few, 2 * all_.size());
    }
    return *all_.emplace(o, std::make_unique<origin_queue>(o)).first->second;
  }
  std::size_t size() const noexcept { return all_.size(); }
  bool have_idle() const noexcept {
    return std::any_of(all_.begin(), all_.end(), [](const auto& q) { return !q.second->idle.empty(); });
  }
  /// Moves out the connections that have been idle or alive for too long, to be closed without the lock.
  void take_stale(std::chrono::steady_clock::time_point now, const idle_limits& limits,
                  std::vector<idle_connections::connection>& into) {
    for (auto& [origin, q] : all_) q->idle.take_stale(now, limits, into);
  }
  /// Moves out the idle connections opened before `when`.
  void take_older(std::chrono::steady_clock::time_point when, std::vector<idle_connections::connection>& into) {
    for (auto& [origin, q] : all_) q->idle.take_older(when, into);
  }
  /// Moves out the open connection that has been idle for longest; null: there is none.
  idle_connections::connection take_longest_idle() {
    idle_connections* where = nullptr;
    for (auto& [origin, q] : all_) {
      const auto* const c = q->idle.longest_idle();
      if (c != nullptr && (where == nullptr || c->idle_since() < where->longest_idle()->idle_since())) where = &q->idle;
    }
    return where != nullptr ? where->take_longest_idle() : nullptr;
  }
  void take_idle(std::vector<idle_connections::connection>& into) {
    for (auto& [origin, q] : all_) q->idle.take_all(into);
  }
  /// Moves all jobs that wait for a connection.
  void take_waiting(job_list& into) {
    for (auto& [origin, q] : all_) into.append(q->waiting);
  }

 private:
  static constexpr std::size_t few = 256;
  std::map<origin, std::unique_ptr<origin_queue>> all_;
  std::size_t most_ = few;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
