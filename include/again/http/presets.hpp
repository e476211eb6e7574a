// SPDX-License-Identifier: MIT
/// \file
/// The rules of known clients by name, each with where it differs from the default and whether that is wise. The table in
/// docs/http.md is printed from this one.
#pragma once

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
  std::string_view client;   ///< whose behaviour it is
  const http::rules* rules;  ///< the data
  int attempts;  ///< sends in all in that client's own test cases; how many you make is your policy's business
  std::string_view differs;  ///< from the default, in one sentence
  std::string_view wise;     ///< whether that is wise, and why
};

inline constexpr std::array presets{
    preset{"rfc9110", "the default", &rules::rfc9110, 3,
           "Repeats only what cannot do harm: any method that was not sent, else idempotent methods and requests with "
           "a key; obeys Retry-After of 413, 429 and 503 up to an hour.",
           "Yes: nothing is applied twice, and no server is asked before it wants to be."},
    preset{"rfc9110_refusals", "the default, with refusals repeated", &rules::rfc9110_refusals, 3,
           "Repeats 408, 421, 425, 429 and 503 for every method, and responses that are not HTTP for repeatable ones.",
           "Where your servers refuse before they act, as these statuses suggest; an RFC promises it of 421 and 425 "
           "alone, so it is opt-in."},
    preset{"curl", "curl --retry", &rules::curl, 3,
           "Repeats every method after timeouts and transient statuses (522 and 524 too), but neither resets nor "
           "refused connections; a Retry-After beyond six hours is cut to six hours.",
           "Not with POST: a request that timed out may have been applied, and is sent again."},
    preset{"curl_all_errors", "curl --retry --retry-all-errors", &rules::curl_all_errors, 3,
           "The same, and every transport error besides: refused, reset, closed, truncated, not HTTP.",
           "Not with POST, even less so: a reset after the request is the classic double order."},
    preset{
        "urllib3", "urllib3 Retry()", &rules::urllib3, 2,
        "Repeats no status by itself, but 413, 429 and 503 where the response has a Retry-After; a body that was cut "
        "short is final, a name that does not resolve as well.",
        "Safe; but a plain 503 is the most common outage there is, and it stays one error."},
    preset{"go_retryablehttp", "hashicorp/go-retryablehttp", &rules::go_retryablehttp, 3,
           "Repeats every method after any error and any 5xx but 501, and obeys a Retry-After of any length.",
           "Not with POST, and not without a deadline: a server can hold the caller for years."},
    preset{"reqwest_retry", "reqwest-retry (Rust)", &rules::reqwest_retry, 4,
           "Repeats every method after 408, 429, every 5xx and most transport errors; ignores Retry-After.",
           "Not with POST; 501 and 505 do not heal; not listening to 429 is what gets clients banned."},
    preset{
        "apache5", "Apache HttpClient 5", &rules::apache5, 2,
        "Repeats 429 and 503 for every method, and of errors only resets of idempotent requests; refused connections "
        "and timeouts are final.",
        "Cautious where it is harmless (a refused connection was not sent) and bold where it is not (POST after 503)."},
    preset{"got", "got (Node.js)", &rules::got, 3,
           "Idempotent methods only, even where nothing was sent; 413 only with Retry-After; obeys it on 408, 500, 502 "
           "and 504 too, at any length; 521, 522 and 524 besides.",
           "Safe, and gives up needlessly on a POST that found nobody listening."},
    preset{"ky", "ky (browsers)", &rules::ky, 3,
           "Like got without Cloudflare's statuses; timeouts are final, QUERY is repeatable, and a Retry-After beyond "
           "a maximum (none by default) is cut.",
           "Safe; but asking earlier than asked to is what Retry-After exists to prevent."},
    preset{"okhttp", "OkHttp", &rules::okhttp, 2,
           "Repeats 408 for every method, 503 only with Retry-After: 0, and lost connections; never waits.",
           "As a layer beneath a real policy: it cures stale connections and no outage."},
    preset{"axios_retry", "axios-retry (Node.js)", &rules::axios_retry, 4,
           "Idempotent methods (TRACE not) after 429, every 5xx and lost connections; timeouts and truncated responses "
           "are final; obeys a Retry-After of any length.",
           "Safe; 501 and 505 do not heal, and a timed-out GET could well be repeated."},
    preset{"none", "no retry at all", &rules::none, 1, "Repeats nothing.",
           "Where something above retries already: one layer is enough."},
};

/// The preset of that name, or null.
constexpr const preset* find_preset(std::string_view name) noexcept {
  for (const preset& p : presets)
    if (p.name == name) return &p;
  return nullptr;
}

/// The rules of that name, or a refusal that lists the names there are.
inline expected<rules, invalid> parse_rules(std::string_view name) {
  if (const preset* p = find_preset(name)) return *p->rules;
  std::string names;
  for (const preset& p : presets) names.append(names.empty() ? "" : ", ").append(p.name);
  return unexpected<invalid>{invalid{"no rules are called '" + std::string{name} + "'; there are: " + names}};
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
