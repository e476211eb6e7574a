// SPDX-License-Identifier: MIT
/// \file
/// What both sides of a webhook have in common: the names of the header fields, the content that is signed, and what an id may be.
#pragma once

#include <again/core/clock.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace webhook {

inline constexpr std::string_view id_field = "webhook-id";
inline constexpr std::string_view timestamp_field = "webhook-timestamp";
inline constexpr std::string_view signature_field = "webhook-signature";

namespace detail {

/// `id.timestamp.body`: what is signed.
inline std::string signed_content(std::string_view id, std::string_view timestamp, std::string_view body) {
  std::string out;
  out.reserve(id.size() + timestamp.size() + body.size() + 2);
  out.append(id).append(1, '.').append(timestamp).append(1, '.').append(body);
  return out;
}

/// Why this text cannot be an id. A full stop is refused: with one, `a.1` and `2` would sign the same content as `a` and `1` with a
/// body that begins with `2.`.
inline std::optional<http::invalid> validate_id(std::string_view id) {
  constexpr std::size_t most = 255;
  if (id.empty()) return http::invalid{"a webhook's id is empty"};
  if (id.size() > most) return http::invalid{"a webhook's id is longer than 255 characters"};
  for (std::size_t i = 0; i < id.size(); ++i)
    if (id[i] <= ' ' || id[i] == '.' || !http::detail::is_ascii(id[i]) || http::detail::is_control(id[i]))
      return http::invalid{"a webhook's id contains " + http::detail::shown(id[i]) +
                               (id[i] == '.' ? ", which separates the parts of what is signed" : ""),
                           i};
  return std::nullopt;
}

}  // namespace detail
}  // namespace webhook
}  // namespace AGAIN_ABI
}  // namespace again
