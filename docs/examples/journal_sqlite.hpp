// SPDX-License-Identifier: MIT
// A journal in a file. What needs SQLite is compiled in journal_sqlite.cpp alone.
#pragma once

#include "endpoint_editing.hpp"
#include "journal_delivery.hpp"

#include <memory>
#include <string>
#include <vector>

namespace programs {

/// Throws usage_error where the program was built without SQLite.
void require_sqlite();
/// Opens FILE, or makes it. Throws usage_error with a sentence.
std::unique_ptr<journal_delivery> open_sqlite_journal(const std::string& path);
/// The endpoints of a journal that exists. Throws usage_error without SQLite.
opened_endpoints open_sqlite_endpoints(const std::string& path);
/// `deliver journal COMMAND FILE [ID...]`. Gives the exit code. Throws usage_error.
int sqlite_journal_command(const std::string& command, const std::string& path, const std::vector<std::string>& names);

}  // namespace programs
