// SPDX-License-Identifier: MIT
/// \file
/// `find_event`: an event by its id, put together from the streams of a journal.
#pragma once

#include <again/journal/event_record.hpp>
#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/kept_message.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/record_bytes.hpp>
#include <again/nats/detail/state_message.hpp>

#include <optional>
#include <string>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

/// As the leaders of the streams have it. Throws nats_failure.
inline std::optional<journal::event_record> find_event(connection& over, const layout& names, const std::string& id) {
  if (id.empty() || id.size() > longest_id) return std::nullopt;
  const std::vector<kept_message> got =
      read_at_leader(over, {{names.events(), names.last_at_leader(names.events(), names.event_by_id(id))},
                            {names.results(), names.last_at_leader(names.results(), names.result(id))},
                            {names.dead(), names.last_at_leader(names.dead(), names.letter(id))}});
  const known_state known = state_in(names, got[1]);
  std::optional<journal::event_record> found;
  if (got[0].at != 0) {
    found = event_from(got[0].body);
  } else if (got[2].at != 0 && known.state && known.state->state == journal::event_state::dead) {
    if (const auto l = letter_from(got[2].body)) found = event_from(l->event);
  }
  if (!found && known.state && finished(known.state->state)) return record_of(*known.state);
  if (found && known.state) apply(*known.state, *found);
  return found;
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
