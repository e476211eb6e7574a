// SPDX-License-Identifier: MIT
/// \file
/// The states of endpoints as SQL, on one connection. Called inside a transaction; whoever calls it rolls back what has failed. Throws
/// sql_failure. One thread at a time.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/enumerators.hpp>
#include <again/journal/endpoint_store.hpp>
#include <again/sink/endpoint_state.hpp>
#include <again/sqlite/detail/byte_list.hpp>
#include <again/sqlite/detail/database.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace again {
inline namespace AGAIN_ABI {
namespace sqlite {
namespace detail {

/// A number that a column has, as an enumerator; the first one where it is none.
template <class E> E enumerator_of(const statement& s, int column) noexcept {
  const auto n = static_cast<std::size_t>(s.small(column));
  return n < again::detail::enumerators<E>.size() ? static_cast<E>(n) : E{};
}

inline std::vector<journal::endpoint_record> read_endpoints(const database& db) {
  std::vector<journal::endpoint_record> all;
  statement s{db, "SELECT name, state, reason, last_error, since, until, failing_since, revision FROM endpoints "
                  "ORDER BY name"};
  while (s.step()) {
    journal::endpoint_record& r = all.emplace_back();
    r.status.name = s.bytes(0);
    r.status.state = enumerator_of<endpoint_state>(s, 1);
    r.status.reason = enumerator_of<endpoint_reason>(s, 2);
    r.status.last_error = s.bytes(3);
    r.status.since = s.time(4);
    r.status.until = s.time(5);
    r.status.failing_since = s.time(6);
    r.revision = static_cast<std::uint64_t>(s.number(7));
  }
  return all;
}

/// As `journal::endpoint_store::put`.
inline std::uint64_t put_endpoint(database& db, const journal::endpoint_record& r, wall_time now) {
  const endpoint_status& e = r.status;
  const std::uint64_t next = r.revision + 1;
  endpoint_status was;
  statement before{db, "SELECT state, reason FROM endpoints WHERE name = ?1"};
  if (before.bind(1, e.name).step()) {
    was.state = enumerator_of<endpoint_state>(before, 0);
    was.reason = enumerator_of<endpoint_reason>(before, 1);
  }
  statement s{db, r.revision == 0
                      ? "INSERT INTO endpoints VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(name) DO NOTHING"
                      : "UPDATE endpoints SET state = ?2, reason = ?3, last_error = ?4, since = ?5, until = ?6, "
                        "failing_since = ?7, revision = ?8 WHERE name = ?1 AND revision = ?8 - 1"};
  s.bind(1, e.name).bind(2, std::int64_t{static_cast<std::uint8_t>(e.state)});
  s.bind(3, std::int64_t{static_cast<std::uint8_t>(e.reason)}).bind(4, e.last_error).bind(5, e.since);
  s.bind(6, e.until).bind(7, e.failing_since).bind(8, static_cast<std::int64_t>(next)).finish();
  if (db.changes() == 0) return 0;
  if (!journal::opens(was, e)) return next;
  std::string packed_name;
  put_bytes(packed_name, e.name);
  statement due{db, "UPDATE events SET due = ?1 WHERE state = 0 AND due > ?1 AND last_error <> x'' AND (still_at = x'' "
                    "OR instr(still_at, ?2) > 0)"};
  due.bind(1, now).bind(2, packed_name).finish();
  return next;
}

}  // namespace detail
}  // namespace sqlite
}  // namespace AGAIN_ABI
}  // namespace again
