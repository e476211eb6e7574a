// SPDX-License-Identifier: MIT
/// \file
/// `event_table`: the members of a store as SQL, on one connection. Each is called inside a transaction. One that gives an error has changed
/// nothing; one that throws sql_failure is rolled back by whoever called it. One thread at a time.
///
/// Leases are in the `lease_book`, not in the file: there a leased event waits, with the due time that it had. What a claim has recorded is
/// written with the claim, which may record it once more.
///
/// No statement has a RETURNING: SQLite runs those as triggers, each with a savepoint of its own.
#pragma once

#include <again/journal/event_record.hpp>
#include <again/journal/store.hpp>
#include <again/sqlite/detail/byte_list.hpp>
#include <again/sqlite/detail/database.hpp>
#include <again/sqlite/detail/event_edits.hpp>
#include <again/sqlite/detail/event_row.hpp>
#include <again/sqlite/detail/lease_book.hpp>
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
  stored_result<std::optional<journal::event_record>> find(const std::string& id);
  /// As event_edits.hpp has it. One that a worker has is not changed: its delivery would go on.
  void retry(const std::string& id, wall_time now) {
    refuse_leased(id);
    look_at_all();
    retry_event(db_, id, now, [this](event_state s, std::int64_t n, std::int64_t bytes) { add(s, n, bytes); });
  }
  void discard(const std::string& id) {
    refuse_leased(id);
    look_at_all();
    discard_event(db_, id, [this](event_state s, std::int64_t n, std::int64_t bytes) { add(s, n, bytes); });
  }
  std::vector<journal::event_record> latest_dead(std::size_t most) { return detail::latest_dead(db_, most); }
  /// Events that were taken and reached nobody are as before.
  void give_back(const std::vector<journal::event_record>& events);
  /// Deletes at most `most` finished events that are too old, or beyond the bytes that may be kept. Gives how many.
  std::int64_t discard(const options& o, wall_time now, std::int64_t most);

  database& db() noexcept { return db_; }

  /// Events may be due that were not: the next take looks at all of them.
  void look_at_all() noexcept { seen_ = {}; }

  // What a transaction changes apart from the file.
  /// Of the totals.
  totals delta{};
  struct mark {
    totals delta;
    std::size_t leases;
  };
  mark here() const noexcept { return {delta, leases_.mark()}; }
  void roll_back(const mark& to) noexcept {
    delta = to.delta;
    leases_.roll_back(to.leases);
    look_at_all();
  }
  /// Writes the totals down, as part of the transaction.
  void flush();
  /// It was committed.
  void settle() noexcept { leases_.settle(); }

 private:
  /// A place among the events that are ready, in the order of `take`.
  struct place {
    wall_time due = wall_time::min();
    std::int64_t seq = 0;
    friend auto operator<=>(const place&, const place&) = default;
  };
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
  static void bind_token(statement& s, int at, const journal::lease_token& t) {
    s.bind(at, t.worker).bind(at + 1, static_cast<std::int64_t>(t.number));
  }
  /// Null: the claim does not count.
  const lease* claimed(const journal::claim& c) const {
    const lease* const found = leases_.find(c.id);
    return found != nullptr && found->token == c.token ? found : nullptr;
  }
  void refuse_leased(const std::string& id) const {
    if (leases_.find(id) != nullptr) throw leased_now(id);
  }
  /// An event may have become ready at that place.
  void look_from(const place& at) noexcept {
    if (at <= seen_) seen_ = {at.due, at.seq - 1};
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
  /// Whether the claim has led to that state before; then the row.
  bool recorded(const journal::claim& c, event_state as, std::int64_t& seq);
  /// The first one of the order key that is not finished.
  void let_next_go(const std::string& order_key);
  std::string with_progress(const std::string& before, const std::string& after) const {
    return before + progress_columns + after;
  }

  database& db_;
  std::int64_t lease_;
  lease_book leases_;
  place seen_;                         // all events that are ready up to here are leased
  std::string still_at_, refused_by_;  // while they are bound

  statement insert_{
      db_, "INSERT INTO events(id, state, blocked, order_key, idempotency_key, only_at, created, due, deadline, bytes) "
           "VALUES(?1, 0, CASE WHEN ?2 = x'' THEN 0 ELSE EXISTS(SELECT 1 FROM events INDEXED BY events_in_order WHERE "
           "order_key = ?2 AND order_key <> x'' AND state < 2) END, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
           "ON CONFLICT(id) DO NOTHING"};
  statement insert_payload_{db_, "INSERT INTO payloads VALUES(?1, ?2, ?3)"};
  statement ready_{db_, "SELECT due, seq FROM events INDEXED BY events_ready WHERE state = 0 AND blocked = 0 AND "
                        "(due, seq) > (?1, ?2) ORDER BY due, seq"};
  statement read_{db_, std::string{whole_events} + " WHERE seq = ?1"};
  statement find_{db_, std::string{whole_events} + " WHERE id = ?1"};
  statement note_{db_, with_progress("UPDATE events SET ", " WHERE seq = ?1")};
  statement later_{db_, with_progress("UPDATE events SET due = ?11, worker = ?2, lease = ?3, ", " WHERE seq = ?1")};
  statement recorded_{db_,
                      "SELECT seq FROM events WHERE id = ?1 AND worker = ?2 AND lease = ?3 AND ?3 > 0 AND state = ?4"};
  statement finish_{db_,
                    with_progress("UPDATE events SET state = ?1, finished = ?2, status = ?3, reason = ?11, worker = "
                                  "?13, lease = ?14, ",
                                  " WHERE seq = ?12")};
  statement first_of_key_{db_, "SELECT due, seq FROM events INDEXED BY events_in_order WHERE order_key = ?1 AND "
                               "order_key <> x'' AND state < 2 ORDER BY seq LIMIT 1"};
  statement unblock_{db_, "UPDATE events SET blocked = 0 WHERE seq = ?1"};
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
    const std::int64_t seq = db_.last_row();
    insert_payload_.bind(1, seq).bind(2, fields).bind(3, r.event.body).finish();
    look_from({r.due, seq});
    add(event_state::waiting, 1, bytes);
  }
  return out;
}

