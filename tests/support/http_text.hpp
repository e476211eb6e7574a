// SPDX-License-Identifier: MIT
#pragma once

#include "misbehaving_server.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace again_test {

/// Case-insensitive for ASCII, as header names and connection options are.
bool same(std::string_view a, std::string_view b) noexcept;

/// Whether a comma-separated header of that name holds the token, in any case.
bool has_token(const header_list& headers, std::string_view field, std::string_view token) noexcept;

const std::string* find(const header_list& headers, std::string_view field) noexcept;

/// Request line and headers up to, not including, the empty line; what is wrong is added to `complaints`.
/// False: there is no making sense of it.
bool parse_head(std::string_view text, seen_request& into, std::vector<std::string>& complaints);

/// Status line and headers, the empty line included. "@now+N" and its kin in values become dates; the length headers are as
/// the step says..
std::string response_head(const step& s, bool say_close);

/// Whether a response to this request carries body bytes.
bool bodyless(int status, std::string_view method) noexcept;

/// "@now-100" as a date of the form asked for; anything else as it is.
std::string expanded(const std::string& value);

/// Takes complete chunks off the front of `buffer` and appends what they hold to `body`.
class chunk_reader {
 public:
  enum class result { more, complete, wrong };
  result take(std::string& buffer, std::string& body);

 private:
  std::size_t left_ = 0;  // of the current chunk, with its CRLF
  bool trailers_ = false;
};

}  // namespace again_test
