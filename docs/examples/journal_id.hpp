// SPDX-License-Identifier: MIT
// The id that an event has in a journal of `deliver`: "HASH:ID". The hash, `key_of`, is made of all that tells events apart; the id is the
// one that its producer gave it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace programs {

inline constexpr std::size_t hash_digits = 32;

inline std::string stored_id(std::string_view hash, std::string_view id) {
  std::string out{hash};
  return (out += ':').append(id);
}
/// The event's own id; the whole where another program has stored it.
inline std::string_view shown_id(std::string_view stored) noexcept {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  const bool ours = stored.size() > hash_digits && stored[hash_digits] == ':' &&
                    std::all_of(stored.begin(), stored.begin() + hash_digits, is_digit);
  return ours ? stored.substr(hash_digits + 1) : stored;
}

}  // namespace programs
