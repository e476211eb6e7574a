// SPDX-License-Identifier: MIT
#include "journal_delivery.hpp"

#include "deliver_options.hpp"
#include "journal_nats.hpp"
#include "journal_sqlite.hpp"
#include "nats_access.hpp"

namespace programs {

void require_journal(const std::string& place) { is_nats_place(place) ? require_nats() : require_sqlite(); }

std::unique_ptr<journal_delivery> journal_delivery::open(const deliver_settings& s) {
  if (is_nats_place(*s.journal)) return open_nats_journal(*s.journal, s.nats, s.durable.lease);
  return open_sqlite_journal(*s.journal);
}

}  // namespace programs
