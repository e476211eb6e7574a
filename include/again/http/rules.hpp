// SPDX-License-Identifier: MIT
/// \file
/// `rules`: what an HTTP outcome means to a retry, as data, and `judge`, the one pure function that applies them.
///
/// The default is RFC 9110's safe reading. `rules::curl`, `rules::urllib3`, … are those of clients people know; presets.hpp
/// has all of them by name, with what they differ in. Change one member and it is yours: `auto r = rules{}; r.statuses.insert(409);`
#pragma once

#include <again/core/clock.hpp>
#include <again/http/error_kind.hpp>
#include <again/http/method.hpp>
#include <again/http/status.hpp>
#include <again/policy/policy.hpp>
#include <again/policy/verdict.hpp>

#include <chrono>
#include <optional>
#include <string_view>
#include <type_traits>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// Data: trivially copyable, comparable, constexpr; write it with designated initializers.
struct rules {
  /// Statuses that are a value and not an error, unless they are worth another attempt. Default: 2xx and 3xx. A webhook that must be
  /// taken sets `status_set::range(200, 299)`: a redirect that is not followed has delivered nothing.
  status_set successes = status_set::range(200, 399);
  /// Statuses worth another attempt, where the request may be repeated. Default: those that say "not now".
  status_set statuses{408, 425, 429, 500, 502, 503, 504};
  /// Statuses worth another attempt of any method: refusals before processing. Default none: an RFC promises it of 421 (RFC 9110
  /// 15.5.20) and 425 (RFC 8470 5.2) alone, and servers' code is not always RFC.
  status_set any_method_statuses{};
  /// Methods that may be repeated after something of the request was sent. A key or `idempotent` on the request outranks it.
  method_set methods = method_set::idempotent();
  /// Where not a byte was sent, any method may be repeated (RFC 9110 9.2.2: "the original request was never applied").
  bool not_sent_any_method = true;
  /// Errors worth another attempt. Default: all that time may cure.
  error_set errors{error_kind::resolve, error_kind::refused, error_kind::connect_timeout, error_kind::tls_handshake,
                   error_kind::reset,   error_kind::closed,  error_kind::timeout,         error_kind::truncated};
  /// Of truncated responses, those that were cut in the header section: as if in `errors`.
  bool truncated_headers = false;

  /// Statuses whose Retry-After is obeyed (RFC 9110 10.2.3, RFC 6585 4).
  status_set respect_retry_after{413, 429, 503};
  /// The longest wait a server may ask for. Default an hour; `forever`: no bound of the rules (a policy's deadline still is one).
  duration max_retry_after = std::chrono::hours{1};
  again::over_max over_max = again::over_max::stop;
  /// A respected Retry-After makes its status worth another attempt even where `statuses` lacks it.
  bool retry_after_forces_retry = false;
  /// Statuses of `statuses` that are worth another attempt only with a respected Retry-After.
  status_set needs_retry_after{};
  /// Statuses worth another attempt only where Retry-After says 0, whatever `statuses` says.
  status_set zero_retry_after_statuses{};
  /// Without Retry-After, read RateLimit, RateLimit-Reset, X-RateLimit-Reset and their like (see retry_after.hpp).
  bool rate_limit_headers = false;
  /// Obey X-Should-Retry and Stripe-Should-Retry: "false" ends the retry (`forbidden`), "true" makes any status worth another
  /// attempt. What the API's own clients do for Stripe and OpenAI; no standard.
  bool should_retry_headers = false;

  friend constexpr bool operator==(const rules&, const rules&) = default;

  /// The default, RFC 9110 to the letter; and the same with refusals (408, 421, 425, 429, 503) repeated for any method.
  static const rules rfc9110, rfc9110_refusals;
  /// Those of other clients, as their own tests have them; and none, which repeats nothing.
  static const rules curl, curl_all_errors, urllib3, go_retryablehttp, reqwest_retry, apache5, got, ky, okhttp,
      axios_retry, none;
};

