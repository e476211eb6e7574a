// SPDX-License-Identifier: MIT
/// \file
/// `verifying_key`: what a receiver checks signatures with: the shared secret (`whsec_…`) or the sender's public key (`whpk_…`).
#pragma once

#include <again/http/invalid.hpp>
#include <again/webhook/detail/openssl.hpp>
#include <again/webhook/secret.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace webhook {

/// Never printed, and wiped at its end, as a `secret`. Cost: a copy shares the key. Threads: any number may check at a time.
class verifying_key {
 public:
  static constexpr std::string_view public_prefix = "whpk_";

  /// What `s` signs, this verifies. For tests, and for a process that has both sides.
  verifying_key(secret s) noexcept : key_{std::move(s.key_)} {}
  /// `whpk_` and 32 bytes in base64, or a text that `secret::parse` takes.
  static expected<verifying_key, http::invalid> parse(std::string_view text);

  webhook::scheme scheme() const noexcept {
    return key_->pair ? webhook::scheme::ed25519 : webhook::scheme::hmac_sha256;
  }
  /// Whether `signature`, in base64 and without its version, is this key's for `content`. For an HMAC the time does not depend on where
  /// they differ.
  bool matches(std::string_view content, std::string_view signature) const {
    if (key_->pair) return detail::ed25519_matches(key_->pair.get(), content, signature);
    return detail::equal_in_constant_time(detail::hmac_sha256(key_->shared.view(), content), signature);
  }

 private:
  explicit verifying_key(std::shared_ptr<const secret::key> k) noexcept : key_{std::move(k)} {}
  std::shared_ptr<const secret::key> key_;
};

// ── definitions ──

inline expected<verifying_key, http::invalid> verifying_key::parse(std::string_view text) {
  using bad = unexpected<http::invalid>;
  if (!text.starts_with(public_prefix)) {
    auto both = secret::parse(text);
    if (!both) return bad{std::move(both.error())};
    return verifying_key{*std::move(both)};
  }
  detail::wiped_bytes<detail::ed25519_key_size + 1> bytes;
  text.remove_prefix(public_prefix.size());
  if (!detail::decode_base64(text, bytes) || bytes.size != detail::ed25519_key_size)
    return bad{http::invalid{"after whpk_ comes an ed25519 public key: 32 bytes in base64"}};
  auto made = std::make_shared<secret::key>();
  made->pair.reset(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes.bytes.data(), bytes.size));
  if (!made->pair) return bad{http::invalid{"OpenSSL does not take the public key"}};
  return verifying_key{std::move(made)};
}

}  // namespace webhook
}  // namespace AGAIN_ABI
}  // namespace again
