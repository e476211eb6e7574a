// SPDX-License-Identifier: MIT
// How events of a journal are shown, whatever store it is.
#pragma once

#include "journal_id.hpp"
#include "json_writer.hpp"
#include "options.hpp"
#include "printable.hpp"
#include "streams.hpp"

#include <again/core/detail/json_writer.hpp>
#include <again/core/expected.hpp>
#include <again/journal/error.hpp>
#include <again/journal/event_record.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <ctime>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace programs {

using again::journal::event_record;
using again::journal::event_state;

template <class T> T taken_from(again::expected<T, again::journal::error> result) {
  if (!result) throw usage_error{"journal: " + result.error().text};
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// In UTC, to the second; "-" for none.
inline std::string time_text(again::wall_time t) {
  if (t == again::journal::no_time || t == again::wall_time{}) return "-";
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
  std::tm utc{};
  if (::gmtime_r(&seconds, &utc) == nullptr) return "-";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc);
}

inline std::string line_of(const event_record& r) {
  const bool finished = again::journal::finished(r.state);
  std::string error = r.result.progress.last_error;
  if (r.state == event_state::dead) error = r.result.reason + (error.empty() ? "" : ": " + error);
  return fmt::format("{:<7}  {}  {:>3}  {}  {}\n", name(r.state), time_text(finished ? r.finished_at : r.due),
                     r.result.progress.attempts, printable(shown_id(r.event.id)),
                     printable(error.empty() ? "-" : error));
}

inline void add_times(json_object& line, const event_record& r) {
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
inline std::string bytes_json(std::string_view bytes) {
  std::string out;
  if (again::detail::is_utf8(bytes))
    append_json(out, bytes);  // for a terminal, too
  else
    again::detail::json_bytes(out, bytes);
  return out;
}
/// The members of a dead letter, so that `--replay` reads it, and more.
inline std::string json_of(const event_record& r) {
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

/// A line for each event.
template <class Reader> int list(const Reader& from) {
  taken_from<void>(from.each([](const event_record& r) {
    put_or_throw(line_of(r));
    return true;
  }));
  return 0;
}
/// Each event with its payload. `how`: what `each` needs to read payloads, too.
template <class Reader, class... How> int exported(const Reader& from, How... how) {
  taken_from<void>(from.each(
      [](const event_record& r) {
        put_or_throw(json_of(r));
        return true;
      },
      how...));
  return 0;
}

/// The ids under which the journal has the events that are named. Throws usage_error where a name fits none, or, unless `several` may
/// be meant, more than one.
template <class Reader>
std::vector<std::string> stored_under(const Reader& from, const std::vector<std::string>& names, bool several) {
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

}  // namespace programs
