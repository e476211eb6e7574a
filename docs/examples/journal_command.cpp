// SPDX-License-Identifier: MIT
#include "journal_command.hpp"

#include "journal_sqlite.hpp"
#include "options.hpp"
#if defined(PROGRAMS_HAVE_SQLITE)
#include "journal_id.hpp"
#include "json_writer.hpp"
#include "printable.hpp"
#include "streams.hpp"

#include <again/core/detail/json_writer.hpp>
#include <again/sqlite.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include <sys/stat.h>
#endif

namespace programs {

#if !defined(PROGRAMS_HAVE_SQLITE)

int journal_command(std::vector<std::string>) {
  require_sqlite();
  return 2;
}

#else

namespace {

using again::journal::event_record;
using again::journal::event_state;
using again::sqlite::payloads;

constexpr std::string_view usage =
    "usage: deliver journal COMMAND FILE [ID...]\n"
    "\n"
    "  list FILE            one line for each event: state, id, attempts, when it is due or has ended, last error\n"
    "  show FILE ID...      all that is known of an event, with its payload, as JSON\n"
    "  stats FILE           events by state, the oldest one, the size of the files\n"
    "  export FILE          all events as JSON lines, which deliver --replay reads\n"
    "  retry FILE ID...     due now; a dead one waits again, with its attempts kept\n"
    "  discard FILE ID...   forgotten, whatever their state\n"
    "\n"
    "ID: the event's own, its Idempotency-Key, or the whole under which the journal has it.\n"
    "list, show, stats and export read a journal also while deliver has it open. retry and discard need it at rest.\n";

template <class T> T taken_from(again::expected<T, again::journal::error> result) {
  if (!result) throw usage_error{"journal: " + result.error().text};
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// In UTC, to the second; "-" for none.
std::string time_text(again::wall_time t) {
  if (t == again::journal::no_time || t == again::wall_time{}) return "-";
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return "-";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc);
}

std::string line_of(const event_record& r) {
  const bool finished = again::journal::finished(r.state);
  std::string error = r.result.progress.last_error;
  if (r.state == event_state::dead) error = r.result.reason + (error.empty() ? "" : ": " + error);
  return fmt::format("{:<7}  {}  {:>3}  {}  {}\n", name(r.state), time_text(finished ? r.finished_at : r.due),
                     r.result.progress.attempts, printable(shown_id(r.event.id)),
                     printable(error.empty() ? "-" : error));
}

void add_times(json_object& line, const event_record& r) {
  const auto time = [&line](std::string_view name, again::wall_time t) {
    const std::string text = time_text(t);
    line.text_or_null(name, text, text != "-");
  };
  time("created", r.created);
  time("due", r.due);
  time("deadline", r.deadline);
  time("first_attempt", r.result.progress.first_attempt);
  time("last_attempt", r.result.progress.last_attempt);
  time("finished", r.finished_at);
}
std::string bytes_json(std::string_view bytes) {
  std::string out;
  if (again::detail::is_utf8(bytes))
    append_json(out, bytes);  // for a terminal, too
  else
    again::detail::json_bytes(out, bytes);
  return out;
}
/// The members of a dead letter, so that `--replay` reads it, and more.
std::string json_of(const event_record& r) {
  const again::journal::progress& p = r.result.progress;
  std::string out;
  json_object line{out};
  line.text("state", name(r.state));
  line.member("id") += bytes_json(shown_id(r.event.id));
  line.member("stored_as") += bytes_json(r.event.id);
  line.member("key") += bytes_json(r.event.key);
  if (!r.event.order_key.empty()) line.member("order_key") += bytes_json(r.event.order_key);
  line.number("attempts", p.attempts).number("deliveries", p.deliveries);
  line.number_or_null("status", r.result.status, r.result.status != 0);
  line.text_or_null("reason", r.result.reason, !r.result.reason.empty());
  line.text_or_null("error", p.last_error, !p.last_error.empty());
  add_times(line, r);
  if (r.state == event_state::leased) line.text("worker", r.lease.worker);
  std::vector<std::string> only = r.event.only;
  if (!p.only.empty() || !p.refused.empty()) only = p.only;
  only.insert(only.end(), p.refused.begin(), p.refused.end());
  line.array("only", only.size(), [&](std::size_t i) { append_json(out, only[i]); });
  line.array("refused_by", p.refused.size(), [&](std::size_t i) { append_json(out, p.refused[i]); });
  line.array("headers", r.event.headers.size(), [&](std::size_t i) {
    const auto& field = *std::next(r.event.headers.begin(), static_cast<std::ptrdiff_t>(i));
    out += '[';
    append_json(out, field.name);
    (out += ',') += bytes_json(field.value);
    out += ']';
  });
  line.member("body") += bytes_json(r.event.body);
  line.end();
  return out += '\n';
}

int list(const again::sqlite::reader& from) {
  taken_from<void>(from.each([](const event_record& r) {
    put_or_throw(line_of(r));
    return true;
  }));
  return 0;
}
int exported(const again::sqlite::reader& from) {
  taken_from<void>(from.each(
      [](const event_record& r) {
        put_or_throw(json_of(r));
        return true;
      },
      payloads::included));
  return 0;
}

std::uint64_t size_of_file(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 ? static_cast<std::uint64_t>(about.st_size) : 0;
}
int stats(const again::sqlite::reader& from, const std::string& path) {
  const again::sqlite::journal_totals t = taken_from(from.totals());
  std::string out;
  json_object line{out};
  line.number("waiting", t.waiting).number("leased", t.leased).number("done", t.done).number("dead", t.dead);
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

/// The ids under which the journal has the events that are named. Throws usage_error where a name fits none, or, unless `several` may
/// be meant, more than one.
std::vector<std::string> stored_under(const again::sqlite::reader& from, const std::vector<std::string>& names,
                                      bool several) {
  std::vector<std::vector<std::string>> found(names.size());
  taken_from<void>(from.each([&](const event_record& r) {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == shown_id(r.event.id) || names[i] == r.event.key || names[i] == r.event.id)
        found[i].push_back(r.event.id);
    return true;
  }));
  std::vector<std::string> all;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (found[i].empty())
      throw usage_error{fmt::format("journal: there is no event {}; deliver journal list FILE shows them", names[i])};
    if (found[i].size() > 1 && !several) {
      throw usage_error{fmt::format("journal: {} events are called {}: name one of {}", found[i].size(), names[i],
                                    fmt::join(found[i], ", "))};
    }
    all.insert(all.end(), found[i].begin(), found[i].end());
  }
  return all;
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

int journal_command(std::vector<std::string> words) {
  words.erase(words.begin());
  if (std::find(words.begin(), words.end(), "--help") != words.end()) {
    put_or_throw(usage);
    return 0;
  }
  const auto wrong = [](std::string_view what) {
    return usage_error{fmt::format("journal: {}; deliver journal --help lists the commands", what)};
  };
  if (words.empty()) throw wrong("needs a command");
  const std::string command = words.front();
  constexpr std::array<std::string_view, 3> of_file{"list", "stats", "export"}, of_events{"show", "retry", "discard"};
  const bool names_events = std::find(of_events.begin(), of_events.end(), command) != of_events.end();
  if (!names_events && std::find(of_file.begin(), of_file.end(), command) == of_file.end())
    throw wrong(fmt::format("no command is called '{}'", command));
  if (words.size() < 2) throw wrong(command + " needs a FILE");
  if (names_events && words.size() < 3) throw wrong(command + " needs the ID of an event after the FILE");
  if (!names_events && words.size() > 2) throw wrong(command + " takes a FILE and nothing else");
  const std::string path = words[1];
  const std::vector<std::string> names{words.begin() + 2, words.end()};
  if (command == "retry" || command == "discard") return change(path, names, command == "retry");
  const auto from = taken_from(again::sqlite::reader::open(path));
  if (command == "list") return list(from);
  if (command == "export") return exported(from);
  if (command == "stats") return stats(from, path);
  for (const std::string& id : stored_under(from, names, true))
    if (const auto r = taken_from(from.find(id))) put_or_throw(json_of(*r));
  return 0;
}

#endif

}  // namespace programs
