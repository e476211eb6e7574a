// SPDX-License-Identifier: MIT
#include <again/webhook/signing_keys.hpp>

#include "webhook/known_keys.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

using namespace again::webhook;
using namespace again_test;

namespace {

std::string problem(const again::expected<signing_keys, again::http::invalid>& keys) {
  return keys ? "taken" : keys.error().text();
}

/// A file that is removed at its end.
class temporary {
 public:
  explicit temporary(std::string_view content) {
    const int fd = ::mkstemp(path_.data());
    REQUIRE(fd >= 0);
    REQUIRE(::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
    REQUIRE(::close(fd) == 0);
  }
  temporary(const temporary&) = delete;
  temporary& operator=(const temporary&) = delete;
  ~temporary() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = std::filesystem::temp_directory_path() / "again-keys-XXXXXX";
};

}  // namespace

TEST_CASE("during a rotation every key signs, the new one first") {
  const signing_keys keys{std::vector{secret_of(seed_text), secret_of(hmac_text)}};
  CHECK(keys.size() == 2);
  CHECK(keys.signatures("x") == secret_of(seed_text).signature("x") + " " + secret_of(hmac_text).signature("x"));
  const signing_keys one = secret_of(hmac_text);
  CHECK(one.signatures("x") == secret_of(hmac_text).signature("x"));
}

TEST_CASE("no key and too many keys are refused") {
  CHECK_THROWS_AS(signing_keys{std::vector<secret>{}}, std::invalid_argument);
  CHECK_THROWS_AS((signing_keys{std::vector<secret>(17, secret_of(hmac_text))}), std::invalid_argument);
  CHECK(signing_keys{std::vector<secret>(16, secret_of(hmac_text))}.size() == 16);
  std::string lines;
  for (int i = 0; i < 17; ++i) lines.append(hmac_text).append("\n");
  CHECK(problem(signing_keys::parse(lines)) == "more than 16 keys");
}

TEST_CASE("several lines are several keys; empty lines and the ends of lines do not count") {
  const std::string first{hmac_text}, second{seed_text};
  for (const std::string& text :
       {first + "\n" + second, first + "\n" + second + "\n", "\n\n " + first + "\r\n\r\n\t" + second + " \r\n"}) {
    const auto keys = signing_keys::parse(text);
    REQUIRE(keys);
    REQUIRE(keys->size() == 2);
    CHECK(keys->secrets()[0].scheme() == scheme::hmac_sha256);
    CHECK(keys->secrets()[1].scheme() == scheme::ed25519);
  }
  CHECK(problem(signing_keys::parse(first + "\n\nwhsec_short\n")) ==
        "line 3: after whsec_ comes a secret of 24 to 64 bytes in base64 with its padding");
  CHECK(problem(signing_keys::parse(" \n\n")) == "no key in it: write whsec_… or whsk_…, one a line");
}

TEST_CASE("keys from a file, and what is said where that cannot be") {
  const temporary two{std::string{hmac_text} + "\n" + std::string{seed_text} + "\n"};
  const auto keys = signing_keys::from_file(two.path());
  REQUIRE(keys);
  CHECK(keys->size() == 2);

  const temporary empty{""}, wrong{"password\n"}, large{std::string(4097, '\n')};
  CHECK(problem(signing_keys::from_file("/nonexistent/keys")) ==
        "the secret's file '/nonexistent/keys': No such file or directory");
  CHECK(problem(signing_keys::from_file("/")) == "the secret's file '/': Is a directory");
  CHECK(problem(signing_keys::from_file(empty.path())) ==
        "the secret's file '" + empty.path() + "': no key in it: write whsec_… or whsk_…, one a line");
  CHECK(problem(signing_keys::from_file(wrong.path())) ==
        "the secret's file '" + wrong.path() +
            "': line 1: a webhook secret begins with whsec_ (HMAC) or whsk_ (ed25519)");
  CHECK(problem(signing_keys::from_file(large.path())) ==
        "the secret's file '" + large.path() + "': longer than 4096 bytes: this is no list of keys");
}

TEST_CASE("keys from the environment, and what is said where that cannot be") {
  const std::string name = "AGAIN_TEST_WEBHOOK_SECRET";
  ::unsetenv(name.c_str());
  CHECK(problem(signing_keys::from_environment(name)) == "the environment variable " + name + ": is not set");
  ::setenv(name.c_str(), "", 1);
  CHECK(problem(signing_keys::from_environment(name)) ==
        "the environment variable " + name + ": no key in it: write whsec_… or whsk_…, one a line");
  ::setenv(name.c_str(), std::string{hmac_text}.c_str(), 1);
  const auto keys = signing_keys::from_environment(name);
  REQUIRE(keys);
  CHECK(keys->size() == 1);
  ::unsetenv(name.c_str());
}
