// SPDX-License-Identifier: MIT
/// \file
/// `rules`: which responses and errors are worth another attempt, as data, and `judge`, the pure function that applies them.
///
/// The default is RFC 9110's safe reading. `rules::curl`, `rules::urllib3`, … are the rules of known clients; presets.hpp lists them
/// by name, with how they differ. Rules of yours start from a copy: `auto r = rules{}; r.statuses.insert(409);`
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

/// Trivially copyable, comparable, constexpr; written with designated initializers.
struct rules {
  /// Statuses that are a value and not an error, unless they are worth another attempt. Default: 2xx and 3xx. A webhook sets
  /// `status_set::range(200, 299)`, because a redirect that is not followed has delivered nothing.
  status_set successes = status_set::range(200, 399);
  /// Statuses worth another attempt where the request may be repeated. Default: the statuses of a passing condition.
  status_set statuses{408, 425, 429, 500, 502, 503, 504};
  /// A status that is not registered counts as the x00 of its class, and one from 600 on as 500, in every set of these rules
  /// (RFC 9110 15: a client MUST). False: the sets are taken as they are, as other clients do.
  bool unknown_as_class = true;
  /// Statuses worth another attempt with every method, because the server refused before it acted. Default: none, because the RFCs
  /// promise that for 421 (RFC 9110 15.5.20) and 425 (RFC 8470 5.2) alone, and not every server keeps to them.
  status_set any_method_statuses{};
  /// Statuses worth another attempt of a request with an Idempotency-Key while the server may still process an earlier attempt with
  /// that key, which got no response. Default: 409 (draft-ietf-httpapi-idempotency-key-header 2.7). 422 is never one: it says that
  /// the key was used for another content.
  status_set outstanding_key_statuses{409};
  /// Methods that may be repeated after a part of the request was sent. A key or `idempotent` of the request outranks it.
  method_set methods = method_set::idempotent();
  /// Where no byte was sent, every method may be repeated (RFC 9110 9.2.2: "the original request was never applied").
  bool not_sent_any_method = true;
  /// Errors worth another attempt. Default: all that may be over at the next attempt.
  error_set errors{error_kind::resolve,       error_kind::refused,   error_kind::connect_timeout,
                   error_kind::tls_handshake, error_kind::reset,     error_kind::closed,
                   error_kind::timeout,       error_kind::truncated, error_kind::shortage};
  /// A truncated response that was cut in the header section is worth another attempt, even where `errors` has no `truncated`.
  bool truncated_headers = false;

  /// Statuses whose Retry-After is obeyed. Default: all. RFC 9110 10.2.3 allows the field in every response; on a status that is not
  /// worth another attempt it has no effect.
  status_set respect_retry_after = status_set::range(100, 999);
  /// The longest wait that a server may ask for. Default: an hour; `forever`: as long as the policy's deadline allows.
  duration max_retry_after = std::chrono::hours{1};
  /// What to do when it asks for more.
  again::over_max over_max = again::over_max::stop;
  /// A respected Retry-After makes its status worth another attempt even where `statuses` does not have it.
  bool retry_after_forces_retry = false;
  /// Statuses of `statuses` that are worth another attempt only with a respected Retry-After.
  status_set needs_retry_after{};
  /// Statuses worth another attempt only where Retry-After is 0; it outranks `statuses`.
  status_set zero_retry_after_statuses{};
  /// Without Retry-After, read RateLimit, RateLimit-Reset, X-RateLimit-Reset and similar fields (see retry_after.hpp).
  bool rate_limit_headers = false;
  /// Obey X-Should-Retry and Stripe-Should-Retry: "false" ends the retry (`forbidden`), "true" makes every status worth another
  /// attempt. Stripe's and OpenAI's own clients do it; there is no standard.
  bool should_retry_headers = false;

  friend constexpr bool operator==(const rules&, const rules&) = default;

  /// The default; and the default with refusals (408, 421, 425, 429, 503) repeated for every method.
  static const rules rfc9110, rfc9110_refusals;
  /// The rules of other clients, as their own tests have them; and `none`, which repeats nothing.
  static const rules curl, curl_all_errors, urllib3, go_retryablehttp, reqwest_retry, apache5, got, ky, okhttp,
      axios_retry, none;
};

/// How a send ended, as far as the rules need it.
struct outcome {
  error_kind kind = error_kind::status;
  again::reach reach = again::reach::answered;
  int status = 0;  ///< of the response, also of one that was cut short; 0: none, or one cut in its headers
  std::optional<duration> retry_after{};  ///< the wait that the response asks for (see `retry_after`)
  std::optional<bool> should_retry{};     ///< whether the response asks for another attempt (see `should_retry`)
};

