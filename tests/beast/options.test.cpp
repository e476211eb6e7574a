// SPDX-License-Identifier: MIT
#include <again/beast.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace beast = again::beast;
using namespace std::chrono_literals;

namespace {

std::string refusal(beast::options o) {
  try {
    const beast::transport t{std::move(o)};
  } catch (const std::invalid_argument& e) { return e.what(); }
  return "taken";
}

}  // namespace

TEST_CASE("options that contradict themselves are refused, each with a sentence") {
  CHECK(refusal({}) == "taken");
  CHECK(refusal({.max_connections = 0}) == "again: beast::options: max_connections must be at least 1");
  CHECK(refusal({.keep_idle = 0s}) == "again: beast::options: keep_idle and keep_at_most must be positive");
  CHECK(refusal({.keep_at_most = -1s}) == "again: beast::options: keep_idle and keep_at_most must be positive");
  CHECK(refusal({.next_address_after = 0s}) == "again: beast::options: next_address_after must be positive");
  CHECK(refusal({.resolver_threads = 0}) == "again: beast::options: resolver_threads must be at least 1");
  CHECK(refusal({.keep_failed_lookup = 25h}) == "again: beast::options: keep_failed_lookup must be from 0 to 24 h");
  CHECK(refusal({.proxy = "http://127.0.0.1:1", .unix_socket = "/s"}) ==
        "again: beast::options: a proxy cannot be reached through unix_socket");
  CHECK(refusal({.proxy = "https://127.0.0.1:1"}) == "again: beast::options: proxy: only http:// proxies");
  CHECK(refusal({.proxy = "nonsense"}).starts_with("again: beast::options: proxy: "));
  CHECK(refusal({.proxy_user = "u"}) == "again: beast::options: proxy_user and proxy_password without a proxy");
  CHECK(refusal({.proxy = "http://127.0.0.1:1", .proxy_user = "a:b"}) ==
        "again: beast::options: proxy_user must not contain a colon (RFC 7617)");
  CHECK(refusal({.proxy = "http://127.0.0.1:1", .proxy_password = "p"}) ==
        "again: beast::options: proxy_password without proxy_user");
  CHECK(refusal({.unix_socket = std::string(200, 'x')}) ==
        "again: beast::options: the path of unix_socket is too long");
  CHECK(refusal({.unix_socket = "/s", .deny_private_addresses = true})
            .starts_with("again: beast::options: deny_private_addresses: "));
}

TEST_CASE("files of certificates and pinned keys are read when the transport is made") {
  CHECK(refusal({.cacert = "no-such.pem"}) ==
        "again: beast::options: cacert: 'no-such.pem': No such file or directory");
  CHECK(refusal({.client_certificate = "no-such.pem"})
            .starts_with("again: beast::options: client_certificate: 'no-such.pem': "));
  CHECK(refusal({.client_key = "k.pem"}) == "again: beast::options: client_key without client_certificate");
  const std::string good = "sha256//" + std::string(43, 'A') + "=";
  CHECK(refusal({.pinned_public_key = good + ";" + good}) == "taken");
  for (const char* bad : {"sha1//AAAA", "sha256//AAAA", "sha256//", "x"}) {
    CAPTURE(bad);
    CHECK(refusal({.pinned_public_key = bad}) ==
          "again: beast::options: pinned_public_key: write sha256//, then the SHA-256 of the public key in base64");
  }
}
