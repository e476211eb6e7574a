// SPDX-License-Identifier: MIT
/// \file
/// `origins`: what a transport keeps for each origin, and all of its idle connections.
#pragma once

#include <again/beast/detail/connection.hpp>
#include <again/beast/detail/resources.hpp>
#include <again/core/clock.hpp>
#include <again/http/url.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace beast {
namespace detail {

/// Owns the idle connections: at most one for each attempt that an origin may have in flight. In the pool's turns.
class origins {
 public:
  origins(duration keep_idle, duration keep_at_most) noexcept : keep_idle_{keep_idle}, keep_at_most_{keep_at_most} {}

  /// The entry stays where it is for as long as it is needed.
  origin_entry& of(const http::origin& o) {
    if (last_ != nullptr && *last_origin_ == o) return *last_;
    auto known = all_.find(o);
    if (known == all_.end()) {
      if (all_.size() >= most_) {  // an origin out of use is forgotten, with what is known of its addresses
        last_ = nullptr;
        std::erase_if(all_, [](const auto& e) { return !e.second->needed(); });
        most_ = std::max(few, 2 * all_.size());
      }
      known = all_.emplace(o, std::make_unique<origin_entry>()).first;
    }
    last_ = known->second.get();
    last_origin_ = &known->first;
    return *last_;
  }
  /// The open connection used last, or null. Those that are too old, or no longer as we left them, are closed on the way.
  std::shared_ptr<connection> take_idle(origin_entry& entry, time_point now) noexcept {
    while (!entry.idle.empty()) {
      std::shared_ptr<connection> c = std::move(entry.idle.back());
      entry.idle.pop_back();
      // What ends a connection right behind its response may not have come yet: to ask the kernel so soon tells little.
      if (due(*c) > now && (now - c->idle_since < asked_after || c->silent())) return c;
      c->close();
    }
    return nullptr;
  }
  /// Without memory it is closed.
  void put_idle(origin_entry& entry, const std::shared_ptr<connection>& c, time_point now) noexcept {
    c->idle_since = now;
    try {
      entry.idle.push_back(c);
    } catch (const std::exception&) { c->close(); }
  }
  /// False: there is none.
  bool close_longest_idle() noexcept {
    origin_entry* where = nullptr;
    for (auto& [o, entry] : all_) {
      if (entry->idle.empty()) continue;
      if (where == nullptr || entry->idle.front()->idle_since < where->idle.front()->idle_since) where = entry.get();
    }
    if (where == nullptr) return false;
    where->idle.front()->close();
    where->idle.erase(where->idle.begin());
    return true;
  }
  /// Closes those opened before `when`: of one origin, or where they all lead to one peer of all.
  void close_older(origin_entry& entry, time_point when, bool one_peer) noexcept {
    const auto older = [when](const connection& c) { return c.opened_at() < when; };
    if (!one_peer) return close_if(entry, older);
    for (auto& [o, e] : all_) close_if(*e, older);
  }
  /// Closes those that are too old, and says when the next one will be; `never`: there is none.
  time_point sweep(time_point now) noexcept {
    time_point next = never;
    for (auto& [o, entry] : all_) {
      close_if(*entry, [&](const connection& c) {
        const time_point end = due(c);
        if (end > now) next = std::min(next, end);
        return end <= now;
      });
    }
    return next;
  }
  time_point due(const connection& c) const noexcept {
    return std::min(saturating_add(c.idle_since, keep_idle_), saturating_add(c.opened_at(), keep_at_most_));
  }
  /// Moves all jobs that wait for a connection.
  void take_waiting(again::detail::intrusive_list<send_job>& into) noexcept {
    for (auto& [o, entry] : all_) into.append(entry->waiting);
  }
  void clear() noexcept {
    for (auto& [o, entry] : all_) close_if(*entry, [](const connection&) { return true; });
    last_ = nullptr;
    all_.clear();
  }

 private:
  template <class Which> static void close_if(origin_entry& entry, const Which& which) noexcept {
    std::erase_if(entry.idle, [&](const std::shared_ptr<connection>& c) {
      const bool closes = which(*c);
      if (closes) c->close();
      return closes;
    });
  }

  static constexpr std::size_t few = 256;
  static constexpr duration asked_after = std::chrono::microseconds{100};
  const duration keep_idle_, keep_at_most_;
  std::map<http::origin, std::unique_ptr<origin_entry>> all_;
  std::size_t most_ = few;
  origin_entry* last_ = nullptr;  // the one looked up last, and its name
  const http::origin* last_origin_ = nullptr;
};

}  // namespace detail
}  // namespace beast
}  // namespace AGAIN_ABI
}  // namespace again
