// SPDX-License-Identifier: MIT
#include <again/httplib/detail/tls_peer.hpp>

#include "support/certificates.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

using again::http::error_kind;
using again::http::detail::diagnosis;
using again::http::detail::socket_watch;
using again::http::detail::tls_peer;
using namespace again_test;

namespace {

template <auto Free> struct freed_by {
  template <class T> void operator()(T* object) const noexcept { Free(object); }
};
using context = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;
using session = std::unique_ptr<SSL, freed_by<SSL_free>>;

/// A handshake without a network.
class handshake {
 public:
  handshake(tls_peer& peer, certificate shown, bool demanding = false) {
    const certificates& all = certificates::shared();
    server_ = context{SSL_CTX_new(TLS_server_method())};
    REQUIRE(SSL_CTX_use_certificate_chain_file(server_.get(), all.certificate_file(shown).c_str()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(server_.get(), all.key_file(shown).c_str(), SSL_FILETYPE_PEM) == 1);
    if (demanding) SSL_CTX_set_verify(server_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    const std::unique_ptr<X509_STORE, freed_by<X509_STORE_free>> roots{X509_STORE_new()};
    REQUIRE(X509_STORE_load_locations(roots.get(), all.authority_file().c_str(), nullptr) == 1);
    client_ = context{SSL_CTX_new(TLS_client_method())};
    peer.guard(client_.get(), roots.get());
    ours_ = session{SSL_new(client_.get())};
    theirs_ = session{SSL_new(server_.get())};
    BIO *a = nullptr, *b = nullptr;
    REQUIRE(BIO_new_bio_pair(&a, 0, &b, 0) == 1);
    SSL_set_bio(ours_.get(), a, a);
    SSL_set_bio(theirs_.get(), b, b);
    SSL_set_connect_state(ours_.get());
    SSL_set_accept_state(theirs_.get());
  }
  SSL* ours() const noexcept { return ours_.get(); }
  /// As far as it comes: true if we take it for finished.
  bool run() {
    for (int i = 0; i < 10; ++i) {
      SSL_do_handshake(ours_.get());
      SSL_do_handshake(theirs_.get());
    }
    return SSL_is_init_finished(ours_.get()) == 1;
  }

 private:
  context server_, client_;
  session ours_, theirs_;
};

/// What is made of an attempt of which the library says only that there was no session.
diagnosis explained(const tls_peer& peer) {
  diagnosis d{false, error_kind::tls_handshake, again::reach::not_sent, "the TLS handshake failed"};
  peer.explain(d);
  return d;
}

}  // namespace

TEST_CASE("a peer that proves its name has a session, and what it sends from then on counts") {
  socket_watch watch{true, -1};
  tls_peer peer{"localhost", watch};
  handshake h{peer, certificate::trusted};
  CHECK(h.run());
  CHECK(watch.is_secured());
}

TEST_CASE("a peer that cannot prove its name has no session") {
  socket_watch watch{true, -1};
  tls_peer peer{"localhost", watch};
  handshake h{peer, certificate::wrong_host};
  CHECK(!h.run());
  CHECK(!watch.is_secured());
  CHECK(explained(peer).kind == error_kind::tls_verify);
  CHECK(explained(peer).text.ends_with(": hostname mismatch"));
}

TEST_CASE("a session whose peer was not verified is none, whoever has switched the verification off") {
  for (const certificate shown : {certificate::wrong_host, certificate::expired, certificate::self_signed}) {
    socket_watch watch{true, -1};
    tls_peer peer{"localhost", watch};
    handshake h{peer, shown};
    SSL_set_verify(h.ours(), SSL_VERIFY_NONE, nullptr);
    h.run();
    CHECK(!watch.is_secured());
    CHECK(explained(peer).kind == error_kind::tls_verify);
    CHECK(explained(peer).reach == again::reach::not_sent);
  }
}

TEST_CASE("a server that demands a certificate after the client has finished ends the session with its reason") {
  socket_watch watch{true, -1};
  tls_peer peer{"localhost", watch};
  handshake h{peer, certificate::trusted, true};
  CHECK(h.run());  // in TLS 1.3 the client has finished before the server looks at its certificate
  char byte = 0;
  CHECK(SSL_read(h.ours(), &byte, 1) <= 0);
  diagnosis d{false, error_kind::closed, again::reach::maybe_sent, "the connection was closed before a response"};
  peer.explain(d);
  CHECK(d.kind == error_kind::tls_handshake);
  CHECK(d.reach == again::reach::maybe_sent);
  CAPTURE(d.text);
  CHECK(d.text.starts_with("the peer ended the TLS session: "));
  diagnosis after_response{false, error_kind::truncated, again::reach::answered, "cut"};
  peer.explain(after_response);
  CHECK(after_response.kind == error_kind::truncated);
}

TEST_CASE("an attempt begins without the reasons of the one before, and of others on its thread") {
  socket_watch watch{true, -1};
  tls_peer peer{"localhost", watch};
  handshake h{peer, certificate::wrong_host};
  CHECK(!h.run());
  ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
  peer.begin();
  CHECK(ERR_peek_error() == 0);
  CHECK(explained(peer).kind == error_kind::tls_handshake);
  CHECK(explained(peer).text == "the TLS handshake failed");
}

TEST_CASE("an empty host matches no certificate") {
  socket_watch watch{true, -1};
  tls_peer peer{"", watch};
  handshake h{peer, certificate::trusted};
  CHECK(!h.run());
  CHECK(explained(peer).kind == error_kind::tls_verify);
}
