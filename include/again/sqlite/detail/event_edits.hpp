// SPDX-License-Identifier: MIT
/// \file
/// What a person does to one event of a journal, as SQL: sends it again, or throws it away. Called inside a transaction; whoever calls it
/// rolls back what has failed. `count(state, events, bytes)` is told what changes of the totals. Throws sql_failure: `invalid` with a
/// sentence where there is no such event, or where it may not be changed now.
#pragma once

#include <again/core/clock.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>
#include <again/sqlite/detail/database.hpp>
#include <again/sqlite/detail/event_row.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

struct edited_event {
  std::int64_t seq, bytes;
  journal::event_state state;
  std::string order_key;
};

inline sql_failure refused_edit(std::string why) {
  return sql_failure{journal::error{journal::error_kind::invalid, std::move(why)}};
}
inline sql_failure leased_now(std::string_view id) {
  return refused_edit("event " + std::string{id} + " is being delivered; wait for the end of this delivery");
}
inline edited_event find_for_edit(database& db, std::string_view id) {
  statement s{db, "SELECT seq, bytes, state, order_key FROM events WHERE id = ?1"};
  if (!s.bind(1, id).step()) throw refused_edit("there is no event " + std::string{id});
  return {s.number(0), s.number(1), static_cast<journal::event_state>(s.small(2)), std::string{s.bytes(3)}};
}

/// The events that died last, at most `most`, the latest first; without header fields and body.
inline std::vector<journal::event_record> latest_dead(database& db, std::size_t most) {
  statement s{db, std::string{events_alone} + " WHERE state = 3 ORDER BY finished DESC LIMIT ?1"};
  s.bind(1, static_cast<std::int64_t>(std::min<std::size_t>(most, 1U << 20U)));
  std::vector<journal::event_record> out;
  while (s.step()) out.push_back(event_of(s, db.path()));
  return out;
}

/// Makes the event due at `now`. A dead one waits again, at the endpoints that have not taken it, with its attempts kept; a deadline that
/// has passed is dropped. Where a later event of its order key is at the front, it comes after that one.
template <class Count> void retry_event(database& db, std::string_view id, wall_time now, Count count) {
  const edited_event e = find_for_edit(db, id);
  if (e.state == journal::event_state::done)
    throw refused_edit("event " + std::string{id} + " is done: every endpoint has taken it");
  statement s{db, "UPDATE events SET due = ?2, deadline = CASE WHEN deadline <= ?2 THEN ?3 ELSE deadline END, "
                  "still_at = CASE WHEN refused_by = x'' THEN still_at ELSE CAST(still_at || refused_by AS BLOB) END, "
                  "refused_by = x'', reason = x'', finished = 0, state = 0, blocked = CASE WHEN state < 2 THEN blocked "
                  "ELSE order_key <> x'' AND EXISTS(SELECT 1 FROM events AS e INDEXED BY events_in_order WHERE "
                  "e.order_key = events.order_key AND e.order_key <> x'' AND e.state < 2) END WHERE seq = ?1"};
  s.bind(1, e.seq).bind(2, now).bind(3, journal::no_time).finish();
  if (e.state != journal::event_state::dead) return;
  count(journal::event_state::dead, -1, -e.bytes);
  count(journal::event_state::waiting, 1, e.bytes);
}

/// Forgets the event. Nothing remembers its id.
template <class Count> void discard_event(database& db, std::string_view id, Count count) {
  const edited_event e = find_for_edit(db, id);
  statement event{db, "DELETE FROM events WHERE seq = ?1"};
  event.bind(1, e.seq).finish();
  statement payload{db, "DELETE FROM payloads WHERE seq = ?1"};
  payload.bind(1, e.seq).finish();
  count(e.state, -1, -e.bytes);
  if (journal::finished(e.state) || e.order_key.empty()) return;
  statement next{db,
                 "UPDATE events SET blocked = 0 WHERE seq = (SELECT seq FROM events INDEXED BY events_in_order WHERE "
                 "order_key = ?1 AND order_key <> x'' AND state < 2 ORDER BY seq LIMIT 1)"};
  next.bind(1, e.order_key).finish();
}

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
