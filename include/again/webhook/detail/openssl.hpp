// SPDX-License-Identifier: MIT
/// \file
/// What webhooks need of OpenSSL: HMAC-SHA256, ed25519, base64, and memory that is wiped.
#pragma once

#include <again/core/expected.hpp>

#if !__has_include(<openssl/evp.h>)
#error \
    "again/webhook.hpp: <openssl/evp.h> is not there: install OpenSSL 1.1.1 or later (Debian: libssl-dev) and link with -lcrypto"
#define AGAIN_STOP <the error above says what again needs>
#include AGAIN_STOP
#endif
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/opensslv.h>
#if OPENSSL_VERSION_NUMBER < 0x10101000L
#error "again/webhook.hpp needs OpenSSL 1.1.1 or later: earlier versions have no ed25519"
#endif

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace again {
inline namespace AGAIN_ABI {
namespace webhook {
namespace detail {

/// Bytes that are wiped at their end. They stay where they were made, so that there is one copy of them.
template <std::size_t Capacity> struct wiped_bytes {
  wiped_bytes() = default;
  wiped_bytes(const wiped_bytes&) = delete;
  wiped_bytes& operator=(const wiped_bytes&) = delete;
  ~wiped_bytes() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

  std::string_view view() const noexcept { return {reinterpret_cast<const char*>(bytes.data()), size}; }

  std::array<unsigned char, Capacity> bytes{};
  std::size_t size = 0;
};

inline const unsigned char* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

/// Decodes canonical base64 with its padding (RFC 4648 4) into `out`. False: it is no such text, or too long.
template <std::size_t Capacity> bool decode_base64(std::string_view text, wiped_bytes<Capacity>& out) {
  constexpr std::size_t most_text = Capacity / 3 * 4;
  if (text.size() % 4 != 0 || text.size() > most_text || text.find('\0') != std::string_view::npos) return false;
  const int n = EVP_DecodeBlock(out.bytes.data(), bytes_of(text), static_cast<int>(text.size()));
  if (n < 0) return false;
  out.size = static_cast<std::size_t>(n);
  for (std::size_t i = text.size(); i > 0 && out.size > 0 && text[i - 1] == '='; --i) --out.size;
  // OpenSSL skips spaces and takes bits that no encoder sets: what does not come out again was not canonical.
  wiped_bytes<most_text + 4> again_encoded;
  const int back = EVP_EncodeBlock(again_encoded.bytes.data(), out.bytes.data(), static_cast<int>(out.size));
  again_encoded.size = static_cast<std::size_t>(back);
  return again_encoded.view() == text;
}

inline std::string encode_base64(const unsigned char* bytes, std::size_t size) {
  std::string out((size + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends it with a NUL
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes, static_cast<int>(size));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

struct free_pkey {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }  // wipes a private key
};
using pkey = std::unique_ptr<EVP_PKEY, free_pkey>;

struct free_digest {
  void operator()(EVP_MD_CTX* state) const noexcept { EVP_MD_CTX_free(state); }
};
using digest = std::unique_ptr<EVP_MD_CTX, free_digest>;

inline constexpr std::size_t ed25519_key_size = 32;
inline constexpr std::size_t ed25519_signature_size = 64;

[[noreturn]] inline void openssl_failed(const char* doing) {
  throw std::runtime_error{std::string{"again::webhook: OpenSSL could not "} + doing};
}

/// HMAC-SHA256 in base64. Throws where OpenSSL cannot do it.
inline std::string hmac_sha256(std::string_view key, std::string_view content) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(content), content.size(), mac.data(),
           &size) == nullptr)
    openssl_failed("make an HMAC");
  return encode_base64(mac.data(), size);
}

/// An ed25519 signature in base64. Throws where OpenSSL cannot do it.
inline std::string ed25519_signature(EVP_PKEY* key, std::string_view content) {
  const digest state{EVP_MD_CTX_new()};
  std::array<unsigned char, ed25519_signature_size> made{};
  std::size_t size = made.size();
  if (!state || EVP_DigestSignInit(state.get(), nullptr, nullptr, nullptr, key) != 1 ||
      EVP_DigestSign(state.get(), made.data(), &size, bytes_of(content), content.size()) != 1)
    openssl_failed("sign with ed25519");
  return encode_base64(made.data(), size);
}

/// Whether `signature`, in base64, is one of `content`. Throws where OpenSSL cannot do it.
inline bool ed25519_matches(EVP_PKEY* key, std::string_view content, std::string_view signature) {
  wiped_bytes<ed25519_signature_size + 2> given;
  if (!decode_base64(signature, given) || given.size != ed25519_signature_size) return false;
  const digest state{EVP_MD_CTX_new()};
  if (!state || EVP_DigestVerifyInit(state.get(), nullptr, nullptr, nullptr, key) != 1)
    openssl_failed("verify with ed25519");
  return EVP_DigestVerify(state.get(), given.bytes.data(), given.size, bytes_of(content), content.size()) == 1;
}

/// The public key's bytes.
inline std::array<unsigned char, ed25519_key_size> public_bytes(const EVP_PKEY* key) {
  std::array<unsigned char, ed25519_key_size> bytes{};
  std::size_t size = bytes.size();
  if (EVP_PKEY_get_raw_public_key(key, bytes.data(), &size) != 1 || size != bytes.size())
    openssl_failed("derive a public key");
  return bytes;
}

/// Equal texts? The time depends on the lengths alone.
inline bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace detail
}  // namespace webhook
}  // namespace AGAIN_ABI
}  // namespace again
