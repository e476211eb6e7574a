// SPDX-License-Identifier: MIT
/// \file
/// `tracked_event`: an event in the sink, from `deliver` to its result. However its coroutine ends, also where it is destroyed, the
/// event is counted once, is written down where it was not delivered, and leaves every line.
#pragma once

#include <again/coro/context.hpp>
#include <again/coro/scheduler.hpp>
#include <again/http/idempotency.hpp>
#include <again/sink/delivery.hpp>
#include <again/sink/detail/async_semaphore.hpp>
#include <again/sink/detail/counts.hpp>
#include <again/sink/detail/dispatcher.hpp>
#include <again/sink/detail/key_turn.hpp>
#include <again/sink/options.hpp>

#include <cstddef>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

/// Endpoints, by their place in the sink's order.
using targets = std::vector<std::size_t>;

/// What all events of a sink share. One loop, one thread, but for the numbers, which are read from any.
struct sink_state {
  explicit sink_state(sink_options o)
      : options{std::move(o)},
        numbers{options.name},
        keys{largest_share(options)},
        intake{events_in_sink(options)},
        attempts{options} {}

  const sink_options options;
  sink_numbers numbers;
  key_lines keys;
  async_semaphore intake;  // for events that are accepted and have not ended
  dispatcher attempts;
};

class tracked_event {
 public:
  /// `named`: the event is meant for each of these endpoints; null: for any one of the sink's.
  tracked_event(sink_state& s, const context& ctx, event e, const targets* named)
      : result{std::move(e)}, sink_{s}, home_{*ctx.scheduler}, named_{named} {}
  tracked_event(const tracked_event&) = delete;
  tracked_event& operator=(const tracked_event&) = delete;
  ~tracked_event() {
    if (!ended_ && !given_back) {
      if (result.outcomes.empty())
        result.not_begun = begun_ ? stop_reason::cancelled_in_attempt : stop_reason::cancelled_before_start;
      write_down();
      if (result.accepted) {
        sink_.numbers.abandon(home_.now() - since_);
      } else {
        sink_.numbers.cancelled.add();
      }
    }
    if (result.accepted) (begun_ ? sink_.numbers.in_flight : sink_.numbers.queued).add(-1);
  }

  /// It has a permit of `intake`: it is the sink's now.
  void accept() {
    result.accepted = true;
    accepted_ = permit{sink_.intake};
    since_ = home_.now();
    if (result.event.key.empty() && sink_.options.idempotency_keys) result.event.key = http::fresh_idempotency_key();
    sink_.numbers.accepted.add();
    sink_.numbers.queued.add(1);
  }
  /// Its first attempt is about to be sent, wherever. May be called again.
  void begin() noexcept {
    if (std::exchange(begun_, true)) return;
    sink_.numbers.queued.add(-1);
    sink_.numbers.in_flight.add(1);
  }
  bool begun() const noexcept { return begun_; }
  /// The result, after the event was counted and, where it was not delivered, written down. Its places are still held.
  delivery end() {
    ended_ = true;
    if (result.accepted) result.elapsed = home_.now() - since_;
    if (!result.ok() && !given_back) write_down();
    sink_.numbers.ended(result);
    if (sink_.options.observer != nullptr) sink_.options.observer->finished(result);
    delivery out = std::move(result);
    result.accepted = out.accepted;
    return out;
  }
  /// Ends an event that was not accepted.
  delivery refuse(counter& as, stop_reason why) {
    as.add();
    return end_before_start(why);
  }
  /// Ends an event for which no delivery was begun.
  delivery end_before_start(stop_reason why) {
    result.not_begun = why;
    return end();
  }

  key_turn& turn() noexcept { return turn_; }

  delivery result;
  bool given_back = false;  // the caller has it back and keeps it: there is no dead letter

 private:
  void write_down() noexcept {
    dead_letter_file* const file = sink_.options.dead_letters;
    if (file == nullptr) return;
    bool done = false;
    try {
      done = file->write(addressed(), home_.wall_now());
    } catch (...) {  // out of memory: as lost as on a full disk
    }
    if (addressed_) result.event.only.clear();
    (done ? sink_.numbers.written : sink_.numbers.lost).add();
    result.dead_letter = done ? dead_letter::written : dead_letter::lost;
  }

  // The letter names the endpoints, as they were chosen for this event and a replay chooses anew.
  const delivery& addressed() {
    const auto& endpoints = sink_.numbers.endpoints;
    if (named_ == nullptr || endpoints.size() < 2 || !result.event.only.empty()) return result;
    addressed_ = true;
    if (result.outcomes.empty()) {
      for (const std::size_t at : *named_) result.event.only.push_back(endpoints[at].name);
    } else {
      for (const endpoint_outcome& o : result.outcomes)
        if (!o.result) result.event.only.emplace_back(o.endpoint);
    }
    return result;
  }

  sink_state& sink_;
  scheduler& home_;
  const targets* named_;
  bool addressed_ = false;
  bool begun_ = false;
  bool ended_ = false;
  time_point since_;  // of its acceptance
  permit accepted_;
  key_turn turn_;
};

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again
