// SPDX-License-Identifier: MIT
/// \file
/// How events are published.
#pragma once

#include <again/nats/detail/connection.hpp>
#include <again/nats/detail/layout.hpp>
#include <again/nats/detail/record_bytes.hpp>
#include <again/nats/detail/reply.hpp>
#include <again/nats/detail/state_message.hpp>
#include <again/nats/detail/store_call.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace nats {
namespace detail {

/// The calls of `append` that wait, in one exchange. Each ends with its own result, or all with the exception. Throws nats_failure.
inline void append_all(connection& over, const layout& names, const std::vector<append_call*>& calls) {
  std::vector<request> all;
  for (append_call* c : calls) {
    for (const journal::new_event& e : c->events) {
      if (e.event.id.empty()) {
        c->fail(journal::missing_id());
      } else if (e.event.id.size() + e.event.order_key.size() > longest_id) {
        c->fail(journal::error{journal::error_kind::invalid,
                               "the id and the order key of an event have more than 2048 bytes; use shorter ones"});
      }
    }
    if (c->ended()) continue;
    const std::size_t before = all.size();
    for (const journal::new_event& e : c->events) {
      const journal::event_record r{e, c->now};
      all.push_back({names.event(r.event.order_key, r.event.id), bytes_of(r), word_of(r.event.id), 0});
      if (all.back().body.size() + 1024 <= over.most_bytes()) continue;
      c->fail(journal::error{journal::error_kind::invalid, "an event has more bytes than max_payload of the servers (" +
                                                               std::to_string(over.most_bytes()) +
                                                               "); send smaller ones, or raise it"});
      all.resize(before);
      break;
    }
  }
  const std::vector<message> replies = over.exchange(all);
  auto reply = replies.begin();
  for (append_call* c : calls) {
    if (c->ended()) continue;
    journal::acknowledged got;
    for (std::size_t i = 0; i < c->events.size(); ++i, ++reply) {
      if (c->ended()) continue;
      try {
        const bool known = !written(*reply, names.events()) || member(text_of(*reply), "duplicate").has_value();
        ++(known ? got.repeated : got.stored);
      } catch (const nats_failure& f) { c->fail(f.why); }
    }
    if (!c->ended()) c->result.emplace(got);
  }
}

}  // namespace detail
}  // namespace nats
}  // namespace AGAIN_ABI
}  // namespace again
