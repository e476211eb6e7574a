// SPDX-License-Identifier: MIT
#include "journal_sqlite.hpp"

#if defined(PROGRAMS_HAVE_SQLITE)
#include "journal_over.hpp"
#include "journal_printing.hpp"
#include "json_writer.hpp"
#include "printable.hpp"
#include "streams.hpp"

#include <again/sqlite.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <sys/stat.h>
#endif
#include "options.hpp"

namespace programs {

#if defined(PROGRAMS_HAVE_SQLITE)

namespace {

std::uint64_t size_of_file(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 ? static_cast<std::uint64_t>(about.st_size) : 0;
}
int stats(const again::sqlite::reader& from, const std::string& path) {
  const again::sqlite::journal_totals t = taken_from(from.totals());
  std::string out;
  json_object line{out};
  line.number("waiting", t.waiting).number("done", t.done).number("dead", t.dead);
  const auto time = [&](std::string_view name, const std::optional<again::wall_time>& at) {
    line.text_or_null(name, at ? time_text(*at) : std::string{}, at.has_value());
  };
  time("oldest_unfinished", t.oldest);
  time("next_due", t.next_due);
  line.number("bytes_unfinished", t.unfinished_bytes)
      .number("bytes_done", t.done_bytes)
      .number("bytes_dead", t.dead_bytes);
  line.number("file_bytes", size_of_file(path)).number("log_bytes", size_of_file(path + "-wal"));
  line.end();
  put_or_throw(out + '\n');
  return 0;
}

int change(const std::string& path, const std::vector<std::string>& names, bool retry) {
  std::vector<std::string> ids;
  {
    const auto from = taken_from(again::sqlite::reader::open(path));
    ids = stored_under(from, names, false);
  }
  auto editor = taken_from(again::sqlite::editor::open(path));
  const again::wall_time now = again::system_clocks().wall_now();
  int problems = 0;
  for (const std::string& id : ids) {
    const auto changed = retry ? editor.retry(id, now) : editor.discard(id);
    if (changed) {
      put_or_throw(fmt::format("{}: {}\n", printable(shown_id(id)), retry ? "is due now" : "discarded"));
    } else {
      complain(fmt::format("deliver: journal: {}", changed.error().text));
      problems = 1;
    }
  }
  return problems;
}

}  // namespace

void require_sqlite() {}
std::unique_ptr<journal_delivery> open_sqlite_journal(const std::string& path) {
  auto opened = again::sqlite::store::open(path);
  if (!opened) throw usage_error{"--journal: " + opened.error().text};
  return std::make_unique<journal_over<again::sqlite::store>>(*std::move(opened));
}

opened_endpoints open_sqlite_endpoints(const std::string& path) {
  return editing_over<again::sqlite::endpoint_editor>::of(again::sqlite::endpoint_editor::open(path));
}
int sqlite_journal_command(const std::string& command, const std::string& path, const std::vector<std::string>& names) {
  if (command == "retry" || command == "discard") return change(path, names, command == "retry");
  const auto from = taken_from(again::sqlite::reader::open(path));
  if (command == "list") return list(from);
  if (command == "export") return exported(from, again::sqlite::payloads::included);
  if (command == "stats") return stats(from, path);
  for (const std::string& id : stored_under(from, names, true))
    if (const auto r = taken_from(from.find(id))) put_or_throw(json_of(*r));
  return 0;
}

#else

void require_sqlite() {
  throw usage_error{"this program was built without SQLite: install it (Debian: libsqlite3-dev), and build anew"};
}
std::unique_ptr<journal_delivery> open_sqlite_journal(const std::string&) {
  require_sqlite();
  return nullptr;
}
opened_endpoints open_sqlite_endpoints(const std::string&) {
  require_sqlite();
  return nullptr;
}
int sqlite_journal_command(const std::string&, const std::string&, const std::vector<std::string>&) {
  require_sqlite();
  return 2;
}

#endif

}  // namespace programs
