// SPDX-License-Identifier: MIT
/// \file
/// `sqlite::editor`: changes a resting journal by hand: sends an event again, or throws it away.
///
/// ```cpp
/// auto opened = again::sqlite::editor::open("/var/lib/orders/events.db");
/// if (!opened) return complain(opened.error().text);            // "…: is open in another process (pid 71); end that one, or …"
/// auto changed = opened->retry("41", now);
/// ```
///
/// - It is the one process that has the journal, as a store is: beside a running one its changes would be unknown to the leases and numbers
///   that the other one holds in memory.
/// - Each call is one transaction, on the disk when it gives its result.
/// - Errors: results are `expected<void, journal::error>`: those of `store::open`, and `invalid` with a sentence where there is no such
///   event, or where it is done.
/// - Thread: one at a time. Calls block.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>
#include <again/sqlite/detail/journal_file.hpp>
#include <again/sqlite/options.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {

class editor {
 public:
  using result = expected<void, journal::error>;

  /// Opens the file, or makes it.
  static expected<editor, journal::error> open(const std::string& path, const options& o = {}) {
    try {
      return editor{std::make_unique<detail::journal_file>(path, o)};
    } catch (const detail::sql_failure& f) { return unexpected<journal::error>{f.why}; }
  }

  /// Makes the event due at `now`. A dead one waits again, at the endpoints that have not taken it, with its attempts kept; a deadline that
  /// has passed is dropped. Where a later event of its order key is at the front, it comes after that one.
  result retry(std::string_view id, wall_time now) {
    return changed(id, [&](const found& e) {
      if (e.state == journal::event_state::done)
        throw refused("event " + std::string{id} + " is done: every endpoint has taken it");
      const bool dead = e.state == journal::event_state::dead;
      detail::statement s{
          db(), "UPDATE events SET due = ?2, deadline = CASE WHEN deadline <= ?2 THEN ?3 ELSE deadline END, "
                "still_at = CASE WHEN refused_by = x'' THEN still_at ELSE CAST(still_at || refused_by AS BLOB) END, "
                "refused_by = x'', reason = x'', finished = 0, state = 0, blocked = CASE WHEN state < 2 THEN blocked "
                "ELSE order_key <> x'' AND EXISTS(SELECT 1 FROM events AS e INDEXED BY events_in_order WHERE "
                "e.order_key = events.order_key AND e.order_key <> x'' AND e.state < 2) END WHERE seq = ?1"};
      s.bind(1, e.seq).bind(2, now).bind(3, journal::no_time).finish();
      if (dead) {
        count(3, -1, -e.bytes);
        count(0, 1, e.bytes);
      }
    });
  }
  /// Forgets the event, whatever its state. Nothing remembers its id.
  result discard(std::string_view id) {
    return changed(id, [&](const found& e) {
      detail::statement event{db(), "DELETE FROM events WHERE seq = ?1"};
      event.bind(1, e.seq).finish();
      detail::statement payload{db(), "DELETE FROM payloads WHERE seq = ?1"};
      payload.bind(1, e.seq).finish();
      count(journal::finished(e.state) ? std::int64_t{static_cast<std::uint8_t>(e.state)} : 0, -1, -e.bytes);
      if (journal::finished(e.state) || e.order_key.empty()) return;
      detail::statement next{db(), "UPDATE events SET blocked = 0 WHERE seq = (SELECT seq FROM events INDEXED BY "
                                   "events_in_order WHERE order_key = ?1 AND order_key <> x'' AND state < 2 ORDER BY "
                                   "seq LIMIT 1)"};
      next.bind(1, e.order_key).finish();
    });
  }

 private:
  struct found {
    std::int64_t seq, bytes;
    journal::event_state state;
    std::string order_key;
  };

  explicit editor(std::unique_ptr<detail::journal_file> f) noexcept : file_{std::move(f)} {}
  detail::database& db() noexcept { return file_->db(); }
  static detail::sql_failure refused(std::string why) {
    return detail::sql_failure{journal::error{journal::error_kind::invalid, std::move(why)}};
  }
  void count(std::int64_t state, std::int64_t events, std::int64_t bytes) {
    detail::statement s{db(), "UPDATE totals SET events = events + ?2, bytes = bytes + ?3 WHERE state = ?1"};
    s.bind(1, state).bind(2, events).bind(3, bytes).finish();
  }
  template <class Change> result changed(std::string_view id, Change change) {
    try {
      db().run("BEGIN IMMEDIATE");
      file_->still_good();
      detail::statement s{db(), "SELECT seq, bytes, state, order_key FROM events WHERE id = ?1"};
      if (!s.bind(1, id).step()) throw refused("there is no event " + std::string{id});
      const found e{s.number(0), s.number(1), static_cast<journal::event_state>(s.small(2)), std::string{s.bytes(3)}};
      s.reset();
      change(e);
      db().run("COMMIT");
      return {};
    } catch (const detail::sql_failure& f) {
      db().rollback();
      return unexpected<journal::error>{f.why};
    }
  }

  std::unique_ptr<detail::journal_file> file_;
};

}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
