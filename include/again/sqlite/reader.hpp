// SPDX-License-Identifier: MIT
/// \file
/// `sqlite::reader`: looks into a journal, also while another process delivers what is in it. It changes nothing.
///
/// ```cpp
/// auto opened = again::sqlite::reader::open("/var/lib/orders/events.db");
/// if (!opened) return complain(opened.error().text);
/// auto seen = opened->each([](const again::journal::event_record& r) { fmt::print("{}\n", r.event.id); return true; });
/// ```
///
/// - An event that the other process has leased is shown as waiting: leases are in its memory alone, and end with it.
/// - What one call gives is the state of one moment; the next call may give a later one. It holds up no writer. While a call runs, the
///   write-ahead log cannot be written back and grows.
/// - Errors: results are `expected<…, journal::error>`: `unreachable` where there is no such file, `version`, `corrupt`, `read_only` where
///   the folder may not be written and another program is not at work (SQLite then cannot make its index of the log), `locked`, `io`.
/// - Thread: one at a time. Calls block.
/// - Cost: `each` reads the whole table, but holds one event at a time.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>
#include <again/sqlite/detail/database.hpp>
#include <again/sqlite/detail/event_row.hpp>
#include <again/sqlite/detail/schema.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <sys/stat.h>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {

/// Whether `each` reads what was handed in, or only what is known of it.
enum class payloads : std::uint8_t { left_out, included };

/// How much there is.
struct journal_totals {
  std::uint64_t waiting = 0, done = 0,
                dead = 0;  ///< events; those that a running process has leased are among the waiting
  std::uint64_t unfinished_bytes = 0, done_bytes = 0, dead_bytes = 0;
  std::optional<wall_time> oldest{};    ///< when the oldest unfinished event came
  std::optional<wall_time> next_due{};  ///< the same
};

class reader {
 public:
  template <class T> using result = expected<T, journal::error>;

  /// Opens a file that exists.
  static result<reader> open(const std::string& path) {
    return guarded<reader>([&] {
      struct stat about{};
      if (::stat(path.c_str(), &about) != 0)
        throw detail::sql_failure{
            journal::error{journal::error_kind::unreachable, path + ": there is no journal; name a file that exists"}};
      auto db = std::make_unique<detail::database>(path, SQLITE_OPEN_READONLY);
      sqlite3_busy_timeout(db->raw(), 5000);
      detail::require_current(*db);
      return reader{std::move(db)};
    });
  }

  /// Calls `f(const journal::event_record&)` for each event in the order of arrival, until it gives false.
  template <class F> result<void> each(F f, payloads p = payloads::left_out) const {
    return guarded<void>([&] {
      const char* const columns = p == payloads::included ? detail::whole_events : detail::events_alone;
      detail::statement s{*db_, std::string{columns} + " ORDER BY seq"};
      while (s.step())
        if (!f(detail::event_of(s, db_->path()))) return;
    });
  }
  /// The event with that id, whole; nothing where there is none.
  result<std::optional<journal::event_record>> find(std::string_view id) const {
    return guarded<std::optional<journal::event_record>>([&] {
      detail::statement s{*db_, std::string{detail::whole_events} + " WHERE id = ?1"};
      std::optional<journal::event_record> found;
      if (s.bind(1, id).step()) found = detail::event_of(s, db_->path());
      return found;
    });
  }
  result<journal_totals> totals() const {
    return guarded<journal_totals>([&] {
      journal_totals t;
      detail::statement s{
          *db_,
          "SELECT sum(events) FILTER (WHERE state = 0), sum(events) FILTER (WHERE state = 2), sum(events) FILTER "
          "(WHERE state = 3), sum(bytes) FILTER (WHERE state = 0), sum(bytes) FILTER (WHERE state = 2), sum(bytes) "
          "FILTER (WHERE state = 3), (SELECT "
          "min(created) FROM events WHERE state < 2), (SELECT min(due) FROM events INDEXED BY events_ready WHERE "
          "state = 0 AND blocked = 0) FROM totals"};
      if (!s.step()) return t;
      const auto number = [&s](int column) { return static_cast<std::uint64_t>(s.number(column)); };
      t.waiting = number(0);
      t.done = number(1);
      t.dead = number(2);
      t.unfinished_bytes = number(3);
      t.done_bytes = number(4);
      t.dead_bytes = number(5);
      if (!s.null(6)) t.oldest = s.time(6);
      if (!s.null(7)) t.next_due = s.time(7);
      return t;
    });
  }

 private:
  explicit reader(std::unique_ptr<detail::database> db) noexcept : db_{std::move(db)} {}

  template <class T, class Body> static result<T> guarded(Body body) {
    try {
      if constexpr (std::is_void_v<T>) {
        body();
        return {};
      } else {
        return body();
      }
    } catch (const detail::sql_failure& f) { return unexpected<journal::error>{f.why}; }
  }

  std::unique_ptr<detail::database> db_;
};

}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
