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
///   that the other one holds in memory. The process that has the store edits with `store::retry` and `store::discard`.
/// - Each call is one transaction, on the disk when it gives its result.
/// - Errors: results are `expected<void, journal::error>`: those of `store::open`, and `invalid` with a sentence where there is no such
///   event, or where it is done.
/// - Thread: one at a time. Calls block.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>
#include <again/sqlite/detail/event_edits.hpp>
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
    return changed([&] {
      detail::retry_event(db(), id, now, [this](auto state, auto n, auto bytes) { count(state, n, bytes); });
    });
  }
  /// Forgets the event, whatever its state. Nothing remembers its id.
  result discard(std::string_view id) {
    return changed(
        [&] { detail::discard_event(db(), id, [this](auto state, auto n, auto bytes) { count(state, n, bytes); }); });
  }

 private:
  explicit editor(std::unique_ptr<detail::journal_file> f) noexcept : file_{std::move(f)} {}
  detail::database& db() noexcept { return file_->db(); }
  void count(journal::event_state state, std::int64_t events, std::int64_t bytes) {
    detail::statement s{db(), "UPDATE totals SET events = events + ?2, bytes = bytes + ?3 WHERE state = ?1"};
    const std::int64_t row = journal::finished(state) ? static_cast<std::uint8_t>(state) : 0;
    s.bind(1, row).bind(2, events).bind(3, bytes).finish();
  }
  template <class Change> result changed(Change change) {
    try {
      db().run("BEGIN IMMEDIATE");
      file_->still_good();
      change();
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
