// SPDX-License-Identifier: MIT
/// \file
/// `special_purpose`: whether an IP address is one that the whole Internet can reach, or has a special purpose: loopback, private,
/// link-local, multicast and so on. For clients that must not be talked into sending to their own network (server-side request
/// forgery): check the address that a connection is made to, never the name, which may lead elsewhere a moment later.
///
/// ```cpp
/// again::http::special_purpose("169.254.169.254");   // "link-local, RFC 3927"
/// again::http::special_purpose("::ffff:10.0.0.1");   // "private use, RFC 1918": the IPv4 address inside is what counts
/// again::http::special_purpose("2606:4700::1111");   // nullopt
/// ```
#pragma once

#include <again/http/detail/url_parts.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

/// What the address is for if it is no public one; nullopt: it is. Static storage. A text that is no address in numbers is not
/// public. An IPv6 zone ("%eth0") does not matter.
constexpr std::optional<std::string_view> special_purpose(std::string_view address) noexcept;

// ── definitions ──

namespace detail {

/// An IPv4 address as the IPv6 address that it is mapped to, ::ffff:a.b.c.d.
constexpr std::optional<ipv6_words> mapped_ipv4(std::string_view text) noexcept {
  std::array<char, 24> all{':', ':', 'f', 'f', 'f', 'f', ':'};
  constexpr std::size_t prefix = 7;
  if (text.size() > all.size() - prefix || !is_ipv4(text)) return std::nullopt;
  std::copy(text.begin(), text.end(), all.begin() + prefix);
  return parse_ipv6({all.data(), prefix + text.size()});
}

struct special_block {
  ipv6_words prefix{};
  unsigned bits = 0;
  std::string_view purpose;

  constexpr bool contains(const ipv6_words& address) const noexcept {
    for (unsigned i = 0, left = bits; left > 0; ++i) {
      const unsigned here = std::min(left, 16U);
      if (((prefix[i] ^ address[i]) >> (16U - here)) != 0) return false;
      left -= here;
    }
    return true;
  }
};
consteval special_block ipv4_block(std::string_view prefix, unsigned bits, std::string_view purpose) {
  return {mapped_ipv4(prefix).value(), 96 + bits, purpose};
}
consteval special_block ipv6_block(std::string_view prefix, unsigned bits, std::string_view purpose) {
  return {parse_ipv6(prefix).value(), bits, purpose};
}

/// The blocks that are not globally reachable in IANA's registries "IPv4 Special-Purpose Address Space" and "IPv6 Special-Purpose
/// Address Space" (RFC 6890), and the multicast blocks. Small exceptions inside of a block (such as 192.0.0.9/32) are not made.
inline constexpr special_block special_blocks[] = {
    ipv4_block("0.0.0.0", 8, "this network, RFC 791"),
    ipv4_block("10.0.0.0", 8, "private use, RFC 1918"),
    ipv4_block("100.64.0.0", 10, "shared address space, RFC 6598"),
    ipv4_block("127.0.0.0", 8, "loopback, RFC 1122"),
    ipv4_block("169.254.0.0", 16, "link-local, RFC 3927"),
    ipv4_block("172.16.0.0", 12, "private use, RFC 1918"),
    ipv4_block("192.0.0.0", 24, "IETF protocol assignments, RFC 6890"),
    ipv4_block("192.0.2.0", 24, "documentation, RFC 5737"),
    ipv4_block("192.88.99.0", 24, "6to4 relays, RFC 7526"),
    ipv4_block("192.168.0.0", 16, "private use, RFC 1918"),
    ipv4_block("198.18.0.0", 15, "benchmarking, RFC 2544"),
    ipv4_block("198.51.100.0", 24, "documentation, RFC 5737"),
    ipv4_block("203.0.113.0", 24, "documentation, RFC 5737"),
    ipv4_block("224.0.0.0", 4, "multicast, RFC 5771"),
    ipv4_block("255.255.255.255", 32, "limited broadcast, RFC 919"),
    ipv4_block("240.0.0.0", 4, "reserved, RFC 1112"),
    ipv6_block("::1", 128, "loopback, RFC 4291"),
    ipv6_block("::", 128, "unspecified, RFC 4291"),
    ipv6_block("64:ff9b:1::", 48, "local translation of IPv4, RFC 8215"),
    ipv6_block("100::", 64, "discard-only, RFC 6666"),
    ipv6_block("100:0:0:1::", 64, "dummy prefix, RFC 9780"),
    ipv6_block("2001::", 23, "IETF protocol assignments, RFC 2928"),
    ipv6_block("2001:db8::", 32, "documentation, RFC 3849"),
    ipv6_block("2002::", 16, "6to4, RFC 3056"),
    ipv6_block("3fff::", 20, "documentation, RFC 9637"),
    ipv6_block("5f00::", 16, "segment routing, RFC 9602"),
    ipv6_block("fc00::", 7, "unique local, RFC 4193"),
    ipv6_block("fe80::", 10, "link-local, RFC 4291"),
    ipv6_block("ff00::", 8, "multicast, RFC 4291"),
};
inline constexpr special_block ipv4_mapped = ipv6_block("::ffff:0:0", 96, "");
inline constexpr special_block ipv4_translated =
    ipv6_block("64:ff9b::", 96, "");  // to the IPv4 address at its end (NAT64)
inline constexpr special_block global_unicast = ipv6_block("2000::", 3, "");

}  // namespace detail

constexpr std::optional<std::string_view> special_purpose(std::string_view address) noexcept {
  const std::string_view numbers = address.substr(0, address.find('%'));
  auto words = detail::mapped_ipv4(numbers);
  if (!words) words = detail::parse_ipv6(numbers);
  if (!words) return "not an address in numbers";
  if (detail::ipv4_translated.contains(*words)) *words = {0, 0, 0, 0, 0, 0xffff, (*words)[6], (*words)[7]};
  for (const detail::special_block& block : detail::special_blocks)
    if (block.contains(*words)) return block.purpose;
  if (detail::ipv4_mapped.contains(*words) || detail::global_unicast.contains(*words)) return std::nullopt;
  return "not global unicast, RFC 4291";
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
