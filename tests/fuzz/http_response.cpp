// SPDX-License-Identifier: MIT
// Any bytes as a response: it is the same in one piece and in many, never more than its limit, and its headers are of one line each.
#include <again/httplib/detail/response_parser.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using again::http::response;
  using again::http::detail::response_parser;
  using state = response_parser::state;
  constexpr std::uint64_t most = 100;
  const std::string_view all{reinterpret_cast<const char*>(data), size};
  const bool head = size % 5 == 0;
  response_parser whole{most, head};
  whole.feed(all);
  const state at_end = whole.end();
  response expected = whole.take();
  if (expected.body.size() > most) std::abort();
  if (at_end == state::malformed && *whole.reason() == '\0') std::abort();
  for (const auto& [name, value] : expected.headers)
    if (name.empty() || value.find_first_of(std::string_view{"\r\n\0", 3}) != std::string_view::npos) std::abort();
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}}) {
    response_parser parts{most, head};
    std::string_view rest = all;
    while (!rest.empty() && parts.feed(rest.substr(0, piece)) == state::more)
      rest.remove_prefix(std::min(piece, rest.size()));
    if (parts.end() != at_end) std::abort();
    const response got = parts.take();
    if (got.status != expected.status || got.body != expected.body) std::abort();
    if (at_end != state::malformed && got.headers != expected.headers) std::abort();
  }
  return 0;
}
