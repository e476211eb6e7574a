// SPDX-License-Identifier: MIT
/// \file
/// Redirects (RFC 9110 15.4), followed by us and not by the HTTP library, and only where asked for: `client_options::max_redirects`,
/// or `.max_redirects(n)` on a request. Pure: what to send next, or why not.
///
/// A redirect is a request of its own, inside an attempt: `response::redirects` and `error::redirects` count them, and
/// `response::url` says where the response came from. A retry begins again with the original request.
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

/// Does the response lead elsewhere? 301, 302, 303, 307 or 308 with a Location. (300 leaves the choice to a reader, 304 is an
/// response, 305 and 306 are out of use.)
inline bool is_redirect(const response& response) noexcept {
  const int s = response.status;
  return (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) && response.headers.contains("Location");
}

/// 303: GET (HEAD stays HEAD). 301 and 302: POST becomes GET, as clients have always done. 307 and 308: unchanged.
constexpr method redirected_method(const method& m, int status) noexcept {
  if (status == 303 && m != method::head) return method::get;
  if ((status == 301 || status == 302) && m == method::post) return method::get;
  return m;
}

/// Is a field of that name for the origin it was meant for alone? Authorization, Cookie, Proxy-Authorization, and every name that
/// has auth, cookie, token, secret, session, credential, password, signature or api-key in it, or ends in key (not Idempotency-Key).
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

/// A request and where it goes.
struct redirection {
  redirection(http::origin o, http::request r) : origin{std::move(o)}, request{std::move(r)} {}
  http::origin origin;
  http::request request;
};

/// What `response` to `from`, sent to `there`, asks to be sent next.
/// - The method as `redirected_method` says. Where that makes a GET of something else, the body goes, and with it the fields that
///   describe it and the Idempotency-Key: it named another operation.
/// - To another origin no credentials go along; nor do If-… fields, which compare with what that origin never sent.
/// - Refused: a Location that is no http or https URL, https to http, and a body that is needed again but cannot be had again.
inline expected<redirection, invalid> redirected(const request& from, const origin& there, const response& response) {
  using bad = unexpected<invalid>;
  auto to = resolve_reference(url{there, from.target()}, response.headers.get("Location"));
  if (!to) return bad{invalid{"the redirect's Location is of no use: " + to.error().reason()}};
  if (there.scheme == scheme::https && to->origin.scheme == scheme::http)
    return bad{invalid{"the redirect leads from https to http"}};
  const method m = redirected_method(from.method(), response.status);
  if (m == from.method() && !from.body().replayable())
    return bad{invalid{"the redirect needs the body once more, which can be had once"}};
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
