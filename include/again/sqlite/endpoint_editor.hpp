// SPDX-License-Identifier: MIT
/// \file
/// `sqlite::endpoint_editor`: pauses, resumes and disables endpoints of a journal by hand, also while another process delivers what is in it.
///
/// ```cpp
/// auto opened = again::sqlite::endpoint_editor::open("/var/lib/orders/events.db");
/// if (!opened) return complain(opened.error().text);
/// auto changed = opened->set("audit", again::endpoint_state::paused, now);
/// ```
///
/// - The process that delivers sees the change at its next `durable_options::poll`. Without one it counts from the next start on.
/// - A journal knows the endpoints of the sinks that have run over it.
/// - Each call is one transaction, on the disk when it gives its result. It touches nothing that the delivering process holds in memory.
/// - Errors: results are `expected<…, journal::error>`: `unreachable` where there is no such file, `version`, `corrupt`, `read_only`,
///   `locked`, `full`, `io`, and `invalid` with a sentence where there is no such endpoint.
/// - Thread: one at a time. Calls block: while another process writes, for five seconds at most.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/expected.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/journal/error.hpp>
#include <again/sink/endpoint_state.hpp>
#include <again/sqlite/detail/database.hpp>
#include <again/sqlite/detail/endpoint_table.hpp>
#include <again/sqlite/detail/schema.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/stat.h>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {

class endpoint_editor {
 public:
  template <class T> using result = expected<T, journal::error>;

  /// Opens a file that exists.
  static result<endpoint_editor> open(const std::string& path) {
    try {
      struct stat about{};
      if (::stat(path.c_str(), &about) != 0)
        throw detail::sql_failure{
            journal::error{journal::error_kind::unreachable, path + ": there is no journal; name a file that exists"}};
      auto db = std::make_unique<detail::database>(path, SQLITE_OPEN_READWRITE);
      sqlite3_busy_timeout(db->raw(), 5000);
      detail::require_current(*db);
      db->run("PRAGMA synchronous = FULL");
      return endpoint_editor{std::move(db)};
    } catch (const detail::sql_failure& f) { return unexpected<journal::error>{f.why}; }
  }

  result<std::vector<journal::endpoint_record>> endpoints() const {
    try {
      return detail::read_endpoints(*db_);
    } catch (const detail::sql_failure& f) { return unexpected<journal::error>{f.why}; }
  }
  /// `to`: paused, disabled, or available: resumed, and the events that wait for it are due at once.
  result<void> set(std::string_view name, endpoint_state to, wall_time now) {
    try {
      db_->run("BEGIN IMMEDIATE");
      for (journal::endpoint_record& r : detail::read_endpoints(*db_)) {
        if (r.status.name != name) continue;
        detail::put_endpoint(*db_, journal::by_hand(std::move(r), to, now), now);
        db_->run("COMMIT");
        return {};
      }
      throw detail::sql_failure{
          journal::error{journal::error_kind::invalid, db_->path() + ": no endpoint is called " + std::string{name}}};
    } catch (const detail::sql_failure& f) {
      db_->rollback();
      return unexpected<journal::error>{f.why};
    }
  }

 private:
  explicit endpoint_editor(std::unique_ptr<detail::database> db) noexcept : db_{std::move(db)} {}

  std::unique_ptr<detail::database> db_;
};

}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
