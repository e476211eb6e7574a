// SPDX-License-Identifier: MIT
// Any text: refused, or a URL whose own text is the same URL, and whose target cannot end a request line. Redirects too.
#include <again/http/url.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

void check(const again::expected<again::http::url, again::http::invalid>& u) {
  using namespace again::http;
  if (!u) {
    if (u.error().reason().empty()) std::abort();
    return;
  }
  if (u->origin.host.empty() || u->origin.port == 0 || validate_target(u->target)) std::abort();
  for (const char c : u->text())
    if (c <= ' ' || c > '~') std::abort();
  const auto again = parse_url(u->text());
  if (!again || *again != *u) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace again::http;
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  const std::string_view base = detail::take_until(rest, '\0');
  const auto u = parse_url(base);
  check(u);
  check(resolve_reference(u ? *u : url{{scheme::http, "h", 80}, "/a/b?c"}, rest));
  return 0;
}
