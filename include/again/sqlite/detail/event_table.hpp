// SPDX-License-Identifier: MIT
/// \file
/// `event_table`: the members of a store as SQL, on one connection. Each is called inside a transaction; whoever calls it rolls back what
/// has failed. Throws sql_failure. One thread at a time.
#pragma once

#include <again/journal/event_record.hpp>
#include <again/journal/store.hpp>
#include <again/sqlite/detail/byte_list.hpp>
#include <again/sqlite/detail/database.hpp>
#include <again/sqlite/detail/event_edits.hpp>
#include <again/sqlite/detail/event_row.hpp>
#include <again/sqlite/options.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

using journal::event_state;
using journal::stored_result;

/// Events and their bytes in one state.
struct total {
  std::int64_t events = 0, bytes = 0;
};
/// By state; waiting and leased together at 0.
using totals = std::array<total, 4>;

class event_table {
 public:
  /// `lease_base`: the numbers of this process's leases are above it.
  event_table(database& db, std::int64_t lease_base) : db_{db}, lease_{lease_base} {}

  stored_result<journal::acknowledged> append(const std::vector<journal::new_event>& events, wall_time now);
  stored_result<journal::taken> take(std::size_t n, const journal::worker_lease& lease, wall_time now);
  stored_result<std::vector<journal::claim>> extend(const std::vector<journal::extension>& all, duration span,
                                                    wall_time now);
  stored_result<void> later(const journal::claim& c, wall_time due, const journal::progress& so_far);
  stored_result<void> finish(const journal::claim& c, event_state as, const journal::result& how, wall_time now);
  stored_result<std::optional<journal::event_record>> find(std::string_view id);
  /// As event_edits.hpp has it.
  void retry(std::string_view id, wall_time now) {
    retry_event(db_, id, now, [this](event_state s, std::int64_t n, std::int64_t bytes) { add(s, n, bytes); });
  }
  void discard(std::string_view id) {
    discard_event(db_, id, [this](event_state s, std::int64_t n, std::int64_t bytes) { add(s, n, bytes); });
  }
  /// Events that were taken and reached nobody are as before.
  void give_back(const std::vector<journal::event_record>& events);
  /// Deletes at most `most` finished events that are too old, or beyond the bytes that may be kept. Gives how many.
  std::int64_t discard(const options& o, wall_time now, std::int64_t most);

  /// What the transaction changes of the totals. Whoever begins or rolls back sets it back.
  totals delta{};
  /// Writes that down, as part of the transaction.
  void flush();

 private:
  // The first parameter of the progress, and so on: they stand in this order wherever progress is written.
  static constexpr const char* progress_columns = "attempts = ?4, deliveries = ?5, first_attempt = ?6, last_attempt = "
                                                  "?7, last_error = ?8, still_at = ?9, refused_by = ?10";
  void bind_progress(statement& s, const journal::progress& p) {
    still_at_ = packed(p.only);
    refused_by_ = packed(p.refused);
    s.bind(4, std::int64_t{p.attempts})
        .bind(5, std::int64_t{p.deliveries})
        .bind(6, p.first_attempt)
        .bind(7, p.last_attempt);
    s.bind(8, p.last_error).bind(9, still_at_).bind(10, refused_by_);
  }
  static void bind_claim(statement& s, const journal::claim& c) {
    s.bind(1, c.id).bind(2, c.token.worker).bind(3, static_cast<std::int64_t>(c.token.number));
  }
  template <class T> static stored_result<T> lost(const journal::claim& c) {
    return stored_result<T>{unexpect, journal::lost_lease(c)};
  }
  journal::event_record record(const statement& s) const { return event_of(s, db_.path()); }
  void add(event_state to, std::int64_t events, std::int64_t bytes) noexcept {
    total& t = delta[journal::finished(to) ? static_cast<std::size_t>(to) : 0];
    t.events += events;
    t.bytes += bytes;
  }
  std::string with_progress(const std::string& before, const std::string& after) const {
    return before + progress_columns + after;
  }

  database& db_;
  std::int64_t lease_;
  std::string still_at_, refused_by_;  // while they are bound

