// SPDX-License-Identifier: MIT
/// \file
/// The rules of known HTTP clients by name: how each differs from the default, and whether that is wise. The table in docs/http.md
/// is made from this one.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>
#include <again/http/rules.hpp>

#include <array>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

struct preset {
  std::string_view name;     ///< as in `rules::name` and `send --rules NAME`
  std::string_view client;   ///< the client that behaves so
  const http::rules* rules;  ///< the data
  int attempts;              ///< sends in all in that client's own test cases; your policy has its own number
  std::string_view differs;  ///< from the default, in one sentence
  std::string_view wise;     ///< whether that is wise, and why
};

inline constexpr std::array presets{
    preset{"rfc9110", "the default", &rules::rfc9110, 3,
           "Repeats only what cannot do harm: any method that was not sent, else idempotent methods and requests with "
           "a key; obeys every Retry-After up to an hour.",
           "Yes: nothing is applied twice, and no server gets a request before the time that it named."},
    preset{
        "rfc9110_refusals", "the default, with refusals repeated", &rules::rfc9110_refusals, 3,
        "Repeats 408, 421, 425, 429 and 503 for every method, and responses that are not HTTP for repeatable ones.",
        "Where your servers refuse before they act, as these statuses suggest. The RFCs promise that for 421 and 425 "
        "alone, so it is opt-in."},
    preset{"curl", "curl --retry", &rules::curl, 3,
           "Repeats every method after timeouts and transient statuses (522 and 524 too), but not after a reset or a "
           "refused connection; a Retry-After above six hours is cut to six hours.",
           "Not with POST: a request that timed out may have been applied, and is sent again."},
    preset{"curl_all_errors", "curl --retry --retry-all-errors", &rules::curl_all_errors, 3,
           "As curl, and after every transport error too: refused, reset, closed, truncated, not HTTP.",
           "Not with POST: a reset after the request is the usual cause of a double order."},
    preset{
        "urllib3", "urllib3 Retry()", &rules::urllib3, 2,
        "Repeats a status only where it is 413, 429 or 503 with a Retry-After; a body that was cut short is final, and "
        "so is a name that does not resolve.",
        "Safe; but a 503 without Retry-After is the most common outage, and it is not repeated."},
    preset{"go_retryablehttp", "hashicorp/go-retryablehttp", &rules::go_retryablehttp, 3,
           "Repeats every method after any error and any 5xx but 501, and obeys a Retry-After of any length.",
           "Not with POST, and not without a deadline: a server can make the caller wait for years."},
    preset{
        "reqwest_retry", "reqwest-retry (Rust)", &rules::reqwest_retry, 4,
        "Repeats every method after 408, 429, every 5xx and most transport errors; ignores Retry-After.",
        "Not with POST; 501 and 505 stay as they are; a client that ignores the Retry-After of a 429 may be banned."},
    preset{
        "apache5", "Apache HttpClient 5", &rules::apache5, 2,
        "Repeats 429 and 503 for every method, and of errors only resets of idempotent requests; refused connections "
        "and timeouts are final.",
        "It gives up where a repetition is harmless (nothing was sent) and repeats where it is not (POST after 503)."},
    preset{"got", "got (Node.js)", &rules::got, 3,
           "Idempotent methods only, even where nothing was sent; 413 only with Retry-After; obeys it on 408, 500, 502 "
           "and 504 too, at any length; 521, 522 and 524 besides.",
           "Safe, but it gives up on a POST whose connection was refused, which was never sent."},
    preset{"ky", "ky (browsers)", &rules::ky, 3,
           "Like got without Cloudflare's statuses; timeouts are final, QUERY is repeatable, and a Retry-After beyond "
           "a maximum (none by default) is cut.",
           "Safe; but an attempt before the time that the server named is what Retry-After prevents."},
    preset{"okhttp", "OkHttp", &rules::okhttp, 2,
           "Repeats 408 for every method, 503 only with Retry-After: 0, and lost connections; never waits.",
           "As a layer below a policy of yours: it helps with stale connections and with no outage."},
    preset{"axios_retry", "axios-retry (Node.js)", &rules::axios_retry, 4,
           "Idempotent methods (TRACE not) after 429, every 5xx and lost connections; timeouts and truncated responses "
           "are final; obeys a Retry-After of any length.",
           "Safe; 501 and 505 stay as they are, and a GET that timed out could be repeated."},
    preset{"none", "no retry at all", &rules::none, 1, "Repeats nothing.",
           "Where a layer above retries already: one layer is enough."},
};

/// The preset of that name, or null.
constexpr const preset* find_preset(std::string_view name) noexcept {
  for (const preset& p : presets)
    if (p.name == name) return &p;
  return nullptr;
}

/// The rules of that name. Error: a sentence with all names.
inline expected<rules, invalid> parse_rules(std::string_view name) {
  if (const preset* p = find_preset(name)) return *p->rules;
  std::string names;
  for (const preset& p : presets) detail::append_item(names, p.name);
  return unexpected<invalid>{invalid{"no rules are called '" + std::string{name} + "'; there are: " + names}};
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