/// Whether a response of this status is a value and not an error: the request accepts it, or it is one of `successes` and the rules
/// do not retry it.
constexpr bool accepted(const rules& r, const status_set& accept, int status) noexcept {
  if (accept.contains(status)) return true;
  return r.successes.contains(status) && !r.statuses.contains(status) && !r.any_method_statuses.contains(status);
}

/// The `verdict::name` of a response that says that an earlier attempt with the same key is still being processed.
inline constexpr std::string_view outstanding = "outstanding";

/// Judges one outcome. A pure function of rules, method, key, body and reach.
/// - Worth another attempt and safe to send again: `transient`, with the wait that the server asked for.
/// - Worth it, but not safe, or the body cannot be sent again: `not_replayable`.
/// - Not worth it, or safe but excluded by `methods`: `permanent`.
/// - The server asked for no further attempt: `forbidden`. Our own stop: `aborted`.
constexpr verdict judge(const rules& r, const request_facts& request, const outcome& o) noexcept {
  verdict v{.kind = disposition::permanent,
            .reach = o.reach,
            .judges_timeouts = true,
            .code = o.status,
            .name = name(o.kind)};
  const auto in = [&r, &o](const status_set& set) {
    return set.contains(o.status) || (r.unknown_as_class && set.contains(equivalent_status(o.status)));
  };
  const bool honoured = o.retry_after.has_value() && in(r.respect_retry_after);
  if (honoured) {
    const bool over = *o.retry_after > r.max_retry_after;
    v.server_delay = over && r.over_max == again::over_max::cap ? r.max_retry_after : *o.retry_after;
    v.server_delay_too_long = over && r.over_max == again::over_max::stop;
  }

  bool wanted = false;
  const bool any_method = (o.reach == reach::not_sent && r.not_sent_any_method) ||
                          (o.kind == error_kind::status && in(r.any_method_statuses));
  const bool repeatable =
      any_method || request.idempotent.value_or(request.keyed || r.methods.contains(request.method));
  v.repeatable = repeatable && request.replayable;
  switch (o.kind) {
    case error_kind::cancelled:
    case error_kind::deadline: v.kind = disposition::aborted; return v;
    case error_kind::invalid_request:
    case error_kind::denied:
    case error_kind::unsupported: return v;
    case error_kind::status:
      wanted = in(r.statuses) || in(r.any_method_statuses) || (honoured && r.retry_after_forces_retry);
      if (in(r.needs_retry_after) && !honoured) wanted = false;
      if (in(r.zero_retry_after_statuses)) wanted = o.retry_after == duration::zero();
      if (request.keyed && request.outstanding && in(r.outstanding_key_statuses)) {
        wanted = true;
        v.name = outstanding;
      }
      break;
    default:
      wanted = r.errors.contains(o.kind) || (r.truncated_headers && o.kind == error_kind::truncated && o.status == 0);
  }
  if (r.should_retry_headers && o.should_retry) {
    wanted = *o.should_retry;
    if (!wanted) v.kind = disposition::forbidden;
  }
  if (!wanted) return v;

  if (repeatable) {
    v.kind = request.replayable ? disposition::transient : disposition::not_replayable;
  } else {
    // Where only `methods` excludes the request, a repetition would be harmless: the reason is the rules and not safety.
    const bool harmless = o.reach == reach::not_sent || request.repeatable();
    v.kind = harmless ? disposition::permanent : disposition::not_replayable;
  }
  return v;
}

// ── the presets (presets.hpp says how they differ) ──

namespace detail {
/// The rules of a client that takes its lists of statuses as they are, and knows nothing of keys.
constexpr rules other_client(rules r) noexcept {
  r.unknown_as_class = false;
  r.outstanding_key_statuses = {};
  return r;
}
}  // namespace detail

