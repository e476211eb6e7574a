// SPDX-License-Identifier: MIT
/// \file
/// `event_record`: an event in a store with everything that has to survive a restart; `new_event`: one that is handed in.
///
/// All times are on the wall clock, because a steady clock means nothing after a restart. All are classes with constructors, so that they
/// may be written inside a `co_await` expression with g++ 12.
#pragma once

#include <again/core/clock.hpp>
#include <again/http/idempotency.hpp>
#include <again/sink/event.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace journal {

/// No time: no deadline, never attempted.
inline constexpr wall_time no_time = wall_time::max();

/// `t + d`, at most `no_time`. `d` may not be negative.
constexpr wall_time later_by(wall_time t, duration d) noexcept {
  return t.time_since_epoch() > duration::zero() && d > forever - t.time_since_epoch() ? no_time : t + d;
}

enum class event_state : std::uint8_t {
  waiting,  ///< until its due time, and until all earlier events of its order key are finished
  leased,   ///< with a worker
  done,     ///< finished: delivered
  dead,     ///< finished: not delivered
};
constexpr std::string_view name(event_state s) noexcept {
  switch (s) {
    case event_state::waiting: return "waiting";
    case event_state::leased: return "leased";
    case event_state::done: return "done";
    case event_state::dead: return "dead";
  }
  return "unknown";
}
constexpr bool finished(event_state s) noexcept { return s == event_state::done || s == event_state::dead; }

/// What is known of the attempts so far. Whoever records it hands in the whole of it, the earlier attempts included.
class progress {
 public:
  progress() = default;

  int attempts = 0;                    ///< sends, at all endpoints together
  int deliveries = 0;                  ///< how often a sink has tried and given up for the moment
  wall_time first_attempt = no_time;   ///< when a sink first began with it
  wall_time last_attempt = no_time;    ///< when the last one ended
  std::string last_error{};            ///< as the peer or the network said it: escape it where it is shown
  std::vector<std::string> only{};     ///< the endpoints that have not taken the event yet; empty: as the event says
  std::vector<std::string> refused{};  ///< the endpoints that will not take it: another attempt makes no sense there

  friend bool operator==(const progress&, const progress&) = default;
};

/// How an event has ended.
class result {
 public:
  result() = default;
  explicit result(journal::progress so_far, int code = 0, std::string why = {})
      : status{code}, reason{std::move(why)}, progress{std::move(so_far)} {}

  int status = 0;      ///< of the last response; 0: none
  std::string reason;  ///< of a dead event: why it was given up
  journal::progress progress;

  friend bool operator==(const result&, const result&) = default;
};

/// Who has an event. The number is different for each `take` of a store: of two leases of one event the later one counts.
class lease_token {
 public:
  lease_token() = default;
  explicit lease_token(std::string who, std::uint64_t n) : worker{std::move(who)}, number{n} {}

  std::string worker;
  std::uint64_t number = 0;

  friend bool operator==(const lease_token&, const lease_token&) = default;
};

/// An event and the lease by which a worker has it.
class claim {
 public:
  claim() = default;
  explicit claim(std::string event_id, lease_token by) : id{std::move(event_id)}, token{std::move(by)} {}

  std::string id;
  lease_token token;

  friend bool operator==(const claim&, const claim&) = default;
};

/// An event that is handed to a store. Its id is its identity: a store that knows the id keeps what it has.
class new_event {
 public:
  new_event() = default;
  explicit new_event(again::event e, wall_time until = no_time) : event{std::move(e)}, deadline{until} {}

  again::event event;            ///< with an id. Where it has no Idempotency-Key, the store makes one and keeps it
  wall_time deadline = no_time;  ///< after this time it is not sent any more
  wall_time due = wall_time{};   ///< not before this time; in the past: at once
};

class event_record {
 public:
  event_record() = default;
  explicit event_record(new_event from, wall_time now)
      : event{std::move(from.event)}, created{now}, due{from.due > now ? from.due : now}, deadline{from.deadline} {
    if (event.key.empty()) event.key = http::fresh_idempotency_key();
  }

  again::event event;
  wall_time created{};
  wall_time due{};
  wall_time deadline = no_time;
  event_state state = event_state::waiting;
  lease_token lease{};       ///< the last one; it counts while `state` is `leased`
  wall_time leased_until{};  ///< then another worker may take it
  wall_time finished_at = no_time;
  journal::result result{};  ///< `result.progress` also while it is not finished

  journal::claim claim() const { return journal::claim{event.id, lease}; }
};

}  // namespace journal
}  // namespace AGAIN_ABI
}  // namespace again