  static constexpr const char* mine = " WHERE id = ?1 AND worker = ?2 AND lease = ?3 AND ?3 > 0 AND ";
  statement insert_{
      db_, "INSERT INTO events(id, state, blocked, order_key, idempotency_key, only_at, created, due, deadline, bytes) "
           "VALUES(?1, 0, ?2 <> x'' AND EXISTS(SELECT 1 FROM events INDEXED BY events_in_order WHERE order_key = ?2 "
           "AND order_key <> x'' AND state < 2), ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(id) DO NOTHING RETURNING seq"};
  statement insert_payload_{db_, "INSERT INTO payloads VALUES(?1, ?2, ?3)"};
  statement ended_{db_, "SELECT seq FROM events INDEXED BY events_leased WHERE state = 1 AND leased_until <= ?1 ORDER "
                        "BY leased_until, seq LIMIT ?2"};
  statement due_{db_, "SELECT seq FROM events INDEXED BY events_ready WHERE state = 0 AND blocked = 0 AND due <= ?1 "
                      "ORDER BY due, seq LIMIT ?2"};
  statement lease_one_{db_, "UPDATE events SET state = 1, worker = ?2, lease = ?3, leased_until = ?4 WHERE seq = ?1"};
  statement read_{db_, std::string{whole_events} + " WHERE seq = ?1"};
  statement find_{db_, std::string{whole_events} + " WHERE id = ?1"};
  statement first_end_{
      db_, "SELECT leased_until FROM events INDEXED BY events_leased WHERE state = 1 ORDER BY leased_until LIMIT 1"};
  statement first_due_{
      db_, "SELECT due FROM events INDEXED BY events_ready WHERE state = 0 AND blocked = 0 ORDER BY due LIMIT 1"};
  statement extend_{db_, std::string{"UPDATE events SET leased_until = ?4"} + mine + "state = 1"};
  statement extend_with_{db_, with_progress("UPDATE events SET leased_until = ?11, ", mine + std::string{"state = 1"})};
  statement later_{db_, with_progress("UPDATE events SET state = 0, due = ?11, ", mine + std::string{"state < 2"})};
  statement finish_{db_, with_progress("UPDATE events SET state = ?11, finished = ?12, status = ?13, reason = ?14, ",
                                       mine + std::string{"state = 1 RETURNING order_key, bytes"})};
  statement was_finished_{db_, std::string{"SELECT 1 FROM events"} + mine + "state = ?4"};
  statement unblock_{db_, "UPDATE events SET blocked = 0 WHERE seq = (SELECT seq FROM events INDEXED BY "
                          "events_in_order WHERE order_key = ?1 "
                          "AND order_key <> x'' AND state < 2 ORDER BY seq LIMIT 1)"};
  statement give_back_{db_, std::string{"UPDATE events SET state = 0, lease = 0"} + mine + "state = 1"};
  statement oldest_{db_, "SELECT seq, bytes, finished FROM events INDEXED BY events_finished WHERE state = ?1 AND "
                         "state >= 2 ORDER BY finished LIMIT ?2"};
  statement delete_{db_, "DELETE FROM events WHERE seq = ?1"};
  statement delete_payload_{db_, "DELETE FROM payloads WHERE seq = ?1"};
  statement total_{db_, "UPDATE totals SET events = events + ?2, bytes = bytes + ?3 WHERE state = ?1"};
};

// ── definitions ──

inline stored_result<journal::acknowledged> event_table::append(const std::vector<journal::new_event>& events,
                                                                wall_time now) {
  journal::acknowledged out;
  for (const journal::new_event& given : events) {
    if (given.event.id.empty()) return stored_result<journal::acknowledged>{unexpect, journal::missing_id()};
    const journal::event_record r{given, now};
    const std::string only = packed(r.event.only), fields = packed(r.event.headers);
    const auto bytes = static_cast<std::int64_t>(r.event.id.size() + fields.size() + r.event.body.size());
    insert_.bind(1, r.event.id).bind(2, r.event.order_key).bind(3, r.event.key).bind(4, only);
    insert_.bind(5, r.created).bind(6, r.due).bind(7, r.deadline).bind(8, bytes);
    const reset_after end{insert_};
    const bool stored = insert_.step();
    const std::int64_t seq = stored ? insert_.number(0) : 0;
    ++(stored ? out.stored : out.repeated);
    if (!stored) continue;
    insert_payload_.bind(1, seq).bind(2, fields).bind(3, r.event.body).finish();
    add(event_state::waiting, 1, bytes);
  }
  return out;
}

