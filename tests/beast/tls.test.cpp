// SPDX-License-Identifier: MIT
// Sessions that go on, and pinned keys. What holds for every transport: tests/transport/tls.test.cpp.
#include <again/beast.hpp>

#include <again/coro/sync_wait.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace beast = again::beast;
using namespace again;
using namespace again::http;
using namespace again_test;
using again::http::request;

namespace {

/// As curl's --pinnedpubkey takes it, of a certificate in PEM.
std::string pin_of(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> in{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                     BIO_free};
  const std::unique_ptr<X509, decltype(&X509_free)> x{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr),
                                                      X509_free};
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(X509_get0_pubkey(x.get()), &der);
  REQUIRE(size > 0);
  unsigned char digest[32], text[45];
  EVP_Digest(der, static_cast<std::size_t>(size), digest, nullptr, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  EVP_EncodeBlock(text, digest, sizeof digest);
  return std::string{"sha256//"} + reinterpret_cast<const char*>(text);
}
std::string pin_of(certificate which) { return pin_of(certificates::shared().pair(which).certificate_pem); }

server_options of_version(tls_version v) {
  server_options o = with_tls();
  o.tls->min = o.tls->max = v;
  return o;
}

}  // namespace

TEST_CASE("https: a later connection goes on with the session of an earlier one, and other origins' have none of it") {
  for (const tls_version version : {tls_version::v1_2, tls_version::v1_3}) {
    CAPTURE(static_cast<int>(version));
    const auto closing = [](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); };
    misbehaving_server server{closing, of_version(version)};
    misbehaving_server other{closing, of_version(version)};
    beast::transport transport{trusting()};
    for (int i = 0; i < 3; ++i)
      REQUIRE(kind_of(sync_wait(transport.send(to(server, request::get("/")), 1))) == "response 200");
    REQUIRE(kind_of(sync_wait(transport.send(to(other, request::get("/")), 1))) == "response 200");
    CHECK(!server.request(0).resumed);
    CHECK(server.request(1).resumed);
    CHECK(server.request(2).resumed);
    CHECK(!other.request(0).resumed);
  }
}

TEST_CASE("https: a server that has forgotten the session is asked for a whole handshake, within the same attempt") {
  const auto closing = [](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); };
  auto first = std::make_unique<misbehaving_server>(closing, with_tls());
  beast::transport transport{trusting()};
  REQUIRE(kind_of(sync_wait(transport.send(to(*first, request::get("/")), 1))) == "response 200");
  server_options same_port = with_tls();
  same_port.port = first->port();
  first.reset();
  misbehaving_server second{closing, same_port};
  CHECK(kind_of(sync_wait(transport.send(to(second, request::get("/")), 1))) == "response 200");
  CHECK(!second.request(0).resumed);
}

TEST_CASE("https: a session that goes on does not outlive the trust in its peer's names") {
  // The session was made with a name that the certificate has; for another name of the same server there is none.
  const auto closing = [](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); };
  server_options shown = with_tls();
  shown.tls->own = certificates::shared().issue("ignored", "DNS:a.example");
  misbehaving_server server{closing, shown};
  beast::options options = trusting();
  options.resolve = [](const std::string&) { return std::vector<std::string>{"127.0.0.1"}; };
  beast::transport transport{options};
  const auto from = [&](const char* host) {
    const auto port = static_cast<std::uint16_t>(server.port());
    return kind_of(sync_wait(transport.send(
        std::make_shared<const outgoing>(origin{scheme::https, host, port}, request::get("/"), patient), 1)));
  };
  CHECK(from("a.example") == "response 200");
  CHECK(from("b.example") == "tls_verify");
  CHECK(from("a.example") == "response 200");
}

TEST_CASE("https: a pinned key: the right one is taken, a wrong one is refused before anything is sent") {
  const std::string right = pin_of(certificate::trusted), wrong = pin_of(certificate::client);
  const struct {
    std::string pins;
    const char* kind;
  } rows[] = {{right, "response 200"},
              {wrong, "tls_verify"},
              {wrong + ";" + right, "response 200"},
              {wrong + ";" + pin_of(certificate::expired), "tls_verify"}};
  for (const auto& row : rows) {
    CAPTURE(row.pins);
    misbehaving_server server{[](const seen_request&, int) { return respond(200, {{"Connection", "close"}}); },
                              with_tls()};
    beast::options options = trusting();
    options.pinned_public_key = row.pins;
    beast::transport transport{options};
    for (int i = 1; i <= 2; ++i) {  // also of a session that goes on
      const auto r = sync_wait(transport.send(to(server, request::get("/")), i));
      CAPTURE(r ? std::string{} : r.error().detail);
      CHECK(kind_of(r) == row.kind);
      if (!r) CHECK(reach_of(r) == "not_sent");
    }
    CHECK(server.requests_seen() == (std::string{row.kind} == "tls_verify" ? 0 : 2));
  }
}

TEST_CASE("https: a pinned key does not replace the trust in a certificate") {
  misbehaving_server server{{tls_untrusted()}, with_tls()};
  beast::options options = trusting();
  options.pinned_public_key = pin_of(certificate::self_signed);
  beast::transport transport{options};
  CHECK(kind_of(sync_wait(transport.send(to(server, request::get("/")), 1))) == "tls_verify");
}
