// SPDX-License-Identifier: MIT
/// \file
/// `idle_connections`: the connections of one origin that no attempt uses, and how old they may get.
#pragma once

#include <again/core/clock.hpp>
#include <again/httplib/detail/connection.hpp>

#include <chrono>
#include <memory>
#include <new>
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

  /// The open one used last, which is the likeliest to live, or else a closed one that was costly to set up. Null: there is none.
  connection take() noexcept {
    std::vector<connection>& from = open_.empty() ? closed_ : open_;
    if (from.empty()) return nullptr;
    connection c = std::move(from.back());
    from.pop_back();
    return c;
  }
  /// Without memory it is not kept.
  void put(connection c, bool open) noexcept { move_to(open ? open_ : closed_, c); }
  bool empty() const noexcept { return open_.empty() && closed_.empty(); }

  /// The open one used longest ago; null: there is none.
  const httplib_connection* longest_idle() const noexcept { return open_.empty() ? nullptr : open_.front().get(); }
  /// Moves it out.
  connection take_longest_idle() {
    connection c = std::move(open_.front());
    open_.erase(open_.begin());
    return c;
  }
  /// Moves `c` to the end of `into`; without memory it is closed here.
  static void move_to(std::vector<connection>& into, connection& c) noexcept {
    try {
      into.push_back(std::move(c));
    } catch (const std::bad_alloc&) { c.reset(); }
  }
  /// Moves out those that have been idle or alive for too long.
  void take_stale(std::chrono::steady_clock::time_point now, const idle_limits& limits,
                  std::vector<connection>& into) noexcept {
    const auto stale = [&](const httplib_connection& c) { return limits.passed_by(c, now); };
    take_if(open_, stale, into);
    take_if(closed_, stale, into);
  }
  /// Moves out those that are open and were opened before `when`.
  void take_older(std::chrono::steady_clock::time_point when, std::vector<connection>& into) noexcept {
    take_if(open_, [&](const httplib_connection& c) { return c.opened_at() < when; }, into);
  }
  void take_all(std::vector<connection>& into) noexcept {
    const auto any = [](const httplib_connection&) { return true; };
    take_if(open_, any, into);
    take_if(closed_, any, into);
  }

 private:
  template <class Which>
  static void take_if(std::vector<connection>& from, const Which& which, std::vector<connection>& into) noexcept {
    for (connection& c : from) {
      if (which(*c)) move_to(into, c);
    }
    std::erase(from, nullptr);
  }

  std::vector<connection> open_, closed_;
};

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
