// SPDX-License-Identifier: MIT
/// \file
/// When and why a webhook is sent again, as Standard Webhooks 1.0 has it: a schedule over days, and what each response means.
///
/// ```cpp
/// auto sent = co_await again::retry(again::webhook::standard_policy, api.send(hook));     // client_options{.rules = standard_rules}
/// if (!sent && meaning(sent.error()) == again::webhook::response_meaning::gone) disable(endpoint);
/// ```
///
/// | what | value | why |
/// |---|---|---|
/// | attempts | at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h | the example of the specification: 75 h 35 min in all |
/// | jitter | up to a tenth, both ways | so that events that failed together do not come back together |
/// | attempt timeout | 20 s | the specification recommends 15 to 30 s |
/// | deadline | 4 days | the schedule with all its jitter and timeouts fits in |
/// | success | 2xx alone | a redirect is a failure: the owner of the endpoint mends its URL |
/// | no further attempt | 410, 415 | the receiver wants no more; it will never understand the format (CloudEvents) |
/// | Retry-After | obeyed up to 24 h | the longest wait of the schedule |
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/enumerators.hpp>
#include <again/http/error_kind.hpp>
#include <again/http/method.hpp>
#include <again/http/rules.hpp>
#include <again/http/status.hpp>
#include <again/policy/backoff.hpp>
#include <again/policy/policy.hpp>

#include <chrono>
#include <cstdint>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace webhook {

/// The waits between ten attempts.
inline constexpr backoff standard_schedule =
    fixed(std::chrono::seconds{5}, std::chrono::minutes{5}, std::chrono::minutes{30}, std::chrono::hours{2},
          std::chrono::hours{5}, std::chrono::hours{10}, std::chrono::hours{14}, std::chrono::hours{20},
          std::chrono::hours{24});

inline constexpr checked_policy standard_policy = checked({
    .attempts = 10,
    .backoff = standard_schedule,
    .jitter = jitter::proportional(0.1),
    .attempt_timeout = std::chrono::seconds{20},
    .deadline = std::chrono::hours{96},
    .server_delay_max = std::chrono::hours{24},
});

/// Every method, because the receiver takes one `webhook-id` once. Of the errors all that the receiver may mend within days.
inline constexpr http::rules standard_rules = [] {
  http::rules r;
  r.successes = http::status_set::range(200, 299);
  r.statuses = http::status_set::range(300, 599) - http::status_set{410, 415};
  r.methods = http::method_set::any();
  r.errors.insert(http::error_kind::tls_verify);
  r.errors.insert(http::error_kind::protocol);
  r.max_retry_after = std::chrono::hours{24};
  return r;
}();

/// What the status of a response means for its endpoint.
enum class response_meaning : std::uint8_t {
  delivered,  ///< 2xx
  failed,     ///< this attempt: send again by the schedule
  throttled,  ///< 429, 502, 504: the endpoint is overloaded; send all of its messages more slowly
  gone,       ///< 410: the receiver wants no more messages; disable the endpoint
};
/// The enumerator's name, as written above; static storage.
constexpr std::string_view name(response_meaning m) noexcept { return again::detail::enumerator_name(m); }

/// `status` 0: there was no response.
constexpr response_meaning meaning(int status) noexcept {
  if (status >= 200 && status <= 299) return response_meaning::delivered;
  if (status == 410) return response_meaning::gone;
  if (status == 429 || status == 502 || status == 504) return response_meaning::throttled;
  return response_meaning::failed;
}

}  // namespace webhook
}  // namespace AGAIN_ABI
}  // namespace again
