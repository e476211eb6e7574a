// SPDX-License-Identifier: MIT
/// \file
/// `error_kind`: how a send failed, as one closed list, and `error_set`: a set of them.
#pragma once

#include <again/core/detail/enumerators.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// The list is closed: a `switch` over it needs no `default`.
enum class error_kind : std::uint8_t {
  status,           ///< a complete response whose status is not accepted
  resolve,          ///< the name has no address, or the look-up took too long
  refused,          ///< no connection: no process listens there, or there is no route
  connect_timeout,  ///< no connection in time
  tls_handshake,    ///< no TLS session with the peer
  tls_verify,       ///< a TLS session, but with a peer that could not prove its name
  reset,            ///< the connection was reset before a response
  closed,           ///< the connection was closed before a response
  timeout,          ///< no complete response in time
  truncated,        ///< the response began and did not end
  protocol,         ///< the response is not HTTP
  too_large,        ///< the response is larger than the limit
  redirects,        ///< too many redirects, or one that cannot be followed
  cancelled,        ///< the caller requested a stop
  deadline,         ///< the deadline of the awaiting coroutine passed
  invalid_request,  ///< not sent: the request itself is not valid
  overloaded,       ///< not sent: no free connection, and no room to wait for one
  denied,           ///< not sent: the address is one that the transport was told not to send to
  shortage,         ///< no descriptor, port, memory or thread is left on this machine; it says nothing of the peer
  unsupported,      ///< not sent: the transport cannot do this
};
/// Every kind, in the order above.
inline constexpr auto all_error_kinds = again::detail::enumerators<error_kind>;

/// The enumerator's name, as written above; static storage.
constexpr std::string_view name(error_kind kind) noexcept { return again::detail::enumerator_name(kind); }

/// A set of kinds: `error_set{error_kind::reset, error_kind::closed}`. Trivially copyable, four bytes.
class error_set {
 public:
  constexpr error_set() noexcept = default;
  template <std::same_as<error_kind>... K> constexpr error_set(error_kind first, K... more) noexcept {
    insert(first);
    (insert(more), ...);
  }

  constexpr bool contains(error_kind kind) const noexcept { return (bits_ >> static_cast<unsigned>(kind) & 1U) != 0; }
  constexpr bool empty() const noexcept { return bits_ == 0; }
  constexpr void insert(error_kind kind) noexcept { bits_ |= 1U << static_cast<unsigned>(kind); }
  constexpr void erase(error_kind kind) noexcept { bits_ &= ~(1U << static_cast<unsigned>(kind)); }
  friend constexpr error_set operator|(error_set a, error_set b) noexcept { return error_set{a.bits_ | b.bits_}; }
  friend constexpr error_set operator-(error_set a, error_set b) noexcept { return error_set{a.bits_ & ~b.bits_}; }
  friend constexpr bool operator==(error_set, error_set) noexcept = default;

  /// The names with ", " between them, or "none".
  std::string text() const;

 private:
  constexpr explicit error_set(std::uint32_t bits) noexcept : bits_{bits} {}
  std::uint32_t bits_ = 0;
};

/// The kind of that name. Error: a sentence with all names.
inline expected<error_kind, invalid> parse_error_kind(std::string_view text) {
  for (const error_kind kind : all_error_kinds)
    if (name(kind) == text) return kind;
  std::string names;
  for (const error_kind kind : all_error_kinds) detail::append_item(names, name(kind));
  return unexpected<invalid>{invalid{"no error is called '" + std::string{text} + "'; there are: " + names}};
}

/// A set from comma-separated names, as `send --retry-errors` takes it; "" and "none" are the empty set.
inline expected<error_set, invalid> parse_error_set(std::string_view text) {
  error_set set;
  if (detail::trim(text) == "none") return set;
  while (!text.empty()) {
    const auto kind = parse_error_kind(detail::trim(detail::take_until(text, ',')));
    if (!kind) return unexpected<invalid>{kind.error()};
    set.insert(*kind);
  }
  return set;
}

inline std::string error_set::text() const {
  std::string names;
  for (const error_kind kind : all_error_kinds)
    if (contains(kind)) detail::append_item(names, name(kind));
  return names.empty() ? "none" : names;
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
