// SPDX-License-Identifier: MIT
/// \file
/// `key_turn`: events of one order key are delivered one after another, and only so many of them are in the sink at a time, so that a
/// slow key leaves room for the others. One loop, one thread.
#pragma once

#include <again/sink/detail/async_semaphore.hpp>

#include <cstddef>
#include <string>
#include <unordered_map>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// The line of one order key.
struct key_line {
  explicit key_line(std::size_t places_in_sink) noexcept : places{places_in_sink} {}
  async_semaphore places;   // for events that are in the sink, or about to be accepted
  async_semaphore turn{1};  // for the one that is delivered
  std::size_t events = 0;   // that use this line
};

/// The keys of which there is an event in the sink or before it.
class key_lines {
 public:
  using all = std::unordered_map<std::string, key_line>;  // nodes do not move: a `key_turn` refers to one

  explicit key_lines(std::size_t places_for_each) noexcept : places_{places_for_each} {}
  all::value_type& line_of(const std::string& key) { return *lines_.try_emplace(key, places_).first; }
  void erase(const std::string& key) { lines_.erase(lines_.find(key)); }
  /// Refuses events that wait for a place.
  void close() noexcept {
    for (auto& [key, line] : lines_) line.places.close();
  }

 private:
  std::size_t places_;
  all lines_;
};

/// One event's place in the line of its key; without `enter`, an event without an order. The destructor leaves the line; the last event
/// of a key takes its line away.
class key_turn {
 public:
  key_turn() = default;
  key_turn(const key_turn&) = delete;
  key_turn& operator=(const key_turn&) = delete;
  ~key_turn() {
    if (line_ == nullptr) return;
    turn_ = {};
    place_ = {};
    if (--line_->second.events == 0) lines_->erase(line_->first);
  }

  void enter(key_lines& lines, const std::string& key) {
    line_ = &lines.line_of(key);
    lines_ = &lines;
    ++line_->second.events;
  }
  bool entered() const noexcept { return line_ != nullptr; }

  // The place comes first, then the turn. Each is waited for, and then taken.
  bool try_place() noexcept {
    if (line_ == nullptr) return true;
    if (!line_->second.places.try_acquire()) return false;
    take_place();
    return true;
  }
  waiter wait_for_place() noexcept { return line_->second.places.acquire(); }
  void take_place() noexcept { place_ = permit{line_->second.places}; }
  waiter wait_for_turn() noexcept { return line_->second.turn.acquire(); }
  void take_turn() noexcept { turn_ = permit{line_->second.turn}; }

 private:
  key_lines* lines_ = nullptr;
  key_lines::all::value_type* line_ = nullptr;
  permit place_, turn_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
