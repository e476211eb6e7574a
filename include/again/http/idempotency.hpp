// SPDX-License-Identifier: MIT
/// \file
/// The Idempotency-Key header field (draft-ietf-httpapi-idempotency-key-header): one key per operation, the same on every
/// attempt. A server recognises a repeated request by it and sends the response of the first one.
#pragma once

#include <again/core/random.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/invalid.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace http {

inline constexpr std::string_view idempotency_key_field = "Idempotency-Key";
inline constexpr std::size_t max_idempotency_key = 255;

/// 128 bits as a version 4 UUID in text (RFC 9562 5.4), the form that the draft recommends for keys.
inline std::string uuid_v4(std::uint64_t high, std::uint64_t low) {
  high = (high & 0xffffffffffff0fffU) | 0x4000U;
  low = (low & 0x3fffffffffffffffU) | 0x8000000000000000U;
  std::string out;
  out.reserve(36);
  for (unsigned i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) out += '-';
    const std::uint64_t half = i < 16 ? high : low;
    out += "0123456789abcdef"[half >> (60U - 4U * (i % 16)) & 15U];
  }
  return out;
}

/// A key from a random stream: the same seed gives the same keys.
inline std::string fresh_idempotency_key(random_stream& stream) {
  const std::uint64_t high = stream.bits();
  return uuid_v4(high, stream.bits());
}

/// A unique key from the operating system's entropy. Cost: one system call. Thread: any.
inline std::string fresh_idempotency_key() {
  std::array<std::uint64_t, 2> bits{};
#if __has_include(<sys/random.h>)
  if (::getentropy(bits.data(), sizeof bits) == 0) return uuid_v4(bits[0], bits[1]);
#endif
  bits[0] = fresh_seed();
  return uuid_v4(bits[0], fresh_seed());
}

/// Why `key` cannot be a key, or `nullopt`. A key has 1 to 255 printable ASCII characters, as a Structured Fields string can
/// hold (RFC 9651 3.3.3).
inline std::optional<invalid> validate_idempotency_key(std::string_view key) {
  if (key.empty()) return invalid{"the Idempotency-Key is empty"};
  if (key.size() > max_idempotency_key) return invalid{"the Idempotency-Key is longer than 255 characters"};
  for (std::size_t i = 0; i < key.size(); ++i)
    if (detail::is_control(key[i]) || !detail::is_ascii(key[i]))
      return invalid{"the Idempotency-Key contains " + detail::shown(key[i]), i};
  return std::nullopt;
}

/// The field's value: the key as a Structured Fields string, quotes included (RFC 9651 4.1.6).
inline std::string idempotency_key_value(std::string_view key) {
  std::string out = "\"";
  for (const char c : key) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out += '"';
}

}  // namespace http
}  // namespace AGAIN_ABI
}  // namespace again
