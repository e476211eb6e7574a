// SPDX-License-Identifier: MIT
/// \file
/// Keys for tests, all of them published: that of the Standard Webhooks repository, and those of RFC 8032.
#pragma once

#include <again/webhook/secret.hpp>
#include <again/webhook/verifying_key.hpp>

#include <string_view>

namespace again_test {

inline constexpr std::string_view hmac_text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
inline constexpr std::string_view other_hmac_text = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
/// The private key of RFC 8032 7.1, test 1, and its public key.
inline constexpr std::string_view seed_text = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
inline constexpr std::string_view pair_text =
    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
inline constexpr std::string_view public_text = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

inline again::webhook::secret secret_of(std::string_view text) {
  auto parsed = again::webhook::secret::parse(text);
  return parsed.value();
}
inline again::webhook::verifying_key key_of(std::string_view text) {
  auto parsed = again::webhook::verifying_key::parse(text);
  return parsed.value();
}

}  // namespace again_test
