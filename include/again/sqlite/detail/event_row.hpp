// SPDX-License-Identifier: MIT
/// \file
/// `event_of`: a row of the table of events as a record, for the store, which writes, and for a reader beside it.
#pragma once

#include <again/journal/event_record.hpp>
#include <again/sqlite/detail/byte_list.hpp>
#include <again/sqlite/detail/database.hpp>

#include <cstdint>
#include <string>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

/// What `event_of` reads, in its order.
inline constexpr const char* whole_events =
    "SELECT id, state, order_key, idempotency_key, only_at, created, due, deadline, worker, lease, leased_until, "
    "finished, attempts, deliveries, first_attempt, last_attempt, last_error, still_at, refused_by, status, reason, "
    "headers, body FROM events JOIN payloads USING(seq)";
/// The same without header fields and body.
inline constexpr const char* events_alone =
    "SELECT id, state, order_key, idempotency_key, only_at, created, due, deadline, worker, lease, leased_until, "
    "finished, attempts, deliveries, first_attempt, last_attempt, last_error, still_at, refused_by, status, reason, "
    "x'', x'' FROM events";

/// What such a row with its payload counts for in the totals.
inline std::int64_t bytes_of(const statement& s) {
  return static_cast<std::int64_t>(s.bytes(0).size() + s.bytes(21).size() + s.bytes(22).size());
}

/// Throws sql_failure where the row is damaged. `path`: of the file, for the message.
inline journal::event_record event_of(const statement& s, const std::string& path) {
  const auto text = [&s](int column) { return std::string{s.bytes(column)}; };
  journal::event_record r;
  bool whole = true;
  r.event.id = text(0);
  r.state = static_cast<journal::event_state>(s.small(1));
  r.event.order_key = text(2);
  r.event.key = text(3);
  whole = unpack(s.bytes(4), r.event.only) && whole;
  r.created = s.time(5);
  r.due = s.time(6);
  r.deadline = s.time(7);
  r.lease = journal::lease_token{text(8), static_cast<std::uint64_t>(s.number(9))};
  r.leased_until = s.time(10);
  if (journal::finished(r.state)) r.finished_at = s.time(11);
  journal::progress& p = r.result.progress;
  p.attempts = s.small(12);
  p.deliveries = s.small(13);
  p.first_attempt = s.time(14);
  p.last_attempt = s.time(15);
  p.last_error = text(16);
  whole = unpack(s.bytes(17), p.only) && whole;
  whole = unpack(s.bytes(18), p.refused) && whole;
  r.result.status = s.small(19);
  r.result.reason = text(20);
  whole = unpack(s.bytes(21), r.event.headers) && whole;
  r.event.body = text(22);
  if (!whole) throw sql_failure{explained(SQLITE_CORRUPT, path, "the row of event " + r.event.id + " is damaged")};
  return r;
}

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
