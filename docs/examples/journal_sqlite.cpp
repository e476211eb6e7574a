// SPDX-License-Identifier: MIT
#include "journal_sqlite.hpp"

#if defined(PROGRAMS_HAVE_SQLITE)
#include "journal_over.hpp"

#include <again/sqlite.hpp>

#include <utility>
#endif
#include "options.hpp"

namespace programs {

#if defined(PROGRAMS_HAVE_SQLITE)

void require_sqlite() {}
std::unique_ptr<journal_delivery> open_sqlite_journal(const std::string& path) {
  auto opened = again::sqlite::store::open(path);
  if (!opened) throw usage_error{"--journal: " + opened.error().text};
  return std::make_unique<journal_over<again::sqlite::store>>(*std::move(opened));
}

#else

void require_sqlite() {
  throw usage_error{"this program was built without SQLite: install it (Debian: libsqlite3-dev), and build anew"};
}
std::unique_ptr<journal_delivery> open_sqlite_journal(const std::string&) {
  require_sqlite();
  return nullptr;
}

#endif

}  // namespace programs