inline stored_result<journal::taken> event_table::take(std::size_t n, const journal::worker_lease& worker,
                                                       wall_time now) {
  n = std::min<std::size_t>(n, 1U << 20U);
  const journal::lease_token token{worker.worker, static_cast<std::uint64_t>(lease_ + 1)};
  const wall_time until = journal::later_by(now, worker.span);
  journal::taken out;
  const auto give = [&](std::int64_t seq) {
    const reset_after end{read_};
    if (!read_.bind(1, seq).step())
      throw sql_failure{explained(SQLITE_CORRUPT, db_.path(), "an event is in an index alone, or has no payload")};
    journal::event_record& r = out.events.emplace_back(record(read_));
    r.state = event_state::leased;
    r.lease = token;
    r.leased_until = until;
    leases_.add(r.event.id, lease{seq, bytes_of(read_), r.event.order_key, token, until});
  };
  for (const std::int64_t seq : leases_.ended(now, n)) give(seq);
  wall_time next = journal::no_time;
  {
    const reset_after end{ready_};
    ready_.bind(1, seen_.due).bind(2, seen_.seq);
    while (ready_.step()) {
      const place at{ready_.time(0), ready_.number(1)};
      if (!leases_.has(at.seq)) {
        if (out.events.size() == n || at.due > now) {
          next = at.due;
          break;
        }
        give(at.seq);
      }
      seen_ = at;
    }
  }
  if (!out.events.empty()) ++lease_;
  next = std::min(next, leases_.first_end());
  if (next != journal::no_time) out.next = next;
  return out;
}

inline stored_result<std::vector<journal::claim>> event_table::extend(const std::vector<journal::extension>& all,
                                                                      duration span, wall_time now) {
  std::vector<journal::claim> gone;
  for (const journal::extension& e : all) {
    const lease* const mine = claimed(e.claim);
    if (mine == nullptr) {
      gone.push_back(e.claim);
      continue;
    }
    if (e.progress) {
      bind_progress(note_, *e.progress);
      note_.bind(1, mine->seq).finish();
    }
    leases_.extend(e.claim.id, journal::later_by(now, span));
  }
  return gone;
}

inline stored_result<void> event_table::later(const journal::claim& c, wall_time due, const journal::progress& so_far) {
  std::int64_t seq = 0;
  if (const lease* const mine = claimed(c)) {
    seq = mine->seq;
  } else if (!recorded(c, event_state::waiting, seq)) {
    return lost<void>(c);
  }
  later_.bind(1, seq);
  bind_token(later_, 2, c.token);
  bind_progress(later_, so_far);
  later_.bind(11, due).finish();
  leases_.remove(c.id);
  look_from({due, seq});
  return {};
}

inline stored_result<void> event_table::finish(const journal::claim& c, event_state as, const journal::result& how,
                                               wall_time now) {
  std::int64_t seq = 0;
  const lease* const mine = claimed(c);
  if (mine == nullptr) return recorded(c, as, seq) ? stored_result<void>{} : lost<void>(c);
  finish_.bind(1, std::int64_t{static_cast<std::uint8_t>(as)}).bind(2, now).bind(3, std::int64_t{how.status});
  bind_progress(finish_, how.progress);
  finish_.bind(11, how.reason).bind(12, mine->seq);
  bind_token(finish_, 13, c.token);
  finish_.finish();
  if (!mine->order_key.empty()) let_next_go(mine->order_key);
  add(event_state::waiting, -1, -mine->bytes);
  add(as, 1, mine->bytes);
  leases_.remove(c.id);
  return {};
}

inline bool event_table::recorded(const journal::claim& c, event_state as, std::int64_t& seq) {
  if (leases_.find(c.id) != nullptr) return false;  // somebody has it again
  const reset_after end{recorded_};
  bind_claim(recorded_, c);
  if (!recorded_.bind(4, std::int64_t{static_cast<std::uint8_t>(as)}).step()) return false;
  seq = recorded_.number(0);
  return true;
}

inline void event_table::let_next_go(const std::string& order_key) {
  place next;
  {
    const reset_after end{first_of_key_};
    if (!first_of_key_.bind(1, order_key).step()) return;
    next = {first_of_key_.time(0), first_of_key_.number(1)};
  }
  unblock_.bind(1, next.seq).finish();
  look_from(next);
}

inline stored_result<std::optional<journal::event_record>> event_table::find(const std::string& id) {
  const reset_after end{find_};
  std::optional<journal::event_record> out;
  if (!find_.bind(1, id).step()) return out;
  out = record(find_);
  if (const lease* const held = leases_.find(id)) {
    out->state = event_state::leased;
    out->lease = held->token;
    out->leased_until = held->until;
  }
  return out;
}

inline void event_table::give_back(const std::vector<journal::event_record>& events) {
  for (const journal::event_record& r : events)
    if (claimed(r.claim()) != nullptr) leases_.remove(r.event.id);
  look_at_all();
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
