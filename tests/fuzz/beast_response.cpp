// SPDX-License-Identifier: MIT
// Any bytes as a response, by Beast's parser: a whole one is the same in one piece and in many, never more than its limit, and its
// headers are of one line each.
#include <again/beast/detail/response_reader.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using again::beast::detail::response_reader;
  using again::http::response;
  using state = response_reader::state;
  constexpr std::uint64_t most = 100;
  const std::string_view all{reinterpret_cast<const char*>(data), size};
  const bool head = size % 5 == 0;
  response_reader whole{most, head};
  whole.feed(all);
  const state at_end = whole.end();
  const bool has_head = whole.has_head();
  const response expected = whole.take();
  if (expected.body.size() > most) std::abort();
  if (head && !expected.body.empty()) std::abort();
  if (at_end == state::malformed && *whole.reason() == '\0') std::abort();
  if (at_end == state::whole && (!has_head || expected.status < 200)) std::abort();
  for (const auto& [name, value] : expected.headers)
    if (name.empty() || value.find_first_of(std::string_view{"\r\n\0", 3}) != std::string_view::npos) std::abort();
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}}) {
    response_reader parts{most, head};
    std::string_view rest = all;
    while (!rest.empty() && parts.feed(rest.substr(0, piece)) == state::more)
      rest.remove_prefix(std::min(piece, rest.size()));
    const state now = parts.end();
    // Beast's parser looks at a line once it is there: what is wrong with one that has not ended yet it may say or not.
    const auto open = [](state st) { return st == state::more || st == state::malformed; };
    if (now != at_end && !(open(now) && open(at_end))) std::abort();
    if (open(now)) continue;
    if (parts.has_head() != has_head) std::abort();
    const response got = parts.take();
    if (got.status != expected.status || got.body != expected.body || got.headers != expected.headers) std::abort();
  }
  return 0;
}
