// SPDX-License-Identifier: MIT
/// \file
/// How a response's headers frame its body (RFC 9112 6.3), judged by us: an HTTP library that reads "Content-Length: abc" as 0
/// gives a wrong body and reads the rest as the next response.
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
  enum kinds { none, length, chunked, nonsense } kind = none;  ///< none: the body ends with the connection
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
      f.kind = plain && f.kind != framing::nonsense ? framing::chunked : framing::nonsense;
    } else if (equal_ignoring_case(field.name, "Content-Length")) {
      std::string_view rest = field.value;
      do {  // a list of equal numbers is allowed
        const auto n = digits(trim(take_until(rest, ',')), std::numeric_limits<long long>::max());
        if (!n || (length && *length != static_cast<std::uint64_t>(*n))) {
          f.kind = framing::nonsense;
          return f;
        }
        length = static_cast<std::uint64_t>(*n);
      } while (!rest.empty());
    }
  }
  if (length && f.kind == framing::chunked)
    f.close = true;  // chunked wins, and the connection is not to be trusted (RFC 9112 6.3)
  if (length && f.kind == framing::none) {
    f.kind = framing::length;
    f.length_value = *length;
  }
  return f;
}

}  // namespace detail
}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
