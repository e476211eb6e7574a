// SPDX-License-Identifier: MIT
// A journal in a file. What needs SQLite is compiled in journal_sqlite.cpp and journal_command.cpp alone.
#pragma once

#include "journal_delivery.hpp"

#include <memory>
#include <string>

namespace programs {

/// Throws usage_error where the program was built without SQLite.
void require_sqlite();
/// Opens FILE, or makes it. Throws usage_error with a sentence.
std::unique_ptr<journal_delivery> open_sqlite_journal(const std::string& path);

}  // namespace programs
