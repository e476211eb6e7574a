// SPDX-License-Identifier: MIT
#include "endpoint_command.hpp"

#include "endpoint_editing.hpp"
#include "journal_nats.hpp"
#include "journal_sqlite.hpp"
#include "nats_access.hpp"
#include "options.hpp"
#include "printable.hpp"
#include "streams.hpp"

#include <again/http/url.hpp>
#include <again/sink/options.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <string_view>
#include <type_traits>
#include <utility>

namespace programs {

namespace {

using again::endpoint_state;
using again::journal::endpoint_record;

constexpr std::string_view usage =
    "usage: deliver endpoint COMMAND FILE [URL-OR-NAME...]\n"
    "       deliver endpoint [OPTIONS] COMMAND nats://HOST,HOST/STREAM [URL-OR-NAME...]\n"
    "\n"
    "  list FILE                    a line for each endpoint: state, since when, until when, name, why\n"
    "  pause FILE URL-OR-NAME...    nothing is sent there; its events wait in the journal\n"
    "  disable FILE URL-OR-NAME...  the same; with --to any its events go to the other endpoints\n"
    "  resume FILE URL-OR-NAME...   attempts are sent again, and the events that wait are due now\n"
    "\n"
    "FILE: a journal, at rest or while deliver has it open, which sees a change within a second. It knows the\n"
    "endpoints that deliver has run with. A Retry-After of less than ten seconds and an open circuit breaker are\n"
    "in /metrics and in the log, not here.\n"
    "\n"
    "In a journal on NATS a change is for all workers, and the events that wait come within an hour after resume.\n"
    "OPTIONS: --journal-credentials, --journal-token-file, --journal-ca, --journal-cert and --journal-key, as of "
    "deliver.\n";

template <class T> T taken_from(again::expected<T, again::journal::error> result) {
  if (!result) throw usage_error{"endpoint: " + result.error().text};
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// In UTC, to the second; "-" for none.
std::string time_text(again::wall_time t) {
  if (t == again::wall_time::max() || t == again::wall_time{}) return "-";
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return "-";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc);
}

std::string line_of(const again::endpoint_status& e, again::wall_time now) {
  const bool over = e.state == endpoint_state::paused && e.until <= now;  // nobody has written that yet
  const endpoint_state state = over ? endpoint_state::available : e.state;
  std::string why{state == endpoint_state::available ? "-" : name(e.reason)};
  if (e.failing_since != again::wall_time::max()) why = "fails since " + time_text(e.failing_since);
  if (state != endpoint_state::available && why.starts_with("fails")) why = std::string{name(e.reason)} + ", " + why;
  if (!e.last_error.empty()) why += ": " + e.last_error;
  return fmt::format("{:<9}  {}  {}  {}  {}\n", name(state), time_text(e.since),
                     time_text(over ? again::wall_time::max() : e.until), printable(e.name), printable(why));
}

/// The name that a journal has for it: what was said, or the name of an endpoint with that URL.
std::string known_as(const std::vector<endpoint_record>& all, const std::string& said) {
  const auto known = [&](const std::string& n) {
    return std::any_of(all.begin(), all.end(), [&](const endpoint_record& r) { return r.status.name == n; });
  };
  if (known(said)) return said;
  if (const auto url = again::http::parse_url(said)) {
    const std::string shown = shown_name(again::endpoint{.url = *url});
    if (known(shown)) return shown;
  }
  throw usage_error{fmt::format("endpoint: the journal knows no endpoint {}; deliver endpoint list FILE shows them",
                                printable(shown_url(said)))};
}

int change(endpoint_editing& editor, const std::vector<std::string>& said, endpoint_state to) {
  const std::vector<endpoint_record> all = taken_from(editor.endpoints());
  std::vector<std::string> names;
  names.reserve(said.size());
  for (const std::string& one : said) names.push_back(known_as(all, one));
  const again::wall_time now = again::system_clocks().wall_now();
  for (const std::string& name : names) {
    taken_from<void>(editor.set(name, to, now));
    put_or_throw(fmt::format("{}: {}\n", printable(name),
                             to == endpoint_state::available ? "is resumed"
                             : to == endpoint_state::paused  ? "is paused"
                                                             : "is disabled"));
  }
  return 0;
}

}  // namespace

int endpoint_command(std::vector<std::string> words) {
  words.erase(words.begin());
  if (std::find(words.begin(), words.end(), "--help") != words.end()) {
    put_or_throw(usage);
    return 0;
  }
  const auto wrong = [](std::string_view what) {
    return usage_error{fmt::format("endpoint: {}; deliver endpoint --help lists the commands", what)};
  };
  nats_access access;
  words = access.taken_from("deliver endpoint", std::move(words));
  if (words.empty()) throw wrong("needs a command");
  const std::string command = words.front();
  constexpr std::array<std::pair<std::string_view, endpoint_state>, 3> changes{{{"pause", endpoint_state::paused},
                                                                                {"disable", endpoint_state::disabled},
                                                                                {"resume", endpoint_state::available}}};
  const auto* const to =
      std::find_if(changes.begin(), changes.end(), [&](const auto& c) { return c.first == command; });
  if (to == changes.end() && command != "list") throw wrong(fmt::format("no command is called '{}'", command));
  if (words.size() < 2) throw wrong(command + " needs the FILE of a journal");
  if (to != changes.end() && words.size() < 3) throw wrong(command + " needs a URL or a name after the FILE");
  if (to == changes.end() && words.size() > 2) throw wrong("list takes a FILE and nothing else");
  const bool on_nats = is_nats_place(words[1]);
  if (!on_nats && access.given()) throw wrong("--journal-... are for a journal on NATS: nats://HOST,HOST/STREAM");
  const auto editor = taken_from(on_nats ? open_nats_endpoints(words[1], access) : open_sqlite_endpoints(words[1]));
  if (to != changes.end()) return change(*editor, {words.begin() + 2, words.end()}, to->second);
  const again::wall_time now = again::system_clocks().wall_now();
  for (const endpoint_record& r : taken_from(editor->endpoints())) put_or_throw(line_of(r.status, now));
  return 0;
}

}  // namespace programs