inline stored_result<journal::taken> event_table::take(std::size_t n, const journal::worker_lease& lease,
                                                       wall_time now) {
  n = std::min<std::size_t>(n, 1U << 20U);
  std::vector<std::int64_t> found;
  for (statement* const from : {&ended_, &due_}) {
    const reset_after end{*from};
    from->bind(1, now).bind(2, static_cast<std::int64_t>(n - found.size()));
    while (found.size() < n && from->step()) found.push_back(from->number(0));
  }
  journal::taken out;
  if (!found.empty()) ++lease_;
  for (const std::int64_t seq : found) {
    lease_one_.bind(1, seq).bind(2, lease.worker).bind(3, lease_).bind(4, journal::later_by(now, lease.span)).finish();
    const reset_after end{read_};
    if (read_.bind(1, seq).step()) out.events.push_back(record(read_));
  }
  for (statement* const from : {&first_end_, &first_due_}) {
    const reset_after end{*from};
    if (from->step()) out.next = std::min(out.next.value_or(from->time(0)), from->time(0));
  }
  return out;
}

inline stored_result<std::vector<journal::claim>> event_table::extend(const std::vector<journal::extension>& all,
                                                                      duration span, wall_time now) {
  std::vector<journal::claim> gone;
  for (const journal::extension& e : all) {
    statement& s = e.progress ? extend_with_ : extend_;
    bind_claim(s, e.claim);
    if (e.progress) bind_progress(s, *e.progress);
    s.bind(e.progress ? 11 : 4, journal::later_by(now, span)).finish();
    if (db_.changes() == 0) gone.push_back(e.claim);
  }
  return gone;
}

inline stored_result<void> event_table::later(const journal::claim& c, wall_time due, const journal::progress& so_far) {
  bind_claim(later_, c);
  bind_progress(later_, so_far);
  later_.bind(11, due).finish();
  if (db_.changes() == 0) return lost<void>(c);
  return {};
}

inline stored_result<void> event_table::finish(const journal::claim& c, event_state as, const journal::result& how,
                                               wall_time now) {
  bind_claim(finish_, c);
  bind_progress(finish_, how.progress);
  finish_.bind(11, std::int64_t{static_cast<std::uint8_t>(as)}).bind(12, now);
  finish_.bind(13, std::int64_t{how.status}).bind(14, how.reason);
  const reset_after end{finish_};
  if (!finish_.step()) {
    const reset_after asked{was_finished_};
    bind_claim(was_finished_, c);
    const bool before = was_finished_.bind(4, std::int64_t{static_cast<std::uint8_t>(as)}).step();
    if (!before) return lost<void>(c);
    return {};
  }
  const std::string order_key{finish_.bytes(0)};
  const std::int64_t bytes = finish_.number(1);
  finish_.finish();
  if (!order_key.empty()) unblock_.bind(1, order_key).finish();
  add(event_state::waiting, -1, -bytes);
  add(as, 1, bytes);
  return {};
}

inline stored_result<std::optional<journal::event_record>> event_table::find(std::string_view id) {
  const reset_after end{find_};
  std::optional<journal::event_record> out;
  if (find_.bind(1, id).step()) out = record(find_);
  return out;
}

inline void event_table::give_back(const std::vector<journal::event_record>& events) {
  for (const journal::event_record& r : events) {
    const journal::claim c = r.claim();
    bind_claim(give_back_, c);
    give_back_.finish();
  }
}

inline std::int64_t event_table::discard(const options& o, wall_time now, std::int64_t most) {
  std::vector<std::int64_t> old;
  for (const auto& [state, keep] : {std::pair{event_state::done, &o.done}, std::pair{event_state::dead, &o.dead}}) {
    const std::int64_t number = static_cast<std::uint8_t>(state);
    std::int64_t bytes = number_of(db_, "SELECT bytes FROM totals WHERE state = " + std::to_string(number));
    const reset_after end{oldest_};
    oldest_.bind(1, number).bind(2, most);
    while (oldest_.step()) {
      const bool too_old = journal::later_by(oldest_.time(2), keep->age) <= now;
      if (!too_old && bytes <= static_cast<std::int64_t>(std::min<std::uint64_t>(keep->bytes, std::uint64_t{1} << 62U)))
        break;
      old.push_back(oldest_.number(0));
      bytes -= oldest_.number(1);
      add(state, -1, -oldest_.number(1));
    }
  }
  for (const std::int64_t seq : old) {
    delete_.bind(1, seq).finish();
    delete_payload_.bind(1, seq).finish();
  }
  return static_cast<std::int64_t>(old.size());
}

inline void event_table::flush() {
  for (std::size_t state = 0; state < delta.size(); ++state) {
    const total& change = delta[state];
    if (change.events == 0 && change.bytes == 0) continue;
    total_.bind(1, static_cast<std::int64_t>(state)).bind(2, change.events).bind(3, change.bytes).finish();
  }
}

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
