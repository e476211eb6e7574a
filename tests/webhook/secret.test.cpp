// SPDX-License-Identifier: MIT
#include <again/webhook/secret.hpp>

#include "webhook/known_keys.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

using namespace again::webhook;
using namespace again_test;

namespace {

template <class T>
concept printable = requires(std::ostream& out, const T& value) { out << value; } || requires(const T& value) {
  std::string_view{value};
} || requires(const T& value) { to_string(value); };
static_assert(!printable<secret> && printable<std::string_view>);
static_assert(std::is_copy_constructible_v<secret> && std::is_nothrow_move_constructible_v<secret>);
static_assert(!std::is_default_constructible_v<secret>, "an empty secret would sign with an empty key");

std::string problem(std::string_view text) {
  const auto parsed = secret::parse(text);
  return parsed ? "taken" : parsed.error().text();
}
std::string base64_of(std::size_t bytes) {
  const std::string content(bytes, 'a');
  return detail::encode_base64(detail::bytes_of(content), content.size());
}

}  // namespace

TEST_CASE("the published example of Standard Webhooks") {
  const secret key = secret_of(hmac_text);
  CHECK(key.scheme() == scheme::hmac_sha256);
  CHECK(key.signature("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}") ==
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  CHECK_FALSE(key.public_key());
}

TEST_CASE("the first example of RFC 8032: with the seed alone and with the public key behind it") {
  for (const std::string_view text : {seed_text, pair_text}) {
    const secret key = secret_of(text);
    CHECK(key.scheme() == scheme::ed25519);
    CHECK(key.signature("") ==
          "v1a,5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==");
    CHECK(key.public_key() == public_text);
  }
}

TEST_CASE("an HMAC secret has 24 to 64 bytes") {
  CHECK(problem("whsec_" + base64_of(24)) == "taken");
  CHECK(problem("whsec_" + base64_of(64)) == "taken");
  CHECK(problem("whsec_" + base64_of(23)) == "a whsec_ secret has 24 to 64 bytes; this one has 23");
  CHECK(problem("whsec_" + base64_of(65)) == "a whsec_ secret has 24 to 64 bytes; this one has 65");
  CHECK(problem("whsec_") == "a whsec_ secret has 24 to 64 bytes; this one has 0");
  CHECK(problem("whsec_" + base64_of(67)) ==
        "after whsec_ comes a secret of 24 to 64 bytes in base64 with its padding");
}

TEST_CASE("a text that is no secret is refused with a sentence that says what is wanted") {
  CHECK(problem("") == "a webhook secret is empty");
  CHECK(problem("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == "a webhook secret begins with whsec_ (HMAC) or whsk_ (ed25519)");
  CHECK(problem("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") ==
        "a webhook secret begins with whsec_ (HMAC) or whsk_ (ed25519)");
  CHECK(problem(public_text) == "a public key (whpk_) cannot sign: the private key begins with whsk_");
  CHECK(problem("whsk_" + base64_of(31)) == "a whsk_ key has 32 bytes, or 64 with its public key; this one has 31");
  CHECK(problem("whsk_" + base64_of(48)) == "a whsk_ key has 32 bytes, or 64 with its public key; this one has 48");
  CHECK(problem("whsk_" + base64_of(64)) == "the two halves of a whsk_ key do not belong together");
  CHECK(problem("whsk_?") == "after whsk_ comes an ed25519 private key in base64: 32 bytes, or 64 with its public key");
}

TEST_CASE("base64 is taken in its canonical form alone") {
  const std::string fine{hmac_text};
  const std::string why = "after whsec_ comes a secret of 24 to 64 bytes in base64 with its padding";
  CHECK(problem(fine) == "taken");
  for (const std::string& text : {fine + " ", fine + "\n", "whsec_ " + fine.substr(6), fine.substr(0, fine.size() - 1),
                                  fine + "=", fine + "====", fine.substr(0, 36) + "-_", fine.substr(0, 37) + "*",
                                  fine.substr(0, 34) + std::string(4, '\0')}) {
    CAPTURE(text);
    CHECK(problem(text) == why);
  }
  std::string loose = "whsec_" + base64_of(25);  // ends in "=="; of the digit before it two bits count
  REQUIRE(loose.ends_with("YQ=="));
  CHECK(problem(loose) == "taken");
  loose[loose.size() - 3] = 'R';
  CHECK(problem(loose) == why);
}

TEST_CASE("no error repeats a part of the secret") {
  for (const std::string_view text :
       {hmac_text.substr(6), hmac_text.substr(0, 30), seed_text.substr(0, 40), seed_text.substr(5), public_text}) {
    const std::string said = problem(text);
    REQUIRE(said != "taken");
    for (std::size_t i = 5; i + 6 <= text.size(); ++i)
      if (text[i - 1] != '_') CHECK(said.find(text.substr(i, 6)) == std::string::npos);
  }
}

TEST_CASE("memory that held a secret is wiped") {
  using bytes = detail::wiped_bytes<32>;
  alignas(bytes) unsigned char place[sizeof(bytes)];
  auto* const held = ::new (static_cast<void*>(place)) bytes;
  std::memset(held->bytes.data(), 0x5a, held->bytes.size());
  const unsigned char* const first = held->bytes.data();
  held->~bytes();
  for (std::size_t i = 0; i < 32; ++i) CHECK(*std::launder(first + i) == 0);
}
