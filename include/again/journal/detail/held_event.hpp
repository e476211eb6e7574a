// SPDX-License-Identifier: MIT
/// \file
/// `held_event`: an event that a durable sink has leased, from its `take` until its end is recorded; `held_events`: all of them. One loop,
/// one thread.
#pragma once

#include <again/core/stop_token.hpp>
#include <again/journal/detail/durable_numbers.hpp>
#include <again/journal/detail/wakeup.hpp>
#include <again/journal/event_record.hpp>
#include <again/journal/store.hpp>

#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {
namespace detail {

class held_event;

/// Owned by the durable sink.
class held_events {
 public:
  explicit held_events(durable_numbers& n) : numbers_{n} {}

  std::size_t size() const noexcept { return by_id_.size(); }
  held_event* find(const std::string& id) const noexcept {
    const auto at = by_id_.find(id);
    return at == by_id_.end() ? nullptr : at->second;
  }
  std::vector<extension> extensions() const;
  void stop_all() noexcept;

  wakeup changed;     ///< there is room, or a key is free: for what takes events
  wakeup idle;        ///< none is left: for what waits for the end
  bool more = false;  ///< the last take got all that it had asked for: room alone is a reason to ask again

 private:
  friend class held_event;
  durable_numbers& numbers_;
  std::unordered_map<std::string, held_event*> by_id_;
};

/// Owned by the coroutine that delivers it.
class held_event {
 public:
  held_event(held_events& all, const event_record& r)
      : claim{r.claim()}, all_{all}, ordered_{!r.event.order_key.empty()} {
    all_.by_id_.emplace(claim.id, this);
    all_.numbers_.held.add(1);
  }
  held_event(const held_event&) = delete;
  held_event& operator=(const held_event&) = delete;
  ~held_event() {
    all_.by_id_.erase(claim.id);
    all_.numbers_.held.add(-1);
    if (all_.by_id_.empty()) all_.idle.wake();
    if (all_.more || ordered_) all_.changed.wake();
  }

  journal::claim claim;
  inplace_stop_source stop;  ///< of its delivery, not of what records its end
  bool lost = false;         ///< another worker has it

 private:
  held_events& all_;
  bool ordered_;
};

inline std::vector<extension> held_events::extensions() const {
  std::vector<extension> all;
  all.reserve(by_id_.size());
  for (const auto& [id, held] : by_id_) all.emplace_back(held->claim);
  return all;
}
inline void held_events::stop_all() noexcept {
  for (const auto& [id, held] : by_id_) held->stop.request_stop();
}

}  // namespace detail
}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
