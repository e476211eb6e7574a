// SPDX-License-Identifier: MIT
// `deliver journal list|show|retry|discard|stats|export`: looks into a journal, and changes it by hand.
#pragma once

#include <string>
#include <vector>

namespace programs {

/// Whether the words of the command line are for `journal_command`.
inline bool is_journal_command(const std::vector<std::string>& words) {
  return !words.empty() && words.front() == "journal";
}

/// Gives the exit code. Throws usage_error.
int journal_command(std::vector<std::string> words);

}  // namespace programs