/// How a send ended, as far as the rules care.
struct outcome {
  error_kind kind = error_kind::status;
  again::reach reach = again::reach::answered;
  int status = 0;  ///< of the response, also where it was cut short; 0: none came, or not all of its headers
  std::optional<duration> retry_after{};  ///< what the response asks for (see `retry_after`); nothing: it does not
  std::optional<bool> should_retry{};     ///< what it says of another attempt (see `should_retry`); nothing: nothing
};

/// True where this status is a value and not an error: it was accepted by name, or is one of `successes` and not one to retry.
constexpr bool accepted(const rules& r, const status_set& accept, int status) noexcept {
  if (accept.contains(status)) return true;
  return r.successes.contains(status) && !r.statuses.contains(status) && !r.any_method_statuses.contains(status);
}

/// The decision: reach × method × key × replayable body × rules. Pure.
/// - Worth another attempt and safe to send again: transient, with the wait that the server asked for.
/// - Worth it, but not safe (or the body cannot be had again): not_replayable.
/// - Not worth it, or safe but excluded by `methods`: permanent. The server said no: forbidden. Our own stop: aborted.
constexpr verdict judge(const rules& r, const request_facts& request, const outcome& o) noexcept {
  verdict v{.kind = disposition::permanent, .reach = o.reach, .code = o.status, .name = name(o.kind)};
  const bool honoured = o.retry_after.has_value() && r.respect_retry_after.contains(o.status);
  if (honoured) {
    const bool over = *o.retry_after > r.max_retry_after;
    v.server_delay = over && r.over_max == again::over_max::cap ? r.max_retry_after : *o.retry_after;
    v.server_delay_too_long = over && r.over_max == again::over_max::stop;
  }

  bool wanted = false;
  bool whatever_method = o.reach == reach::not_sent && r.not_sent_any_method;
  switch (o.kind) {
    case error_kind::cancelled:
    case error_kind::deadline: v.kind = disposition::aborted; return v;
    case error_kind::invalid_request:
    case error_kind::unsupported: return v;
    case error_kind::status:
      whatever_method = whatever_method || r.any_method_statuses.contains(o.status);
      wanted = r.statuses.contains(o.status) || r.any_method_statuses.contains(o.status) ||
               (honoured && r.retry_after_forces_retry);
      if (r.needs_retry_after.contains(o.status) && !honoured) wanted = false;
      if (r.zero_retry_after_statuses.contains(o.status)) wanted = o.retry_after == duration::zero();
      break;
    default:
      wanted = r.errors.contains(o.kind) || (r.truncated_headers && o.kind == error_kind::truncated && o.status == 0);
  }
  if (r.should_retry_headers && o.should_retry) {
    wanted = *o.should_retry;
    if (!wanted) v.kind = disposition::forbidden;
  }
  if (!wanted) return v;

  const bool repeatable = request.idempotent.value_or(request.keyed || r.methods.contains(request.method));
  if (!whatever_method && !repeatable) {
    // What only `methods` excludes would be harmless to repeat: the reason is the rules', not safety.
    const bool harmless = o.reach == reach::not_sent || request.repeatable();
    v.kind = harmless ? disposition::permanent : disposition::not_replayable;
  } else {
    v.kind = request.replayable ? disposition::transient : disposition::not_replayable;
  }
  return v;
}

// ── the presets (presets.hpp says what they differ in) ──

