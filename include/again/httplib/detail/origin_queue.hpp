// SPDX-License-Identifier: MIT
/// \file
/// `lane`: what a pool keeps for one origin: idle connections, how many are in use, who waits for one, and which address was good.
#pragma once

#include <again/httplib/detail/connection.hpp>
#include <again/httplib/detail/send_job.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// Guarded by the pool's lock, except where said.
class lane {
 public:
  using steady = std::chrono::steady_clock;
  using connection = std::unique_ptr<httplib_connection>;

  explicit lane(origin o) : where{std::move(o)} {}

  const origin where;      ///< constant: needs no lock
  std::size_t in_use = 0;  ///< attempts that run or may run now
  job_list waiting;        ///< jobs above the limit

  /// The connection used last, which is the likeliest to live; null if there is none.
  connection take_idle() noexcept {
    if (idle_.empty()) return nullptr;
    connection c = std::move(idle_.back());
    idle_.pop_back();
    return c;
  }
  /// One that is closed is worth keeping where it was costly to set up; it is taken last.
  void put_idle(connection c, bool open) { idle_.insert(open ? idle_.end() : idle_.begin(), std::move(c)); }
  bool has_idle() const noexcept { return !idle_.empty(); }
  /// Somebody uses it or waits, or a connection is kept.
  bool needed() const noexcept { return in_use > 0 || !waiting.empty() || has_idle(); }
  /// Moves out what has been idle or alive for too long, to be closed without the lock.
  void take_stale(steady::time_point now, duration idle_limit, duration age_limit, std::vector<connection>& into) {
    const auto stale = [&](const connection& c) {
      return now - c->idle_since() >= idle_limit || now - c->opened_at() >= age_limit;
    };
    for (connection& c : idle_) {
      if (stale(c)) into.push_back(std::move(c));
    }
    std::erase(idle_, nullptr);
  }
  void take_all(std::vector<connection>& into) {
    for (connection& c : idle_) into.push_back(std::move(c));
    idle_.clear();
  }

  /// The order in which to try: the address that worked last, or else the one after the one that failed last; then the rest.
  void order(std::vector<std::string>& addresses) const {
    auto first = std::find(addresses.begin(), addresses.end(), good_);
    if (first == addresses.end()) {
      first = std::find(addresses.begin(), addresses.end(), bad_);
      if (first != addresses.end()) ++first;
    }
    if (first != addresses.end()) std::rotate(addresses.begin(), first, addresses.end());
  }
  void worked(const std::string& address) { good_ = address; }
  void failed(const std::string& address) {
    bad_ = address;
    if (good_ == address) good_.clear();
  }

 private:
  std::vector<connection> idle_;
  std::string good_, bad_;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