inline constexpr rules rules::rfc9110{};
inline constexpr rules rules::rfc9110_refusals = [] {
  rules r;
  r.any_method_statuses = {408, 421, 425, 429, 503};
  r.errors.insert(error_kind::protocol);
  return r;
}();
/// tool_operate.c retrycheck(), `--retry`; lib/http.c clamps Retry-After to six hours.
inline constexpr rules rules::curl = detail::other_client({
    .statuses = {408, 429, 500, 502, 503, 504, 522, 524},
    .methods = method_set::any(),
    .errors = {error_kind::resolve, error_kind::connect_timeout, error_kind::timeout},
    .respect_retry_after = {408, 429, 500, 502, 503, 504, 522, 524},
    .max_retry_after = std::chrono::hours{6},
    .over_max = again::over_max::cap,
});
/// The same with `--retry-all-errors`.
inline constexpr rules rules::curl_all_errors = [] {
  rules r = rules::curl;
  r.errors = {error_kind::resolve,       error_kind::refused,   error_kind::connect_timeout,
              error_kind::tls_handshake, error_kind::reset,     error_kind::closed,
              error_kind::timeout,       error_kind::truncated, error_kind::protocol};
  return r;
}();
/// urllib3/util/retry.py, the defaults of `Retry`.
inline constexpr rules rules::urllib3 = detail::other_client({
    .statuses = {},
    .errors = {error_kind::refused, error_kind::connect_timeout, error_kind::reset, error_kind::closed,
               error_kind::timeout, error_kind::protocol},
    .truncated_headers = true,
    .respect_retry_after = {413, 429, 503},
    .max_retry_after = std::chrono::hours{6},
    .over_max = again::over_max::cap,
    .retry_after_forces_retry = true,
});
/// client.go baseRetryPolicy and DefaultBackoff.
inline constexpr rules rules::go_retryablehttp = detail::other_client({
    .statuses = status_set{429} | (status_set::range(500, 599) - status_set{501}),
    .methods = method_set::any(),
    .errors = rules::curl_all_errors.errors,
    .respect_retry_after = {429, 503},
    .max_retry_after = forever,
});
/// retryable_strategy.rs of TrueLayer/reqwest-middleware.
inline constexpr rules rules::reqwest_retry = detail::other_client({
    .statuses = status_set{408, 429} | status_set::range(500, 599),
    .methods = method_set::any(),
    .errors = {error_kind::resolve, error_kind::refused, error_kind::connect_timeout, error_kind::reset,
               error_kind::closed, error_kind::timeout},
    .truncated_headers = true,
    .respect_retry_after = {},
    .max_retry_after = forever,
});
/// DefaultHttpRequestRetryStrategy of Apache HttpClient 5.
inline constexpr rules rules::apache5 = detail::other_client({
    .statuses = {429, 503},
    .any_method_statuses = {429, 503},
    .methods = {method::get, method::head, method::put, method::delete_, method::options, method::trace, method::query},
    .not_sent_any_method = false,
    .errors = {error_kind::reset},
    .respect_retry_after = {429, 503},
    .max_retry_after = forever,
});
/// source/core/options.ts and calculate-retry-delay.ts of sindresorhus/got.
inline constexpr rules rules::got = detail::other_client({
    .statuses = {408, 413, 429, 500, 502, 503, 504, 521, 522, 524},
    .not_sent_any_method = false,
    .errors = {error_kind::resolve, error_kind::refused, error_kind::connect_timeout, error_kind::reset,
               error_kind::timeout},
    .respect_retry_after = {408, 413, 429, 500, 502, 503, 504},
    .max_retry_after = forever,
    .needs_retry_after = {413},
});
/// sindresorhus/ky, as its test/retry.ts has it.
inline constexpr rules rules::ky = detail::other_client({
    .statuses = {408, 413, 429, 500, 502, 503, 504},
    .methods = rules::apache5.methods,
    .not_sent_any_method = false,
    .errors = {error_kind::resolve, error_kind::refused, error_kind::connect_timeout, error_kind::reset,
               error_kind::closed},
    .respect_retry_after = {413, 429, 503},
    .max_retry_after = forever,
    .over_max = again::over_max::cap,
    .needs_retry_after = {413},
});
/// RetryAndFollowUpInterceptor of square/okhttp: 408 once, 503 only where Retry-After is 0.
inline constexpr rules rules::okhttp = detail::other_client({
    .statuses = {},
    .any_method_statuses = {408},
    .methods = method_set::any(),
    .errors = {error_kind::reset, error_kind::closed},
    .respect_retry_after = {},
    .max_retry_after = duration::zero(),
    .zero_retry_after_statuses = {503},
});
/// isNetworkOrIdempotentRequestError of softonic/axios-retry.
inline constexpr rules rules::axios_retry = detail::other_client({
    .statuses = status_set{429} | status_set::range(500, 599),
    .methods = {method::get, method::head, method::options, method::put, method::delete_},
    .errors = {error_kind::resolve, error_kind::refused, error_kind::reset, error_kind::closed},
    .respect_retry_after = {429, 500, 502, 503, 504},
    .max_retry_after = forever,
});
inline constexpr rules rules::none = detail::other_client({
    .statuses = {},
    .methods = {},
    .not_sent_any_method = false,
    .errors = {},
    .respect_retry_after = {},
    .max_retry_after = forever,
});

static_assert(std::is_trivially_copyable_v<rules> && std::is_trivially_destructible_v<rules>);

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
