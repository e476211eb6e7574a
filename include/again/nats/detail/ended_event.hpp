// SPDX-License-Identifier: MIT
/// \file
/// `ended_event`: one whose end was recorded, and whose acknowledgement was lost. The store's thread.
#pragma once

#include <again/journal/event_record.hpp>
#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/lease_book.hpp>
#include <again/nats/detail/record_bytes.hpp>
#include <again/nats/detail/reply.hpp>
#include <again/nats/detail/state_message.hpp>

#include <cstddef>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

struct ended_event {
  delivered_event* event;
  known_state known;
  bool sure = false;
};

/// Asks the leader whether the ends are the last states, because a copy that lags behind may show the end of an event that was sent again by
/// hand, and writes the dead letters of those that are. Throws nats_failure.
inline void make_sure(connection& over, const layout& names, std::vector<ended_event>& all) {
  std::vector<request> reads, letters;
  for (const ended_event& e : all)
    reads.push_back(names.last_at_leader(names.results(), names.result(e.event->record.event.id)));
  const std::vector<message> last = over.exchange(reads);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ended_event& e = all[i];
    e.sure = number(text_of(last[i]), "seq").value_or(0) == e.known.at;
    if (e.sure && e.known.state->state == journal::event_state::dead)
      letters.push_back(
          {names.letter(e.event->record.event.id), letter_of(text_of(e.event->from), bytes_of(*e.known.state))});
  }
  for (const message& m : over.exchange(letters)) static_cast<void>(written(m, names.dead()));
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
