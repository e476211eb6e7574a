// SPDX-License-Identifier: MIT
#include "journal_nats.hpp"

#include "options.hpp"
#if defined(PROGRAMS_HAVE_NATS)
#include "journal_over.hpp"
#include "journal_printing.hpp"
#include "json_writer.hpp"
#include "printable.hpp"
#include "streams.hpp"

#include <again/nats.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <utility>
#endif

namespace programs {

#if defined(PROGRAMS_HAVE_NATS)

namespace {

/// The first line of a file. Nothing of it is ever shown.
std::string secret_in(const std::string& path) {
  std::ifstream in{path};
  std::string line;
  if (!in || !std::getline(in, line) || line.empty())
    throw usage_error{fmt::format("--journal-token-file: {} has no line to read; name a file with the token", path)};
  if (line.back() == '\r') line.pop_back();
  return line;
}
again::nats::options options_of(const std::string& place, const nats_access& access) {
  auto o = again::nats::parse_place(place);
  if (!o) throw usage_error{"--journal: " + o.error().text};
  o->credentials = access.credentials;
  if (!access.token_file.empty()) o->token = secret_in(access.token_file);
  o->ca = access.ca;
  o->certificate = access.certificate;
  o->key = access.key;
  o->replicas = access.replicas;
  return *std::move(o);
}

int stats(const again::nats::reader& from) {
  const again::nats::journal_totals t = taken_from(from.totals());
  std::string out;
  json_object line{out};
  line.number("unfinished", t.unfinished).number("never_taken", t.never_taken).number("dead", t.dead);
  line.number("states", t.states);
  line.number("bytes_unfinished", t.bytes).number("bytes_dead", t.bytes_dead).number("bytes_states", t.bytes_states);
  line.number("replicas", t.replicas);
  line.end();
  put_or_throw(out + '\n');
  return 0;
}
int change(const again::nats::options& o, const std::vector<std::string>& names, bool retry) {
  const auto from = taken_from(again::nats::reader::open(o));
  auto editor = taken_from(again::nats::editor::open(o));
  const again::wall_time now = again::system_clocks().wall_now();
  int problems = 0;
  for (const std::string& id : stored_under(from, names, false)) {
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

void require_nats() {}
std::unique_ptr<journal_delivery> open_nats_journal(const std::string& place, const nats_access& access,
                                                    again::duration lease) {
  again::nats::options o = options_of(place, access);
  o.lease = lease;
  // A lease has to outlast an exchange that fails and one that follows.
  o.timeout = std::clamp<again::duration>(lease / 3, std::chrono::milliseconds{500}, std::chrono::seconds{5});
  auto opened = again::nats::store::open(o);
  if (!opened) throw usage_error{"--journal: " + opened.error().text};
  return std::make_unique<journal_over<again::nats::store>>(*std::move(opened));
}
opened_endpoints open_nats_endpoints(const std::string& place, const nats_access& access) {
  return editing_over<again::nats::endpoint_editor>::of(again::nats::endpoint_editor::open(options_of(place, access)));
}
int nats_journal_command(const std::string& command, const std::string& place, const nats_access& access,
                         const std::vector<std::string>& names) {
  const again::nats::options o = options_of(place, access);
  if (command == "retry" || command == "discard") return change(o, names, command == "retry");
  const auto from = taken_from(again::nats::reader::open(o));
  if (command == "list") return list(from);
  if (command == "export") return exported(from);
  if (command == "stats") return stats(from);
  for (const std::string& id : stored_under(from, names, true))
    if (const auto r = taken_from(from.find(id))) put_or_throw(json_of(*r));
  return 0;
}

#else

void require_nats() {
  throw usage_error{"this program was built without NATS: install its library (Debian: libnats-dev), and build anew"};
}
std::unique_ptr<journal_delivery> open_nats_journal(const std::string&, const nats_access&, again::duration) {
  require_nats();
  return nullptr;
}
opened_endpoints open_nats_endpoints(const std::string&, const nats_access&) {
  require_nats();
  return nullptr;
}
int nats_journal_command(const std::string&, const std::string&, const nats_access&, const std::vector<std::string>&) {
  require_nats();
  return 2;
}

#endif

}  // namespace programs
