// SPDX-License-Identifier: MIT
/// \file
/// `origin` and `url`: parsed and checked before an HTTP library sees them, because a bad URL sends some libraries to a wrong host
/// and crashes others. A URL is taken as it is or refused with a reason and a position; it is never repaired.
///
/// ```cpp
/// auto u = again::http::parse_url("https://example.com:8443/a?b=1");   // expected<url, invalid>
/// if (!u) fmt::print("{}\n", u.error().text());                        // "the URL contains a space (position 24)"
/// ```
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/detail/url_parts.hpp>
#include <again/http/invalid.hpp>

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

enum class scheme : std::uint8_t { http, https };
constexpr std::string_view name(scheme s) noexcept { return s == scheme::http ? "http" : "https"; }
constexpr std::uint16_t default_port(scheme s) noexcept { return s == scheme::http ? 80 : 443; }

/// Scheme, host and port: what a connection is made to. Credentials are sent to an equal origin alone.
/// The host is in its normal form: lower case, an IPv6 address without brackets as RFC 5952 writes it.
struct origin {
  origin() = default;
  origin(http::scheme s, std::string h, std::uint16_t p) : scheme{s}, host{std::move(h)}, port{p} {}

  http::scheme scheme = http::scheme::http;
  std::string host;
  std::uint16_t port = 80;

  bool ipv6() const noexcept { return host.find(':') != std::string::npos; }
  /// The value of the Host field: an IPv6 address in brackets, and the port unless it is the scheme's default (RFC 9110 7.2).
  std::string authority() const;
  /// "https://example.com:8443", without a path.
  std::string text() const;

  friend bool operator==(const origin&, const origin&) = default;
  friend auto operator<=>(const origin&, const origin&) = default;
};

/// An absolute http or https URL, without user-info and without a fragment.
struct url {
  url() = default;
  url(http::origin o, std::string t) : origin{std::move(o)}, target{std::move(t)} {}

  http::origin origin;
  /// Path and query in origin-form (RFC 9112 3.2.1), which starts with '/'. It is sent byte for byte as given.
  std::string target = "/";

  std::string text() const { return origin.text() + target; }
  std::string_view path() const noexcept { return std::string_view{target}.substr(0, target.find('?')); }
  /// The query without its '?'; empty if there is none.
  std::string_view query() const noexcept {
    const auto at = target.find('?');
    return at == std::string::npos ? std::string_view{} : std::string_view{target}.substr(at + 1);
  }

  friend bool operator==(const url&, const url&) = default;
};

/// Parses `http://host:port/path?query`. A fragment is dropped, because it is for the client alone (RFC 9110 7.1).
/// Refused are other schemes, user-info, an empty or impossible host, zone ids, ports outside 1 to 65535, control characters,
/// spaces, characters beyond ASCII, '%' without two hex digits, and the characters that browsers escape: '"', '<', '>', and in a
/// path '\', '^', '`', '{', '}'.
expected<url, invalid> parse_url(std::string_view text);

/// The origin of a URL that has no path but "/", no query and no fragment.
expected<origin, invalid> parse_origin(std::string_view text);

/// Why `target` cannot stand in a request line, or `nullopt`. It must be an origin-form without a fragment, of the characters that
/// `parse_url` allows.
std::optional<invalid> validate_target(std::string_view target);

/// The URL that a reference such as a Location names: `location` resolved against `base` (RFC 3986 5.2), without dot segments.
expected<url, invalid> resolve_reference(const url& base, std::string_view location);

// ── definitions ──

namespace detail {

/// Parses `host[:port]`. `from` is its position in the text that the caller was given.
inline expected<origin, invalid> parse_authority(scheme s, std::string_view text, std::size_t from) {
  using bad = unexpected<invalid>;
  if (auto refused = refuse_common("the host", text, from, "write the name in its ASCII form, xn--..."))
    return bad{std::move(*refused)};
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    return bad{invalid{"user-info in a URL is not sent; put credentials into an Authorization header", from}};
  }
  origin out{s, {}, default_port(s)};
  std::size_t host_end = 0;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return bad{invalid{"'[' without ']' in the host", from}};
    const std::string_view inside = text.substr(1, close - 1);
    if (inside.find('%') != std::string_view::npos) {
      return bad{invalid{"an IPv6 zone id is not supported", from + 1 + inside.find('%')}};
    }
    const auto words = parse_ipv6(inside);
    if (!words) return bad{invalid{"not an IPv6 address between '[' and ']'", from + 1}};
    out.host = format_ipv6(*words);
    host_end = close + 1;
    if (host_end < text.size() && text[host_end] != ':') {
      return bad{invalid{"only a port may follow ']', not " + shown(text[host_end]), from + host_end}};
    }
  } else {
    host_end = std::min(text.find(':'), text.size());
    if (text.find(':', host_end + 1) != std::string_view::npos) {
      return bad{invalid{"more than one ':' in the host; an IPv6 address stands in '[' and ']'", from + host_end}};
    }
    if (host_end == 0) return bad{invalid{"the URL has no host", from}};
    auto host = parse_name(text.substr(0, host_end), from);
    if (!host) return bad{std::move(host.error())};
    out.host = std::move(*host);
  }
  if (host_end + 1 < text.size()) {  // an empty port after ':' is the default one (RFC 3986 3.2.3)
    const auto port = digits(text.substr(host_end + 1), 99999);
    if (!port || *port < 1 || *port > 65535)
      return bad{invalid{"the port is not a number from 1 to 65535", from + host_end + 1}};
    out.port = static_cast<std::uint16_t>(*port);
  }
  return out;
}