inline constexpr rules rules::rfc9110{};
inline constexpr rules rules::rfc9110_refusals = [] {
  rules r;
  r.any_method_statuses = {408, 421, 425, 429, 503};
  r.errors.insert(error_kind::protocol);
  return r;
}();
/// tool_operate.c retrycheck(), `--retry`; lib/http.c clamps Retry-After to six hours.
inline constexpr rules rules::curl{
    .statuses = {408, 429, 500, 502, 503, 504, 522, 524},
    .methods = method_set::any(),
    .errors = {error_kind::resolve, error_kind::connect_timeout, error_kind::timeout},
    .respect_retry_after = {408, 429, 500, 502, 503, 504, 522, 524},
    .max_retry_after = std::chrono::hours{6},
    .over_max = again::over_max::cap,
};
/// The same with `--retry-all-errors`.
inline constexpr rules rules::curl_all_errors = [] {
  rules r = rules::curl;
  r.errors = {error_kind::resolve,       error_kind::refused,   error_kind::connect_timeout,
              error_kind::tls_handshake, error_kind::reset,     error_kind::closed,
              error_kind::timeout,       error_kind::truncated, error_kind::protocol};
  return r;
}();
/// urllib3/util/retry.py, the defaults of `Retry`.
inline constexpr rules rules::urllib3{
    .statuses = {},
    .errors = {error_kind::refused, error_kind::connect_timeout, error_kind::reset, error_kind::closed,
               error_kind::timeout, error_kind::protocol},
    .truncated_headers = true,
    .max_retry_after = std::chrono::hours{6},
    .over_max = again::over_max::cap,
    .retry_after_forces_retry = true,
};
/// client.go baseRetryPolicy and DefaultBackoff.
inline constexpr rules rules::go_retryablehttp{
    .statuses = status_set{429} | (status_set::range(500, 599) - status_set{501}),
    .methods = method_set::any(),
    .errors = rules::curl_all_errors.errors,
    .respect_retry_after = {429, 503},
    .max_retry_after = forever,
};
/// retryable_strategy.rs of TrueLayer/reqwest-middleware.
inline constexpr rules rules::reqwest_retry{
    .statuses = status_set{408, 429} | status_set::range(500, 599),
    .methods = method_set::any(),
    .errors = {error_kind::resolve, error_kind::refused, error_kind::connect_timeout, error_kind::reset,
               error_kind::closed, error_kind::timeout},
    .truncated_headers = true,
    .respect_retry_after = {},
    .max_retry_after = forever,
};
/// DefaultHttpRequestRetryStrategy of Apache HttpClient 5.
inline constexpr rules rules::apache5{
    .statuses = {429, 503},
    .any_method_statuses = {429, 503},
    .methods = {method::get, method::head, method::put, method::delete_, method::options, method::trace, method::query},
    .not_sent_any_method = false,
    .errors = {error_kind::reset},
    .respect_retry_after = {429, 503},
    .max_retry_after = forever,
};
/// source/core/options.ts and calculate-retry-delay.ts of sindresorhus/got.
inline constexpr rules rules::got{
    .statuses = {408, 413, 429, 500, 502, 503, 504, 521, 522, 524},
    .not_sent_any_method = false,
    .errors = {error_kind::resolve, error_kind::refused, error_kind::connect_timeout, error_kind::reset,
               error_kind::timeout},
    .respect_retry_after = {408, 413, 429, 500, 502, 503, 504},
    .max_retry_after = forever,
    .needs_retry_after = {413},
};
/// sindresorhus/ky, as its test/retry.ts has it.
inline constexpr rules rules::ky{
    .statuses = {408, 413, 429, 500, 502, 503, 504},
    .methods = rules::apache5.methods,
    .not_sent_any_method = false,
    .errors = {error_kind::resolve, error_kind::refused, error_kind::connect_timeout, error_kind::reset,
               error_kind::closed},
    .max_retry_after = forever,
    .over_max = again::over_max::cap,
    .needs_retry_after = {413},
};
/// RetryAndFollowUpInterceptor of square/okhttp: 408 once, 503 only where Retry-After is 0.
inline constexpr rules rules::okhttp{
    .statuses = {},
    .any_method_statuses = {408},
    .methods = method_set::any(),
    .errors = {error_kind::reset, error_kind::closed},
    .respect_retry_after = {},
    .max_retry_after = duration::zero(),
    .zero_retry_after_statuses = {503},
};
/// isNetworkOrIdempotentRequestError of softonic/axios-retry.
inline constexpr rules rules::axios_retry{
    .statuses = status_set{429} | status_set::range(500, 599),
    .methods = {method::get, method::head, method::options, method::put, method::delete_},
    .errors = {error_kind::resolve, error_kind::refused, error_kind::reset, error_kind::closed},
    .respect_retry_after = {429, 500, 502, 503, 504},
    .max_retry_after = forever,
};
inline constexpr rules rules::none{
    .statuses = {},
    .methods = {},
    .not_sent_any_method = false,
    .errors = {},
    .respect_retry_after = {},
    .max_retry_after = forever,
};

static_assert(std::is_trivially_copyable_v<rules> && std::is_trivially_destructible_v<rules>);

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
