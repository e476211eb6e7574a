// SPDX-License-Identifier: MIT
/// \file
/// HTTP status codes (RFC 9110 15): their phrases, their classes, and `status_set`, a set of them.
///
/// ```cpp
/// auto retried = again::http::parse_status_set("408, 429, 5xx");       // expected<status_set, invalid>
/// static_assert(again::http::equivalent_status(520) == 500);           // an unknown code counts as the x00 of its class
/// ```
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// "Service Unavailable" for 503; empty for a code that is not in IANA's HTTP Status Code Registry.
constexpr std::string_view reason_phrase(int status) noexcept;

/// The registered status that `status` counts as: itself where it is registered, else the x00 of its class, and 500 for codes from
/// 600 on (RFC 9110 15). A number below 100 is no status and is returned as it is.
constexpr int equivalent_status(int status) noexcept {
  if (status < 100 || !reason_phrase(status).empty()) return status;
  return status < 600 ? status / 100 * 100 : 500;
}

/// A set of status codes from 0 to 999: `status_set{408, 429}`, `status_set::range(500, 599)`. Trivially copyable, 128 bytes.
class status_set {
 public:
  static constexpr int limit = 1000;

  constexpr status_set() noexcept = default;
  template <std::same_as<int>... S> constexpr status_set(int first, S... more) noexcept {
    insert(first);
    (insert(more), ...);
  }
  /// From `first` to `last`, both included.
  static constexpr status_set range(int first, int last) noexcept {
    status_set set;
    for (int s = first; s <= last && s < limit; ++s) set.insert(s);
    return set;
  }

  constexpr bool contains(int status) const noexcept {
    return status >= 0 && status < limit && (words_[word(status)] >> bit(status) & 1U) != 0;
  }
  constexpr bool empty() const noexcept { return *this == status_set{}; }
  /// Adds a code. A code outside 0 to 999 is ignored.
  constexpr void insert(int status) noexcept {
    if (status >= 0 && status < limit) words_[word(status)] |= std::uint64_t{1} << bit(status);
  }
  constexpr void erase(int status) noexcept {
    if (status >= 0 && status < limit) words_[word(status)] &= ~(std::uint64_t{1} << bit(status));
  }
  friend constexpr status_set operator|(status_set a, const status_set& b) noexcept {
    for (std::size_t i = 0; i < a.words_.size(); ++i) a.words_[i] |= b.words_[i];
    return a;
  }
  friend constexpr status_set operator-(status_set a, const status_set& b) noexcept {
    for (std::size_t i = 0; i < a.words_.size(); ++i) a.words_[i] &= ~b.words_[i];
    return a;
  }
  friend constexpr bool operator==(const status_set&, const status_set&) noexcept = default;

  /// "408, 429, 500-599", or "none".
  std::string text() const;

 private:
  static constexpr std::size_t word(int status) noexcept { return static_cast<std::size_t>(status) / 64; }
  static constexpr unsigned bit(int status) noexcept { return static_cast<unsigned>(status) % 64; }
  std::array<std::uint64_t, (limit + 63) / 64> words_{};
};

namespace detail {

/// "503", "500-504" or "5xx" as a set, of codes from 100 to 999; empty where it is none of them.
constexpr status_set parse_status_range(std::string_view item) noexcept {
  if (item.size() == 3 && item[0] >= '1' && item[0] <= '9' && equal_ignoring_case(item.substr(1), "xx")) {
    const int first = (item[0] - '0') * 100;
    return status_set::range(first, first + 99);
  }
  std::string_view upper = item;
  const auto first = digits(trim(take_until(upper, '-')), 9999);
  const auto last = item.find('-') == std::string_view::npos ? first : digits(trim(upper), 9999);
  if (!first || !last || *first < 100 || *last > 999) return {};
  return status_set::range(static_cast<int>(*first), static_cast<int>(*last));
}

}  // namespace detail

/// A set from comma-separated codes, ranges and classes, "408, 429, 500-504, 5xx", each from 100 to 999, as `send --retry-statuses`
/// and `--accept` take it; "" and "none" are the empty set. Error: the item that is none of them.
inline expected<status_set, invalid> parse_status_set(std::string_view text) {
  status_set set;
  if (detail::trim(text) == "none") return set;
  while (!text.empty()) {
    const std::string_view item = detail::trim(detail::take_until(text, ','));
    const status_set range = detail::parse_status_range(item);
    if (range.empty()) {
      return unexpected<invalid>{
          invalid{"'" + std::string{item} +
                  "' is no status from 100 to 999, no range such as 500-504 and no class such as 5xx"}};
    }
    set = set | range;
  }
  return set;
}

inline std::string status_set::text() const {
  std::string out;
  for (int s = 0; s < limit; ++s) {
    if (!contains(s)) continue;
    int last = s;
    while (contains(last + 1)) ++last;
    detail::append_item(out, std::to_string(s));
    if (last > s) out.append(last == s + 1 ? ", " : "-").append(std::to_string(last));
    s = last;
  }
  return out.empty() ? "none" : out;
}

constexpr std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 102: return "Processing";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 208: return "Already Reported";
    case 226: return "IM Used";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 305: return "Use Proxy";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 506: return "Variant Also Negotiates";
    case 507: return "Insufficient Storage";
    case 508: return "Loop Detected";
    case 510: return "Not Extended";
    case 511: return "Network Authentication Required";
    default: return {};
  }
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
