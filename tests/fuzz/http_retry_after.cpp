// SPDX-License-Identifier: MIT
// Any values of the fields that ask for a wait: nothing, or a wait that is not negative; and a verdict that keeps its word.
#include <again/http/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace again::http;
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  headers fields;
  for (const char* name :
       {"Retry-After", "Date", "RateLimit", "RateLimit-Remaining", "X-RateLimit-Reset", "X-Should-Retry"}) {
    if (const auto value = detail::take_until(rest, '\0'); value != "-") fields.add(name, value);
  }
  const again::wall_time now{std::chrono::hours{24 * 365 * 50} + std::chrono::nanoseconds{123456789}};
  const auto wait = retry_after(fields, now, true);
  if (wait && *wait < again::duration::zero()) std::abort();
  rules r;
  r.rate_limit_headers = true;
  for (const auto over : {again::over_max::stop, again::over_max::cap}) {
    r.over_max = over;
    const error e{r, request_facts{}, response{503, fields}, now};
    const again::verdict v = e.verdict();
    if (!v.server_delay_too_long && v.server_delay > r.max_retry_after) std::abort();
    if (wait.has_value() != (v.server_delay >= again::duration::zero())) std::abort();
    if (e.text().empty()) std::abort();
  }
  return 0;
}
