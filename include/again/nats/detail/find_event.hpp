// SPDX-License-Identifier: MIT
/// \file
/// `find_event`: an event by its id, put together from the streams of a journal.
#pragma once

#include <again/journal/event_record.hpp>
#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/record_bytes.hpp>
#include <again/nats/detail/reply.hpp>
#include <again/nats/detail/state_message.hpp>

#include <optional>
#include <string>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

/// Throws nats_failure.
inline std::optional<journal::event_record> find_event(connection& over, const layout& names, const std::string& id) {
  if (id.empty() || id.size() > longest_id) return std::nullopt;
  const std::vector<message> got =
      over.exchange({names.last_of(names.events(), names.event_by_id(id)),
                     names.last_of(names.results(), names.result(id)), names.last_of(names.dead(), names.letter(id))});
  const known_state known = state_in(names, got[1]);
  std::optional<journal::event_record> found;
  if (status_of(got[0]) != 404) {
    found = event_from(text_of(got[0]));
  } else if (status_of(got[2]) != 404 && known.state && known.state->state == journal::event_state::dead) {
    if (const auto l = letter_from(text_of(got[2]))) found = event_from(l->event);
  }
  if (!found && known.state && finished(known.state->state)) return record_of(*known.state);
  if (found && known.state) apply(*known.state, *found);
  return found;
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
