// SPDX-License-Identifier: MIT
// Events for a sink or a journal, from lines of input.
#pragma once

#include "cloud_event.hpp"
#include "deliver_options.hpp"
#include "event.hpp"
#include "input_file.hpp"
#include "journal_id.hpp"
#include "line_source.hpp"
#include "replay.hpp"

#include <again/sink/event.hpp>
#include <again/sink/options.hpp>

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <string>
#include <utility>

namespace programs {

/// Makes events for the sink from lines of input, or says why a line is refused.
class event_reader {
 public:
  event_reader(const input_file& input, const deliver_settings& s)
      : input_{input}, settings_{s}, events_{s.replay ? 0 : s.line_bound()} {}

  again::expected<again::event, std::string> read(input_line&& line) {
    const deliver_settings& s = settings_;
    switch (line.problem) {
      case line_problem::none: break;
      case line_problem::cut_off: return again::unexpected<std::string>{"cut off: reading ended inside of it"};
      case line_problem::no_memory: return again::unexpected<std::string>{"no memory for it"};
      case line_problem::too_long:
        return again::unexpected<std::string>{fmt::format("oversized: more than {} bytes", s.line_bound())};
    }
    if (s.replay) {
      auto e = parse_dead_letter(letters_, line.text);
      if (!e) return e;
      for (const std::string& name : e->only) {
        const bool known = std::any_of(s.endpoints.begin(), s.endpoints.end(),
                                       [&](const again::endpoint& at) { return shown_name(at) == name; });
        if (!known) return again::unexpected<std::string>{fmt::format("no endpoint is called '{}'", name)};
      }
      return e;
    }
    auto parsed = events_.parse(std::move(line.text), position_of(line));
    if (!parsed) return again::unexpected<std::string>{std::move(parsed.error())};
    const bool typed = s.endpoints.front().headers.contains("Content-Type");  // and so all of them
    return in_mode(*std::move(parsed), s.webhooks.ce_mode, typed);
  }

  /// The same for a journal. A dead letter that is sent again is another event than the one that is dead in the journal.
  again::expected<again::event, std::string> read_for_journal(input_line&& line) {
    const line_position at = position_of(line);
    auto e = read(std::move(line));
    if (!e) return e;
    const std::string letter =
        settings_.replay ? key_of({"letter", e->key, e->id, at.source, std::to_string(at.place)}) : "";
    if (e->key.empty()) e->key = letter;
    e->id = stored_id(settings_.replay ? letter : key_of({e->key}), e->id);
    if (settings_.order != again::ordering::per_key)
      e->order_key.clear();  // a journal keeps the order of all keys that it is told
    return e;
  }

 private:
  line_position position_of(const input_line& line) const noexcept {
    return {input_.name(), input_.is_regular() ? line.offset : line.number, line.number};
  }

  const input_file& input_;
  const deliver_settings& settings_;
  event_parser events_;
  simdjson::dom::parser letters_;
};

}  // namespace programs
