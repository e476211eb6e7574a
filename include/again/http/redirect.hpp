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

#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// Whether the response is a redirect: 301, 302, 303, 307 or 308 with a Location that is not empty. 300 leaves the choice to a person,
/// 304 answers a conditional request, and 305 and 306 are deprecated.
inline bool is_redirect(const response& response) noexcept {
  const int s = response.status;
  return (s == 301 || s == 302 || s == 303 || s == 307 || s == 308) && !response.headers.get("Location").empty();
}

/// The method of the next request. 303: GET, or HEAD after HEAD. 301 and 302: GET after POST (RFC 9110 15.4.2 and 15.4.3 allow it,
/// and clients do it). 307 and 308: the same method.
constexpr method redirected_method(const method& m, int status) noexcept {
  if (status == 303 && m != method::head) return method::get;
  if ((status == 301 || status == 302) && m == method::post) return method::get;
  return m;
}

/// Whether a header field of that name is sent to another origin. Only fields that are known to hold no secret are: content
/// negotiation, what describes the body (the attributes of a CloudEvent are that too), caching and ranges, User-Agent, traceparent and
/// the Idempotency-Key, which names an operation and gives access to nothing. Every other field stays with its origin, because the
/// names of fields with credentials cannot be listed.
constexpr bool crosses_origins(std::string_view name) noexcept {
  for (const std::string_view harmless : {"Accept",
                                          "Accept-Charset",
                                          "Accept-Encoding",
                                          "Accept-Language",
                                          "Cache-Control",
                                          "Content-Digest",
                                          "Content-Disposition",
                                          "Content-Encoding",
                                          "Content-Language",
                                          "Content-Type",
                                          "Date",
                                          "Digest",
                                          "Idempotency-Key",
                                          "Pragma",
                                          "Prefer",
                                          "Range",
                                          "Repr-Digest",
                                          "User-Agent",
                                          "traceparent",
                                          "ce-dataschema",
                                          "ce-id",
                                          "ce-source",
                                          "ce-specversion",
                                          "ce-subject",
                                          "ce-time",
                                          "ce-type"}) {
    if (detail::equal_ignoring_case(name, harmless)) return true;
  }
  return false;
}

namespace detail {

/// Whether a field belongs to the body, to preconditions or to the operation, and is dropped where the method changes.
constexpr bool belongs_to_operation(std::string_view name) noexcept {
  const auto begins = [name](std::string_view with) { return equal_ignoring_case(name.substr(0, with.size()), with); };
  if (begins("Content-") || begins("If-")) return true;
  for (const std::string_view field : {"Digest", "Repr-Digest", "Last-Modified", "Idempotency-Key"})
    if (equal_ignoring_case(name, field)) return true;
  return false;
}

/// A Location as a URI reference. Servers send it with spaces and raw UTF-8 too, which browsers percent-encode (WHATWG URL).
inline std::string encoded_reference(std::string_view location) {
  return percent_encode(
      location, [](char c) { return !is_ascii(c) || std::string_view{" \"<>^`{}"}.find(c) != std::string_view::npos; });
}

}  // namespace detail

/// A request and the origin that it is sent to.
struct redirection {
  redirection(http::origin o, http::request r) : origin{std::move(o)}, request{std::move(r)} {}
  http::origin origin;
  http::request request;
};

/// The request that `response` asks for, after `from` was sent to `there`.
/// - The method is that of `redirected_method`. Where it changes, the body is dropped, with the fields that describe it and the
///   Idempotency-Key, which belongs to the first operation.
/// - To another origin go only the fields of `crosses_origins`.
/// - Spaces and characters beyond ASCII in the Location are percent-encoded, as browsers do.
/// - Refused are a Location that is no http or https URL, a redirect from https to http, and a body that cannot be sent again.
inline expected<redirection, invalid> redirected(const request& from, const origin& there, const response& response) {
  using bad = unexpected<invalid>;
  auto to = resolve_reference(url{there, from.target()}, detail::encoded_reference(response.headers.get("Location")));
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
    if (elsewhere && !crosses_origins(name)) continue;
    if (m != from.method() && detail::belongs_to_operation(name)) continue;
    kept.add(name, value);
  }
  next.headers() = std::move(kept);
  return redirection{std::move(to->origin), std::move(next)};
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
