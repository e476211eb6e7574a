// SPDX-License-Identifier: MIT
/// \file
/// fmt formatters for HTTP: errors, requests, responses, URLs and the sets that rules are made of. Needs fmt 9 or newer, and no
/// transport.
///
/// | what | how it looks |
/// |---|---|
/// | `http::error` | 503 Service Unavailable (answered, Retry-After 2 s) |
/// | `http::response` | 200 OK, 17 bytes |
/// | `http::request` | POST /orders?... (a query is not shown: it may hold secrets) |
/// | `http::url`, `http::origin`, `http::invalid` | their `text()` |
/// | `http::status_set`, `http::method_set`, `http::error_set` | their `text()`: 429, 500-504 |
/// | `http::method`, `http::error_kind` | their names |
///
/// All take fmt's string specifications: `{:>12}`.
#pragma once

#include <again/format/core.hpp>
#include <again/http/error.hpp>
#include <again/http/message.hpp>
#include <again/http/rules.hpp>
#include <again/http/url.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace detail {

inline std::string response_text(const http::response& r) {
  const std::string_view phrase = http::reason_phrase(r.status);
  return fmt::format("{}{}{}, {} byte{}", r.status, phrase.empty() ? "" : " ", phrase, r.body.size(),
                     r.body.size() == 1 ? "" : "s");
}

inline std::string request_text(const http::request& r) {
  const std::string_view target = r.target();
  const std::size_t query = target.find('?');
  return fmt::format("{} {}{}", r.method().text(), target.substr(0, query), query == target.npos ? "" : "?...");
}

}  // namespace detail
}  // namespace AGAIN_ABI
}  // namespace again

template <> struct fmt::formatter<again::http::error_kind> : again::detail::text_formatter<again::http::error_kind> {};
template <> struct fmt::formatter<again::http::error> : again::detail::text_formatter<again::http::error> {};
template <> struct fmt::formatter<again::http::invalid> : again::detail::text_formatter<again::http::invalid> {};
template <> struct fmt::formatter<again::http::method> : again::detail::text_formatter<again::http::method> {};
template <> struct fmt::formatter<again::http::origin> : again::detail::text_formatter<again::http::origin> {};
template <> struct fmt::formatter<again::http::url> : again::detail::text_formatter<again::http::url> {};
template <> struct fmt::formatter<again::http::status_set> : again::detail::text_formatter<again::http::status_set> {};
template <> struct fmt::formatter<again::http::method_set> : again::detail::text_formatter<again::http::method_set> {};
template <> struct fmt::formatter<again::http::error_set> : again::detail::text_formatter<again::http::error_set> {};

template <>
struct fmt::formatter<again::http::response> : again::detail::function_formatter<again::detail::response_text> {};
template <>
struct fmt::formatter<again::http::request> : again::detail::function_formatter<again::detail::request_text> {};
