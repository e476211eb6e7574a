// SPDX-License-Identifier: MIT
#include "journal_command.hpp"

#include "journal_nats.hpp"
#include "journal_sqlite.hpp"
#include "nats_access.hpp"
#include "options.hpp"
#include "streams.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace programs {

namespace {

constexpr std::string_view usage =
    "usage: deliver journal COMMAND FILE [ID...]\n"
    "       deliver journal [OPTIONS] COMMAND nats://HOST,HOST/STREAM [ID...]\n"
    "\n"
    "  list FILE            one line for each event: state, id, attempts, when it is due or has ended, last error\n"
    "  show FILE ID...      all that is known of an event, with its payload, as JSON\n"
    "  stats FILE           events by state, the oldest one, the size of the files\n"
    "  export FILE          all events as JSON lines, which deliver --replay reads\n"
    "  retry FILE ID...     due now; a dead one waits again, with its attempts kept\n"
    "  discard FILE ID...   forgotten, whatever their state\n"
    "\n"
    "ID: the event's own, its Idempotency-Key, or the whole under which the journal has it.\n"
    "list, show, stats and export read a journal also while deliver has it open. retry and discard need it at rest.\n"
    "\n"
    "A journal on NATS may be changed at any time, but only a dead event can be sent again: an event that waits comes "
    "at its\n"
    "time. Of an event that is done there is no payload; leases show when an event has been leased twice.\n"
    "OPTIONS: --journal-credentials, --journal-token-file, --journal-ca, --journal-cert and --journal-key, as of "
    "deliver.\n";

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
  nats_access access;
  words = access.taken_from("deliver journal", std::move(words));
  if (words.empty()) throw wrong("needs a command");
  const std::string command = words.front();
  constexpr std::array<std::string_view, 3> of_file{"list", "stats", "export"}, of_events{"show", "retry", "discard"};
  const bool names_events = std::find(of_events.begin(), of_events.end(), command) != of_events.end();
  if (!names_events && std::find(of_file.begin(), of_file.end(), command) == of_file.end())
    throw wrong(fmt::format("no command is called '{}'", command));
  if (words.size() < 2) throw wrong(command + " needs a FILE");
  if (names_events && words.size() < 3) throw wrong(command + " needs the ID of an event after the FILE");
  if (!names_events && words.size() > 2) throw wrong(command + " takes a FILE and nothing else");
  const std::string place = words[1];
  const std::vector<std::string> names{words.begin() + 2, words.end()};
  if (is_nats_place(place)) return nats_journal_command(command, place, access, names);
  if (access.given()) throw wrong("--journal-... are for a journal on NATS: nats://HOST,HOST/STREAM");
  return sqlite_journal_command(command, place, names);
}

}  // namespace programs
