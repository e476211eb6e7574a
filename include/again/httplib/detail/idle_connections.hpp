// SPDX-License-Identifier: MIT
/// \file
/// `idle_connections`: the connections of one origin that no attempt uses, and how old they may get.
#pragma once

#include <again/core/clock.hpp>
#include <again/httplib/detail/connection.hpp>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

/// When a connection is closed that no attempt uses.
struct idle_limits {
  duration idle{};  ///< since its last attempt
  duration age{};   ///< since it was opened

  bool passed_by(const httplib_connection& c, std::chrono::steady_clock::time_point now) const noexcept {
    return now - c.idle_since() >= idle || now - c.opened_at() >= age;
  }
};

/// Owns them. Guarded by the pool's lock; what is moved out is closed without it.
class idle_connections {
 public:
  using connection = std::unique_ptr<httplib_connection>;

  /// The one used last, which is the likeliest to live; null if there is none.
  connection take() noexcept {
    if (all_.empty()) return nullptr;
    connection c = std::move(all_.back());
    all_.pop_back();
    return c;
  }
  /// One that is closed is worth keeping where it was costly to set up; it is taken last.
  void put(connection c, bool open) { all_.insert(open ? all_.end() : all_.begin(), std::move(c)); }
  bool empty() const noexcept { return all_.empty(); }

  void take_stale(std::chrono::steady_clock::time_point now, const idle_limits& limits, std::vector<connection>& into) {
    for (connection& c : all_) {
      if (limits.passed_by(*c, now)) into.push_back(std::move(c));
    }
    std::erase(all_, nullptr);
  }
  void take_all(std::vector<connection>& into) {
    for (connection& c : all_) into.push_back(std::move(c));
    all_.clear();
  }

 private:
  std::vector<connection> all_;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
