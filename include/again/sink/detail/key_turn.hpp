// SPDX-License-Identifier: MIT
/// \file
/// `key_turn`: events of one order key are delivered one after another. One loop, one thread.
#pragma once

#include <again/sink/detail/async_semaphore.hpp>

#include <cstddef>
#include <string>
#include <unordered_map>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// The keys of which there is an event in the sink. Nodes do not move, so that a `key_turn` can refer to one.
struct key_line {
  async_semaphore turn{1};
  std::size_t events = 0;  // that wait for their turn or have it
};
using key_lines = std::unordered_map<std::string, key_line>;

/// One event's place in the line of its key. The destructor leaves the line; the last event of a key takes its line away.
class key_turn {
 public:
  key_turn() = default;
  key_turn(const key_turn&) = delete;
  key_turn& operator=(const key_turn&) = delete;
  ~key_turn() {
    if (line_ == nullptr) return;
    held_ = {};
    if (--line_->second.events == 0) all_->erase(all_->find(line_->first));
  }

  /// Enters the line of `key`. Then `wait` is awaited; where it is true, `begin` takes the turn.
  void enter(key_lines& all, const std::string& key) {
    line_ = &*all.try_emplace(key).first;
    all_ = &all;
    ++line_->second.events;
  }
  waiter wait() noexcept { return line_->second.turn.acquire(); }
  void begin() noexcept { held_ = permit{line_->second.turn}; }

 private:
  key_lines* all_ = nullptr;
  key_lines::value_type* line_ = nullptr;
  permit held_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
