// SPDX-License-Identifier: MIT
/// \file
/// `framing_of`: how a response's headers frame its body (RFC 9112 6.3), judged by us: an HTTP library that reads
/// "Content-Length: abc" as 0 gives a wrong body and takes the rest for the next response. Pure.
#pragma once

#include <again/http/detail/chars.hpp>
#include <again/http/headers.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {
namespace detail {

struct framing {
  enum kinds { until_close, length, chunked, malformed } kind = until_close;
  std::uint64_t length_value = 0;
  bool close = false;  ///< the peer says it will close, or must be made to
};

inline framing framing_of(const headers& h) {
  framing f;
  f.close = h.has_token("Connection", "close");
  std::optional<std::uint64_t> length;
  for (const headers::field& field : h) {
    if (equal_ignoring_case(field.name, "Transfer-Encoding")) {
      // Only "chunked", once: cpp-httplib knows no other coding and would read the body as it comes.
      const bool plain = f.kind != framing::chunked && equal_ignoring_case(trim(field.value), "chunked");
      f.kind = plain && f.kind != framing::malformed ? framing::chunked : framing::malformed;
    } else if (equal_ignoring_case(field.name, "Content-Length")) {
      std::string_view list = field.value;
      do {  // a list of equal numbers is allowed
        const auto n = digits(trim(take_until(list, ',')), std::numeric_limits<long long>::max());
        if (!n || (length && *length != static_cast<std::uint64_t>(*n))) {
          f.kind = framing::malformed;
          return f;
        }
        length = static_cast<std::uint64_t>(*n);
      } while (!list.empty());
    }
  }
  // Chunked wins, and the connection is not to be trusted (RFC 9112 6.3).
  if (length && f.kind == framing::chunked) f.close = true;
  if (length && f.kind == framing::until_close) {
    f.kind = framing::length;
    f.length_value = *length;
  }
  return f;
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
