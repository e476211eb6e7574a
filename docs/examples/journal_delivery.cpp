// SPDX-License-Identifier: MIT
#include "journal_delivery.hpp"

#include "journal_sqlite.hpp"

namespace programs {

void require_journal(const std::string&) { require_sqlite(); }

std::unique_ptr<journal_delivery> journal_delivery::open(const std::string& place) {
  return open_sqlite_journal(place);
}

}  // namespace programs
