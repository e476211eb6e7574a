// SPDX-License-Identifier: MIT
// Any text: no date, or one that is written and read again as itself.
#include <again/http/date.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace again::http;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const again::wall_time now{std::chrono::hours{24 * 365 * 50}};
  const auto when = parse_http_date(text, now);
  if (!when) return 0;
  if (parse_http_date(format_http_date(*when), now) != when) std::abort();
  if (parse_http_date(format_http_date(*when, date_form::asctime), now) != when) std::abort();
  return 0;
}
