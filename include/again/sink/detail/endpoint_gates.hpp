// SPDX-License-Identifier: MIT
/// \file
/// `endpoint_gates`: all endpoints of a sink, and what they together mean for an attempt that waits: where it may go, and why it may not.
/// One loop, one thread.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/stop_reason.hpp>
#include <again/sink/detail/attempt_waiter.hpp>
#include <again/sink/detail/endpoint_gate.hpp>
#include <again/sink/endpoint_state.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

class endpoint_gates {
 public:
  using gate = endpoint_gate;

  explicit endpoint_gates(std::size_t most) noexcept : most_waiting{most} {}

  void add(dispatcher& d, const endpoint& e, endpoint_numbers& n) { all_.emplace_back(d, e, n); }
  std::size_t size() const noexcept { return all_.size(); }
  gate& operator[](std::size_t at) noexcept { return all_[at]; }
  const gate& operator[](std::size_t at) const noexcept { return all_[at]; }
  auto begin() noexcept { return all_.begin(); }
  auto end() noexcept { return all_.end(); }

  // May it have one of the `free` places, of so many in all? An equal share is its own. Of the shares of the others that are not closed,
  // half stays free for them: they find room at once, and one that is used alone has most of the places.
  bool leaves_room(const gate& g, std::size_t places, std::size_t free) const noexcept {
    const std::size_t open = std::max<std::size_t>(all_.size() - closed, 1);
    if (g.taken < (places + open - 1) / open) return true;
    const std::size_t half = std::max<std::size_t>(places / open / 2, 1);
    std::size_t kept = 0;
    for (const gate& other : all_)
      if (&other != &g && !other.closed()) kept += half - std::min(half, other.taken);
    return free > kept;
  }
  static bool repeats(const attempt_waiter& w, std::size_t at) noexcept {
    return w.asks().retry && (w.asks().rotating == nullptr || w.asks().rotating->been(at));
  }
  bool accepts(const attempt_waiter& w, std::size_t at) const noexcept {
    const rotation& r = *w.asks().rotating;
    if (!r.tried(at)) return true;
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (!r.tried(i) && !all_[i].closed()) return false;  // it waits for that one
    return true;
  }
  // Is that so of the endpoint that it is for, or, in turns, of all?
  template <class Is> bool everywhere(const attempt_waiter& w, Is is) const noexcept {
    return w.asks().rotating == nullptr ? is(all_[w.asks().at]) : std::all_of(all_.begin(), all_.end(), is);
  }
  bool shut_for(const attempt_waiter& w) const noexcept {
    return everywhere(w, [](const gate& g) { return g.closed(); });
  }
  bool held_for(const attempt_waiter& w) const noexcept {
    return everywhere(w, [](const gate& g) { return g.health.held(); });
  }
  // Why it may not even wait.
  std::optional<stop_reason> turned_away(const attempt_waiter& w) const noexcept {
    if (everywhere(w, [](const gate& g) { return g.health.disabled(); })) return stop_reason::endpoint_disabled;
    if (gives_back && held_for(w)) return stop_reason::endpoint_paused;
    return std::nullopt;
  }
  // Is it the retry budget alone that keeps it back?
  bool too_dear(const attempt_waiter& w, time_point now) noexcept {
    for (std::size_t at = 0; at < all_.size(); ++at) {
      if (w.asks().rotating == nullptr ? w.asks().at != at : all_[at].closed()) continue;
      if (!repeats(w, at) || all_[at].may_repeat(now)) return false;
    }
    return true;
  }
  time_point opens_for(const attempt_waiter& w) const noexcept {
    if (w.asks().rotating == nullptr) return all_[w.asks().at].health.opens_at();
    time_point first = never;
    for (const gate& g : all_) first = std::min(first, g.health.opens_at());
    return first;
  }
  // Is there nothing to wait for but the end of circuit breakers?
  bool breaker_shuts(const attempt_waiter& w) const noexcept {
    return everywhere(w, [](const gate& g) { return g.closed() && g.shown != endpoint_state::paused; });
  }
  stop_reason why_shut(const attempt_waiter& w) const noexcept {
    if (held_for(w)) return turned_away(w).value_or(stop_reason::endpoint_paused);
    return breaker_shuts(w) ? stop_reason::breaker_open : stop_reason::deadline_too_near;
  }
  // More attempts than their share of the sink wait for an endpoint, with so many `more`?
  bool crowded(const gate& g, std::size_t more) const noexcept {
    return all_.size() > 1 && g.closed() && g.waiting + more > most_waiting;
  }
  // The same of an endpoint that is slow, where a store keeps the events: its line is older than another's.
  bool stalled(const gate& g, time_point now) const noexcept {
    const auto age = [now](const gate& of) {
      return of.lines.firsts.empty() ? duration::zero() : now - of.lines.firsts.front()->waits_since();
    };
    if (!gives_back || g.waiting < most_waiting || age(g) < std::chrono::milliseconds{100}) return false;
    return std::any_of(all_.begin(), all_.end(),
                       [&](const gate& other) { return !other.closed() && age(other) < age(g) / 2; });
  }
  stop_reason why_crowded(const attempt_waiter& w) const noexcept {
    if (held_for(w)) return stop_reason::endpoint_paused;
    return breaker_shuts(w) ? stop_reason::breaker_open : stop_reason::overloaded;
  }
  const std::size_t most_waiting;  // for one endpoint
  std::size_t closed = 0;          // gates
  bool gives_back = false;         // a store keeps what does not wait here

 private:
  std::deque<gate> all_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
