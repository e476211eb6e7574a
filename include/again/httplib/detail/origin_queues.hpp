// SPDX-License-Identifier: MIT
/// \file
/// `lanes`: the lanes of a pool, one for each origin that is in use or of which a connection is kept. Guarded by the pool's lock.
#pragma once

#include <again/httplib/detail/origin_queue.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

class lanes {
 public:
  /// Stays where it is for as long as it is needed.
  lane& of(const origin& o) {
    if (const auto known = all_.find(o); known != all_.end()) return *known->second;
    if (all_.size() >= most_) {  // an origin that nobody uses is forgotten, its addresses' record with it
      std::erase_if(all_, [](const auto& l) { return !l.second->needed(); });
      most_ = std::max(few, 2 * all_.size());
    }
    return *all_.emplace(o, std::make_unique<lane>(o)).first->second;
  }
  std::size_t size() const noexcept { return all_.size(); }
  bool have_idle() const noexcept {
    for (const auto& [where, l] : all_) {
      if (l->has_idle()) return true;
    }
    return false;
  }
  /// Moves out the connections that have been idle or alive for too long, to be closed without the lock.
  void take_stale(lane::steady::time_point now, duration idle_limit, duration age_limit,
                  std::vector<lane::connection>& into) {
    for (auto& [where, l] : all_) l->take_stale(now, idle_limit, age_limit, into);
  }
  void take_all(std::vector<lane::connection>& into) {
    for (auto& [where, l] : all_) l->take_all(into);
  }
  /// Moves all that waits for a connection.
  void take_waiting(job_list& into) {
    for (auto& [where, l] : all_) into.take(l->waiting);
  }

 private:
  static constexpr std::size_t few = 256;
  std::map<origin, std::unique_ptr<lane>> all_;
  std::size_t most_ = few;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
