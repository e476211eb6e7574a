// SPDX-License-Identifier: MIT
// The id that an event has in a journal of `deliver`: "ID:HASH". The hash, `key_of`, is made of all that tells events apart; the id is the
// one that its producer gave it. It comes first, because most ids rise with time: a journal then writes to the end of its index, and not to
// pages all over it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace programs {

inline constexpr std::size_t hash_digits = 32;

inline std::string stored_id(std::string_view hash, std::string_view id) {
  std::string out{id};
  return (out += ':').append(hash);
}
/// The event's own id; the whole where another program has stored it.
inline std::string_view shown_id(std::string_view stored) noexcept {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (stored.size() <= hash_digits) return stored;
  const std::size_t colon = stored.size() - hash_digits - 1;
  const bool ours = stored[colon] == ':' && std::all_of(stored.begin() + colon + 1, stored.end(), is_digit);
  return ours ? stored.substr(0, colon) : stored;
}

}  // namespace programs
