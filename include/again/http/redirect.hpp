// SPDX-License-Identifier: MIT
/// \file
/// Redirects (RFC 9110 15.4): which request follows a response, as pure functions. The client follows redirects itself, not the HTTP
/// library, and only on request: `client_options::max_redirects`, or `.max_redirects(n)` of a request.
///
/// A redirect is one more request inside the attempt. `response::redirects` and `error::redirects` count them, and `response::url`
/// says where the response came from. The next attempt of a retry begins with the original request.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>
#include <again/http/message.hpp>
#include <again/http/url.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// Whether the response is a redirect: 301, 302, 303, 307 or 308 with a Location. 300 leaves the choice to a person, 304 answers a
/// conditional request, and 305 and 306 are deprecated.
inline bool is_redirect(const response& response) noexcept {
  const int s = response.status;
  return (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) && response.headers.contains("Location");
}

/// The method of the next request. 303: GET, or HEAD after HEAD. 301 and 302: GET after POST (RFC 9110 15.4.2 and 15.4.3 allow it,
/// and clients do it). 307 and 308: the same method.
constexpr method redirected_method(const method& m, int status) noexcept {
  if (status == 303 && m != method::head) return method::get;
  if ((status == 301 || status == 302) && m == method::post) return method::get;
  return m;
}

/// Whether a field of that name is for its own origin alone: Authorization, Cookie, Proxy-Authorization, and every name that has
/// auth, cookie, token, secret, session, credential, password, signature or api-key in it, or ends in key (not Idempotency-Key).
inline bool is_credential(std::string_view name) {
  std::string lower{name};
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return detail::lower(c); });
  for (const std::string_view part :
       {"auth", "cookie", "token", "secret", "session", "credential", "password", "signature"}) {
    if (lower.find(part) != std::string::npos) return true;
  }
  return (lower.ends_with("key") && lower != "idempotency-key") || lower.find("api-key") != std::string::npos ||
         lower.find("apikey") != std::string::npos;
}

/// A request and the origin that it is sent to.
struct redirection {
  redirection(http::origin o, http::request r) : origin{std::move(o)}, request{std::move(r)} {}
  http::origin origin;
  http::request request;
};

/// The request that `response` asks for, after `from` was sent to `there`.
/// - The method is that of `redirected_method`. Where it changes, the body is dropped, with the fields that describe it and the
///   Idempotency-Key, which belongs to the first operation.
/// - No credentials are sent to another origin, and no If-… fields, because that origin did not send what they compare with.
/// - Refused are a Location that is no http or https URL, a redirect from https to http, and a body that cannot be sent again.
inline expected<redirection, invalid> redirected(const request& from, const origin& there, const response& response) {
  using bad = unexpected<invalid>;
  auto to = resolve_reference(url{there, from.target()}, response.headers.get("Location"));
  if (!to) return bad{invalid{"the redirect's Location cannot be followed: " + to.error().reason()}};
  if (there.scheme == scheme::https && to->origin.scheme == scheme::http)
    return bad{invalid{"the redirect leads from https to http"}};
  const method m = redirected_method(from.method(), response.status);
  if (m == from.method() && !from.body().replayable())
    return bad{invalid{"the redirect needs the body again, which can be sent once"}};
  request next = from.redirected(m, std::move(to->target));
  const bool elsewhere = to->origin != there;
  http::headers kept;
  for (const auto& [name, value] : next.headers()) {
    const auto begins = [&](std::string_view with) {
      return detail::equal_ignoring_case(std::string_view{name}.substr(0, with.size()), with);
    };
    if (elsewhere && (is_credential(name) || begins("If-"))) continue;
    if (m != from.method() &&
        (begins("Content-") || begins("If-") || detail::equal_ignoring_case(name, "Digest") ||
         detail::equal_ignoring_case(name, "Repr-Digest") || detail::equal_ignoring_case(name, "Last-Modified") ||
         detail::equal_ignoring_case(name, idempotency_key_field))) {
      continue;
    }
    kept.add(name, value);
  }
  next.headers() = std::move(kept);
  return redirection{std::move(to->origin), std::move(next)};
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
