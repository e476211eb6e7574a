// SPDX-License-Identifier: MIT
// `deliver endpoint list|pause|resume|disable`: the endpoints of a journal, by hand.
#pragma once

#include <string>
#include <vector>

namespace programs {

/// Whether the words of the command line are for `endpoint_command`.
inline bool is_endpoint_command(const std::vector<std::string>& words) {
  return !words.empty() && words.front() == "endpoint";
}

/// Gives the exit code. Throws usage_error.
int endpoint_command(std::vector<std::string> words);

}  // namespace programs
