// SPDX-License-Identifier: MIT
/// \file
/// `secret`: one key that signs webhooks: HMAC-SHA256 (`whsec_…`) or ed25519 (`whsk_…`), as Standard Webhooks 1.0 writes them.
///
/// ```cpp
/// auto key = again::webhook::secret::parse(text);                // expected<secret, http::invalid>
/// if (!key) complain(key.error().text());                        // never repeats the text
/// ```
///
/// - A secret is never printed: there is no text of it, no `operator<<` and no formatter. Its memory is wiped at its end.
/// - Make one with `echo "whsec_$(openssl rand -base64 32)"`, or for ed25519
///   `echo "whsk_$(openssl genpkey -algorithm ed25519 -outform DER | tail -c 32 | base64)"`.
/// - Cost: one allocation; a copy shares the key. Threads: any number may sign at a time.
#pragma once

#include <again/http/invalid.hpp>
#include <again/webhook/detail/openssl.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace again {
inline namespace AGAIN_ABI {
namespace webhook {

enum class scheme : std::uint8_t {
  hmac_sha256,  ///< `v1`: both sides have the same secret
  ed25519,      ///< `v1a`: the receiver has the public key alone
};
/// What a signature of that scheme begins with, before its comma.
constexpr std::string_view version(scheme s) noexcept { return s == scheme::ed25519 ? "v1a" : "v1"; }

class secret {
 public:
  static constexpr std::string_view hmac_prefix = "whsec_";
  static constexpr std::string_view ed25519_prefix = "whsk_";
  /// Bytes of an HMAC secret: at least 192 bits, so that it cannot be guessed, at most one block of SHA-256.
  static constexpr std::size_t least_bytes = 24, most_bytes = 64;

  /// `whsec_` and 24 to 64 bytes in base64, or `whsk_` and an ed25519 private key in base64: its 32 bytes, or these and the 32 of its
  /// public key. Error: a sentence without any part of the text.
  static expected<secret, http::invalid> parse(std::string_view text);

  webhook::scheme scheme() const noexcept {
    return key_->pair ? webhook::scheme::ed25519 : webhook::scheme::hmac_sha256;
  }
  /// The signature of `content`, such as "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=". Throws `std::runtime_error` where OpenSSL
  /// fails.
  std::string signature(std::string_view content) const;
  /// What the receivers of ed25519 signatures need: `whpk_` and the public key. Nothing for an HMAC, whose receivers have the secret.
  std::optional<std::string> public_key() const;

 private:
  friend class verifying_key;
  struct key {
    detail::wiped_bytes<most_bytes + 2> shared;  // of an HMAC; two more, because base64 is decoded by three
    detail::pkey pair;                           // of ed25519
  };
  explicit secret(std::shared_ptr<const key> k) noexcept : key_{std::move(k)} {}

  std::shared_ptr<const key> key_;
};

// ── definitions ──

inline expected<secret, http::invalid> secret::parse(std::string_view text) {
  const auto bad = [](std::string why) { return unexpected<http::invalid>{http::invalid{std::move(why)}}; };
  const bool shared = text.starts_with(hmac_prefix);
  if (!shared && !text.starts_with(ed25519_prefix)) {
    if (text.empty()) return bad("a webhook secret is empty");
    if (text.starts_with("whpk_")) return bad("a public key (whpk_) cannot sign: the private key begins with whsk_");
    return bad("a webhook secret begins with whsec_ (HMAC) or whsk_ (ed25519)");
  }
  text.remove_prefix(shared ? hmac_prefix.size() : ed25519_prefix.size());
  auto made = std::make_shared<key>();
  if (text.size() > 88 || !detail::decode_base64(text, made->shared)) {
    return bad(shared ? "after whsec_ comes a secret of 24 to 64 bytes in base64 with its padding"
                      : "after whsk_ comes an ed25519 private key in base64: 32 bytes, or 64 with its public key");
  }
  const std::size_t size = made->shared.size;
  if (shared) {
    if (size < least_bytes || size > most_bytes)
      return bad("a whsec_ secret has 24 to 64 bytes; this one has " + std::to_string(size));
    return secret{std::move(made)};
  }
  if (size != detail::ed25519_key_size && size != 2 * detail::ed25519_key_size)
    return bad("a whsk_ key has 32 bytes, or 64 with its public key; this one has " + std::to_string(size));
  auto pair = std::make_shared<key>();  // the bytes are wiped with `made`
  const auto* const bytes = made->shared.bytes.data();
  pair->pair.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes, detail::ed25519_key_size));
  if (!pair->pair) return bad("OpenSSL has no ed25519 here (a FIPS provider may lack it): use a whsec_ secret");
  const auto derived = detail::public_bytes(pair->pair.get());
  if (size > derived.size() && CRYPTO_memcmp(bytes + derived.size(), derived.data(), derived.size()) != 0)
    return bad("the two halves of a whsk_ key do not belong together");
  return secret{std::move(pair)};
}

inline std::string secret::signature(std::string_view content) const {
  std::string out{version(scheme())};
  out += ',';
  return out += key_->pair ? detail::ed25519_signature(key_->pair.get(), content)
                           : detail::hmac_sha256(key_->shared.view(), content);
}

inline std::optional<std::string> secret::public_key() const {
  if (!key_->pair) return std::nullopt;
  const auto bytes = detail::public_bytes(key_->pair.get());
  return "whpk_" + detail::encode_base64(bytes.data(), bytes.size());
}

}  // namespace webhook
}  // namespace AGAIN_ABI
}  // namespace again
