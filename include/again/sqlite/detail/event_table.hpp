// SPDX-License-Identifier: MIT
/// \file
/// `event_table`: the members of a store as SQL, on one connection. Each is called inside a transaction. One that gives an error has changed
/// nothing; one that throws sql_failure is rolled back by whoever called it. One thread at a time.
///
/// No statement has a RETURNING: SQLite runs those as triggers, each with a savepoint of its own.
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
  std::vector<journal::event_record> latest_dead(std::size_t most) { return detail::latest_dead(db_, most); }
  /// Events that were taken and reached nobody are as before.
  void give_back(const std::vector<journal::event_record>& events);
  /// Deletes at most `most` finished events that are too old, or beyond the bytes that may be kept. Gives how many.
  std::int64_t discard(const options& o, wall_time now, std::int64_t most);

  database& db() noexcept { return db_; }

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
  /// The time that a statement finds; `no_time`: none.
  static wall_time next_of(statement& s) {
    const reset_after end{s};
    return s.step() ? s.time(0) : journal::no_time;
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
           "VALUES(?1, 0, CASE WHEN ?2 = x'' THEN 0 ELSE EXISTS(SELECT 1 FROM events INDEXED BY events_in_order WHERE "
           "order_key = ?2 AND order_key <> x'' AND state < 2) END, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
           "ON CONFLICT(id) DO NOTHING"};
  statement insert_payload_{db_, "INSERT INTO payloads VALUES(?1, ?2, ?3)"};
  // What a take gives is read first, in its order, and then leased as it was found.
  static constexpr const char* ended = "state = 1 AND leased_until <= ?1 ORDER BY leased_until, seq LIMIT ?2";
  static constexpr const char* ready = "state = 0 AND blocked = 0 AND due <= ?1 ORDER BY due, seq LIMIT ?2";
  static std::string to_read(const char* which) { return std::string{whole_events} + " WHERE " + which; }
  static std::string to_lease(const char* index, const char* which) {
    return std::string{"UPDATE events SET state = 1, worker = ?3, lease = ?4, leased_until = ?5 WHERE seq IN (SELECT "
                       "seq FROM events INDEXED BY "} +
           index + " WHERE " + which + ")";
  }
  statement read_ended_{db_, to_read(ended)}, lease_ended_{db_, to_lease("events_leased", ended)};
  statement read_ready_{db_, to_read(ready)}, lease_ready_{db_, to_lease("events_ready", ready)};
  statement find_{db_, std::string{whole_events} + " WHERE id = ?1"};
  statement first_end_{
      db_, "SELECT leased_until FROM events INDEXED BY events_leased WHERE state = 1 ORDER BY leased_until LIMIT 1"};
  statement first_due_{
      db_, "SELECT due FROM events INDEXED BY events_ready WHERE state = 0 AND blocked = 0 ORDER BY due LIMIT 1"};
  statement extend_{db_, std::string{"UPDATE events SET leased_until = ?4"} + mine + "state = 1"};
  statement extend_with_{db_, with_progress("UPDATE events SET leased_until = ?11, ", mine + std::string{"state = 1"})};
  statement later_{db_, with_progress("UPDATE events SET state = 0, due = ?11, ", mine + std::string{"state < 2"})};
  statement claimed_{db_, std::string{"SELECT seq, state, order_key, bytes FROM events"} + mine + "state > 0"};
  statement finish_{db_, with_progress("UPDATE events SET state = ?1, finished = ?2, status = ?3, reason = ?11, ",
                                       " WHERE seq = ?12")};
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
  for (const journal::new_event& given : events)
    if (given.event.id.empty()) return stored_result<journal::acknowledged>{unexpect, journal::missing_id()};
  for (const journal::new_event& given : events) {
    const journal::event_record r{given, now};
    const std::string only = packed(r.event.only), fields = packed(r.event.headers);
    const auto bytes = static_cast<std::int64_t>(r.event.id.size() + fields.size() + r.event.body.size());
    insert_.bind(1, r.event.id).bind(2, r.event.order_key).bind(3, r.event.key).bind(4, only);
    insert_.bind(5, r.created).bind(6, r.due).bind(7, r.deadline).bind(8, bytes);
    insert_.finish();
    const bool stored = db_.changes() == 1;
    ++(stored ? out.stored : out.repeated);
    if (!stored) continue;
    insert_payload_.bind(1, db_.last_row()).bind(2, fields).bind(3, r.event.body).finish();
    add(event_state::waiting, 1, bytes);
  }
  return out;
}

inline stored_result<journal::taken> event_table::take(std::size_t n, const journal::worker_lease& lease,
                                                       wall_time now) {
  n = std::min<std::size_t>(n, 1U << 20U);
  const wall_time until = journal::later_by(now, lease.span);
  journal::taken out;
  const auto take_from = [&](statement& read, statement& take) {
    const auto before = out.events.size(), room = n - before;
    {
      const reset_after end{read};
      read.bind(1, now).bind(2, static_cast<std::int64_t>(room));
      while (read.step()) out.events.push_back(record(read));
    }
    if (out.events.size() == before) return;
    take.bind(1, now).bind(2, static_cast<std::int64_t>(room));
    take.bind(3, lease.worker).bind(4, lease_ + 1).bind(5, until).finish();
    for (std::size_t i = before; i < out.events.size(); ++i) {
      journal::event_record& r = out.events[i];
      r.state = event_state::leased;
      r.lease = journal::lease_token{lease.worker, static_cast<std::uint64_t>(lease_ + 1)};
      r.leased_until = until;
    }
  };
  if (n > 0 && next_of(first_end_) <= now) take_from(read_ended_, lease_ended_);
  if (out.events.size() < n) take_from(read_ready_, lease_ready_);
  if (!out.events.empty()) ++lease_;
  const wall_time next = std::min(next_of(first_end_), next_of(first_due_));
  if (next != journal::no_time) out.next = next;
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
  const auto state = std::int64_t{static_cast<std::uint8_t>(as)};
  std::int64_t seq = 0, bytes = 0;
  std::string order_key;
  {
    const reset_after end{claimed_};
    bind_claim(claimed_, c);
    if (!claimed_.step()) return lost<void>(c);
    if (claimed_.number(1) == state) return {};  // recorded before
    if (claimed_.number(1) != std::int64_t{static_cast<std::uint8_t>(event_state::leased)}) return lost<void>(c);
    seq = claimed_.number(0);
    order_key = claimed_.bytes(2);
    bytes = claimed_.number(3);
  }
  finish_.bind(1, state).bind(2, now).bind(3, std::int64_t{how.status});
  bind_progress(finish_, how.progress);
  finish_.bind(11, how.reason).bind(12, seq).finish();
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
