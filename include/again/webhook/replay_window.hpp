// SPDX-License-Identifier: MIT
/// \file
/// `replay_window`: remembers the ids of verified messages for as long as a copy of one would pass `verify`, so that a replayed message
/// is not handled twice.
///
/// An honest sender sends an id again too, where our response was lost. So a repeated id is no error: respond 2xx and do nothing. Where
/// handling it failed, `forget` it, so that the next attempt is handled. Retries come for days; to handle an id once in all that time,
/// keep it in your database.
///
/// Memory: at most `capacity` ids. Thread: one at a time.
#pragma once

#include <again/core/clock.hpp>
#include <again/webhook/verify.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace webhook {

enum class admission : std::uint8_t {
  first,     ///< handle it
  repeated,  ///< it was admitted before: respond 2xx and do nothing
  full,      ///< as many ids as there is room for: respond 503, so that it comes again
};

class replay_window {
 public:
  /// 100 000 ids take some 20 MB. Only messages that were verified take room, so a stranger cannot fill it.
  explicit replay_window(duration tolerance = default_tolerance, std::size_t capacity = 100'000)
      : tolerance_{tolerance}, capacity_{capacity} {}

  admission admit(const received& message, wall_time now) {
    drop_old(now);
    if (known_.contains(message.id)) return admission::repeated;
    if (known_.size() >= capacity_) return admission::full;
    // A second more, since `verify` compares whole seconds.
    const wall_time end = message.sent + tolerance_ + std::chrono::seconds{1};
    const auto at = known_.emplace(message.id, ends_.end()).first;
    try {
      at->second = ends_.emplace(end, &at->first);
    } catch (...) {
      known_.erase(at);
      throw;
    }
    return admission::first;
  }
  /// The message was not handled after all: it counts as the first one again.
  void forget(const std::string& id) noexcept {
    const auto at = known_.find(id);
    if (at == known_.end()) return;
    ends_.erase(at->second);
    known_.erase(at);
  }
  std::size_t size() const noexcept { return known_.size(); }

 private:
  using ends = std::multimap<wall_time, const std::string*>;

  void drop_old(wall_time now) noexcept {
    while (!ends_.empty() && ends_.begin()->first < now) {
      const auto at = known_.find(*ends_.begin()->second);
      ends_.erase(ends_.begin());
      known_.erase(at);
    }
  }

  duration tolerance_;
  std::size_t capacity_;
  std::unordered_map<std::string, ends::iterator> known_;
  ends ends_;  // refers to the ids in `known_`, which stay where they are
};

}  // namespace webhook
}  // namespace AGAIN_ABI
}  // namespace again
