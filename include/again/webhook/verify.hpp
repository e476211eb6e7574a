// SPDX-License-Identifier: MIT
/// \file
/// `verify`: whether a webhook that was received is authentic and recent, as Standard Webhooks 1.0 has it. For receivers, and for tests
/// of senders.
///
/// ```cpp
/// auto message = again::webhook::verify(keys, headers, body, now);        // expected<received, refusal>
/// if (!message) return 400;
/// if (window.admit(*message, now) == again::webhook::admission::repeated) return 200;      // handled before
/// ```
///
/// - `body`: the bytes as they came. JSON that was parsed and written again is other bytes.
/// - Enough: one signature by one of the keys. Signatures of unknown versions are ignored.
/// - Cost: an HMAC for each key, or a check of ed25519 for each key and each `v1a` signature, of which at most 16 are tried.
#pragma once

#include <again/core/clock.hpp>
#include <again/core/detail/enumerators.hpp>
#include <again/http/detail/chars.hpp>
#include <again/http/headers.hpp>
#include <again/webhook/detail/message_parts.hpp>
#include <again/webhook/verifying_key.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace webhook {

/// Why a message is refused. None of them says more to an attacker than the message already did: respond 400 or 401 to all.
enum class refusal : std::uint8_t {
  missing_field,        ///< one of the three header fields is not there, or is there twice
  malformed_id,         ///< empty, too long, or with a full stop or a space
  malformed_timestamp,  ///< no number of seconds since 1970
  too_old,              ///< signed longer ago than the tolerance: late, or replayed
  too_new,              ///< signed in the future: a clock is wrong
  no_match,             ///< no signature is by one of the keys: tampered, or another key
};
/// The enumerator's name, as written above; static storage.
constexpr std::string_view name(refusal r) noexcept { return again::detail::enumerator_name(r); }

/// How far the sender's clock may be from ours, both ways. 5 min, as in the reference implementations.
inline constexpr duration default_tolerance = std::chrono::minutes{5};

/// A message that was verified.
struct received {
  received(std::string message_id, wall_time at) : id{std::move(message_id)}, sent{at} {}
  std::string id;  ///< the same on every attempt: handle it once
  wall_time sent;  ///< of this attempt, to the second
};

inline expected<received, refusal> verify(std::span<const verifying_key> keys, const http::headers& fields,
                                          std::string_view body, wall_time now, duration tolerance = default_tolerance);
inline expected<received, refusal> verify(const verifying_key& key, const http::headers& fields, std::string_view body,
                                          wall_time now, duration tolerance = default_tolerance) {
  return verify(std::span{&key, 1}, fields, body, now, tolerance);
}

// ── definitions ──

namespace detail {

/// "1614265330" as a time. Other spellings of a number ("+1", "01") are refused: the text is signed.
inline std::optional<std::chrono::seconds> parse_timestamp(std::string_view text) noexcept {
  constexpr long long most = 99'999'999'999;
  if (text.size() > 11 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  const auto n = http::detail::digits(text, most);
  return n ? std::optional{std::chrono::seconds{*n}} : std::nullopt;
}

inline bool signed_by_one(std::span<const verifying_key> keys, std::string_view content, std::string_view signatures) {
  constexpr int most = 16;  // of a version that we know
  for (int tried = 0; !signatures.empty() && tried < most;) {
    std::string_view one = http::detail::take_until(signatures, ' ');
    const std::string_view its_version = http::detail::take_until(one, ',');
    bool known = false;
    for (const verifying_key& key : keys) {
      if (its_version != version(key.scheme())) continue;
      known = true;
      if (key.matches(content, one)) return true;
    }
    tried += known ? 1 : 0;
  }
  return false;
}

}  // namespace detail

inline expected<received, refusal> verify(std::span<const verifying_key> keys, const http::headers& fields,
                                          std::string_view body, wall_time now, duration tolerance) {
  using refused = unexpected<refusal>;
  for (const std::string_view field : {id_field, timestamp_field, signature_field})
    if (fields.count(field) != 1) return refused{refusal::missing_field};
  const std::string_view id = fields.get(id_field), timestamp = fields.get(timestamp_field);
  if (detail::validate_id(id)) return refused{refusal::malformed_id};
  const auto seconds = detail::parse_timestamp(timestamp);
  if (!seconds) return refused{refusal::malformed_timestamp};
  const auto content = detail::signed_content(id, timestamp, body);
  if (!detail::signed_by_one(keys, content, fields.get(signature_field))) return refused{refusal::no_match};
  // In whole seconds, as the timestamp: a message of this second is not in the future.
  const auto here = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch());
  const auto apart = std::chrono::floor<std::chrono::seconds>(tolerance);
  if (*seconds < here - apart) return refused{refusal::too_old};
  if (*seconds > here + apart) return refused{refusal::too_new};
  return received{std::string{id}, wall_time{duration{*seconds}}};
}

}  // namespace webhook
}  // namespace AGAIN_ABI
}  // namespace again