struct absolute {
  scheme which;
  std::size_t authority;  // its position
};

/// Parses "http://" or "https://" at the beginning of a URL.
inline expected<absolute, invalid> parse_scheme(std::string_view text) {
  using bad = unexpected<invalid>;
  const auto colon = text.find(':');
  const std::string_view s = text.substr(0, colon);
  const bool plain = equal_ignoring_case(s, "http"), tls = equal_ignoring_case(s, "https");
  if (colon == std::string_view::npos || text.substr(colon).substr(0, 3) != "://") {
    return bad{invalid{"a URL begins with http:// or https://", 0}};
  }
  if (!plain && !tls) return bad{invalid{"only http:// and https:// are supported", 0}};
  return absolute{plain ? scheme::http : scheme::https, colon + 3};
}

}  // namespace detail

inline std::string origin::authority() const {
  std::string out = ipv6() ? "[" + host + "]" : host;
  if (port != default_port(scheme)) out.append(":").append(std::to_string(port));
  return out;
}

inline std::string origin::text() const { return std::string{name(scheme)} + "://" + authority(); }

inline expected<url, invalid> parse_url(std::string_view text) {
  using bad = unexpected<invalid>;
  const auto begin = detail::parse_scheme(text);
  if (!begin) return bad{begin.error()};
  const std::string_view whole = text.substr(0, text.find('#'));
  const auto end = std::min(whole.find_first_of("/?", begin->authority), whole.size());
  auto o =
      detail::parse_authority(begin->which, whole.substr(begin->authority, end - begin->authority), begin->authority);
  if (!o) return bad{std::move(o.error())};
  const std::string_view target = whole.substr(end);
  if (auto refused = detail::refuse_target("the URL", target, end)) return bad{std::move(*refused)};
  if (auto refused = detail::refuse_common("the URL", text.substr(whole.size()), whole.size()))
    return bad{std::move(*refused)};
  return url{std::move(*o), target.starts_with('/') ? std::string{target} : "/" + std::string{target}};
}

inline expected<origin, invalid> parse_origin(std::string_view text) {
  auto whole = parse_url(text);
  if (!whole) return unexpected<invalid>{std::move(whole.error())};
  if (whole->target != "/" || text.find_first_of("?#") != std::string_view::npos) {
    return unexpected<invalid>{invalid{"only scheme, host and port here; the path belongs to the request",
                                       text.find_first_of("/?#", text.find("://") + 3)}};
  }
  return std::move(whole->origin);
}

inline std::optional<invalid> validate_target(std::string_view target) {
  if (!target.starts_with('/')) return invalid{"the target must begin with '/'", 0};
  return detail::refuse_target("the target", target, 0);
}

inline expected<url, invalid> resolve_reference(const url& base, std::string_view location) {
  using bad = unexpected<invalid>;
  if (auto refused = detail::refuse_common("the reference", location, 0)) return bad{std::move(*refused)};
  const std::string_view text = location.substr(0, location.find('#'));
  const auto colon = text.find(':');
  if (colon != std::string_view::npos && colon < text.find_first_of("/?")) {  // a scheme, which makes it absolute
    auto whole = parse_url(text);
    if (whole) whole->target = detail::remove_dot_segments(whole->path()) + whole->target.substr(whole->path().size());
    return whole;
  }
  if (text.starts_with("//"))
    return resolve_reference(base, std::string{name(base.origin.scheme)} + ":" + std::string{text});
  const auto mark = std::min(text.find('?'), text.size());
  const std::string_view path = text.substr(0, mark), query = text.substr(mark);
  std::string target;
  if (text.empty()) {
    target = base.target;
  } else if (path.empty()) {
    target = std::string{base.path()}.append(query);
  } else if (path.starts_with('/')) {
    target = detail::remove_dot_segments(path).append(query);
  } else {
    const std::string_view over = base.path();
    target = detail::remove_dot_segments(std::string{over.substr(0, over.rfind('/') + 1)}.append(path)).append(query);
  }
  if (auto refused = detail::refuse_target("the reference", target, 0)) return bad{std::move(*refused)};
  return url{base.origin, std::move(target)};
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
