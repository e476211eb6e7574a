// SPDX-License-Identifier: MIT
/// \file
/// `durable_observer`: is told how each event leaves a durable sink, after its store has recorded it, and of calls of the store that
/// failed. It is the place for results, dead letter files and alarms.
///
/// - Thread: the loop's. Lifetime: outlives the sink. What it throws is dropped.
/// - A crash may come between the record and the call: what has to be certain is in the store.
#pragma once

#include <again/coro/task.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>
#include <again/sink/delivery.hpp>

namespace again {
inline namespace AGAIN_ABI {

/// How a durable sink lets go of an event. A class with a constructor, so that it may be written inside a `co_await` expression with g++ 12.
class event_end {
 public:
  explicit event_end(const journal::event_record& r, journal::event_state how, delivery* d)
      : record{r}, state{how}, last{d} {}

  const journal::event_record&
      record;                  ///< with all attempts in `result`; its own state and lease are those before the end
  journal::event_state state;  ///< `done`, `dead`, or `waiting`: given back, and due again at `record.due`
  delivery* last;              ///< its last delivery, which may be moved from; null: this process made none
};

class durable_observer {
 public:
  durable_observer() = default;
  durable_observer(const durable_observer&) = delete;
  durable_observer& operator=(const durable_observer&) = delete;
  virtual ~durable_observer() = default;

  /// Awaited before another event takes the place of this one: an observer that waits holds up the taking of events.
  virtual task<> ended(event_end) { co_return; }
  /// Each call that failed, also those that are made again. Appends are not among them: their caller has the error.
  virtual void store_failed(const journal::error&) {}
};

}  // namespace AGAIN_ABI
}  // namespace again
