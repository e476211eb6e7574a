// SPDX-License-Identifier: MIT
// https.
#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

/// Removed with everything in it.
class temporary_folder {
 public:
  temporary_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "again-tls-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream{path(name), std::ios::binary} << text;
    return path(name);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace

TEST_CASE("https: a response comes over a verified session, again over the same one") {
  misbehaving_server server{[](const seen_request&, int) { return respond(200).body("secret"); }, with_tls()};
  transport_under_test transport{trusting()};
  for (int i = 0; i < 3; ++i) {
    const auto r = run(transport.send(to(server, request::get("/")), 1));
    CAPTURE(kind_of(r));
    REQUIRE(r);
    CHECK(r->body == "secret");
  }
  CHECK(server.connections_seen() == 1);
}

TEST_CASE("https: every failure has its kind, and reach tells the truth") {
  struct row {
    step what;
    const char* kind;
    const char* reach;
    std::size_t seen;
  };
  const row rows[] = {
      {tls_untrusted(), "tls_verify", "not_sent", 0},
      {tls_wrong_host(), "tls_verify", "not_sent", 0},
      {tls_expired(), "tls_verify", "not_sent", 0},
      {plain_http(), "tls_handshake", "not_sent", 0},
      {close_on_accept(), "tls_handshake", "not_sent", 0},
      {tls_handshake_stall(), "connect_timeout", "not_sent", 0},
      {tls_close_after_write(), "closed", "maybe_sent", 1},
      {close(), "closed", "maybe_sent", 1},
      {reset(), "reset", "maybe_sent", 1},
      {hang(), "timeout", "maybe_sent", 1},
      {truncated("half", 8), "truncated", "answered", 1},
      {truncated("half", 8, ending::reset), "truncated", "answered", 1},
      {stall_body("half", 8), "timeout", "answered", 1},
      {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "truncated", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "response 200",
       "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial"), "truncated",
       "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial", ending::reset),
       "truncated", "answered", 1},
      {raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
       "truncated", "answered", 1},
  };
  for (const row& r : rows) {
    CAPTURE(name(r.what.what));
    misbehaving_server server{{r.what}, with_tls()};
    transport_under_test transport{trusting()};
    send_limits l = std::string_view{r.kind} == "timeout" ? hasty : patient;
    if (std::string_view{r.kind} == "connect_timeout") l.connect = 200ms;
    const auto result = run(transport.send(to(server, request::post("/").body("x"), l), 1));
    CAPTURE(result ? std::string{} : result.error().detail);
    CHECK(kind_of(result) == r.kind);
    CHECK(reach_of(result) == r.reach);
    CHECK(server.requests_seen() == r.seen);
  }
}

TEST_CASE("https: a body that ends with its connection is whole only after the peer's close_notify") {
  for (const bool notified : {true, false}) {
    CAPTURE(notified);
    server_options options = with_tls();
    options.tls->close_notify = notified;
    misbehaving_server server{{respond(200).body("to the end").close_delimited()}, options};
    transport_under_test transport{trusting()};
    const auto r = run(transport.send(to(server, request::get("/")), 1));
    CAPTURE(r ? std::string{} : r.error().detail);
    CHECK(kind_of(r) == (notified ? "response 200" : "truncated"));
    CHECK(reach_of(r) == "answered");
  }
}

TEST_CASE("https: the detail of an error has OpenSSL's reason") {
  const certificates& all = certificates::shared();
  const auto trusting_another = [&all] {
    transport_options o;
    o.cacert = all.certificate_file(certificate::self_signed).string();
    return o;
  };
  server_options demanding = with_tls();
  demanding.tls->max = tls_version::v1_2;
  demanding.tls->demand_client_certificate = true;
  const struct {
    step what;
    server_options server;
    transport_options options;
    std::string kind, reason;
  } rows[] = {
      {tls_untrusted(), with_tls(), trusting(), "tls_verify", "self-signed certificate"},
      {tls_wrong_host(), with_tls(), trusting(), "tls_verify", "hostname mismatch"},
      {tls_expired(), with_tls(), trusting(), "tls_verify", "certificate has expired"},
      {respond(200), with_tls(), trusting_another(), "tls_verify", "unable to get local issuer certificate"},
      {respond(200), with_tls(), {}, "tls_verify", "unable to get local issuer certificate"},
      {respond(200), demanding, trusting(), "tls_handshake", "alert handshake failure"},
      {plain_http(), with_tls(), trusting(), "tls_handshake", "wrong version number"},
      {close_on_accept(), with_tls(), trusting(), "tls_handshake", "unexpected eof while reading"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.reason);
    misbehaving_server server{{row.what}, row.server};
    transport_under_test transport{row.options};
    auto what = to_name(server, "localhost", request::get("/"));
    const auto secure = std::make_shared<const outgoing>(origin{scheme::https, "localhost", what->origin.port},
                                                         request::get("/"), patient);
    const auto r = run(transport.send(secure, 1));
    CHECK(kind_of(r) == row.kind);
    CHECK(reach_of(r) == "not_sent");
    REQUIRE(!r);
    CAPTURE(r.error().detail);
    CHECK(r.error().detail.ends_with(row.reason));
    CHECK(server.requests_seen() == 0);
  }
}

TEST_CASE("https: a version of TLS that is too old is a reason") {
  server_options old = with_tls();
  old.tls->max = tls_version::v1_1;
  misbehaving_server server{{respond(200)}, old};
  transport_under_test transport{trusting()};
  const auto r = run(transport.send(to(server, request::get("/")), 1));
  CHECK(kind_of(r) == "tls_handshake");
  REQUIRE(!r);
  const std::string before =
      "the TLS handshake failed: ";  // and then what the system's settings for OpenSSL make of it
  CAPTURE(r.error().detail);
  CHECK(r.error().detail.starts_with(before));
  CHECK(r.error().detail.size() > before.size());
}

TEST_CASE("https: the reason is that of this connection, not one that another has left on its thread") {
  misbehaving_server failing{{plain_http(), plain_http(), plain_http()}, with_tls()};
  misbehaving_server expired{{tls_expired(), tls_expired(), tls_expired()}, with_tls()};
  transport_under_test transport{with_threads_for(1, trusting())};
  for (int i = 0; i < 3; ++i) {
    const auto first = run(transport.send(to(failing, request::get("/")), 1));
    const auto second = run(transport.send(to(expired, request::get("/")), 1));
    REQUIRE(!first);
    REQUIRE(!second);
    CHECK(first.error().detail.ends_with("wrong version number"));
    CHECK(second.error().detail.ends_with("certificate has expired"));
  }
}

TEST_CASE("https: a client shows its certificate to a server that asks for one") {
  const certificates& all = certificates::shared();
  for (const tls_version version : {tls_version::v1_2, tls_version::v1_3}) {
    server_options demanding = with_tls();
    demanding.tls->demand_client_certificate = true;
    demanding.tls->min = demanding.tls->max = version;
    misbehaving_server server{{respond(200)}, demanding};
    transport_options options = trusting();
    options.client_certificate = all.certificate_file(certificate::client).string();
    options.client_key = all.key_file(certificate::client).string();
    transport_under_test transport{options};
    CHECK(kind_of(run(transport.send(to(server, request::get("/")), 1))) == "response 200");
  }
}

TEST_CASE("https: a file of certificates that is of no use is an error when the transport is made") {
  const certificates& all = certificates::shared();
  const temporary_folder folder;
  const std::string garbage = folder.file("garbage.pem", "not a certificate\n");
  const std::string empty = folder.file("empty.pem", "");
  const std::string torn = folder.file("torn.pem", all.authority_pem().substr(0, 200));
  const std::string half = folder.file("half.pem", all.authority_pem() + all.authority_pem().substr(0, 200));
  const std::string missing = folder.path("missing.pem");
  const std::string authority = all.authority_file().string();
  const std::string own = all.certificate_file(certificate::client).string();
  const std::string key = all.key_file(certificate::client).string();
  const std::string other_key = all.key_file(certificate::trusted).string();
  const struct {
    std::string cacert, certificate, key;
    std::string says;
  } rows[] = {
      {missing, "", "", "cacert: '" + missing + "': No such file or directory"},
      {folder.path(""), "", "", "cacert: '" + folder.path("") + "': "},
      {empty, "", "", "cacert: '" + empty + "': "},
      {garbage, "", "", "cacert: '" + garbage + "': "},
      {torn, "", "", "cacert: '" + torn + "': "},
      {half, "", "", "cacert: '" + half + "': "},
      {key, "", "", "cacert: '" + key + "': no certificate"},
      {authority, missing, key, "client_certificate: '" + missing + "': No such file or directory"},
      {authority, garbage, key, "client_certificate: '" + garbage + "': "},
      {authority, own, missing, "client_key: '" + missing + "': "},
      {authority, own, empty, "client_key: '" + empty + "': "},
      {authority, own, garbage, "client_key: '" + garbage + "': "},
      {authority, own, "", "client_key: '" + own + "': "},
      {authority, own, other_key, "client_key: '" + other_key + "': key values mismatch"},
      {authority, "", key, "client_key without client_certificate"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.says);
    transport_options options;
    options.cacert = row.cacert;
    options.client_certificate = row.certificate;
    options.client_key = row.key;
    std::string said;
    try {
      const transport_under_test transport{options};
    } catch (const std::invalid_argument& e) { said = e.what(); }
    CAPTURE(said);
    CHECK(said.starts_with(options_name + row.says));
    CHECK(!said.ends_with(": "));
  }
}

TEST_CASE(
    "no hidden sends: on a used TLS connection that closes after the write, the server sees one request per attempt") {
  std::vector<step> script;
  for (int i = 0; i < 10; ++i) {
    script.push_back(respond(200));
    script.push_back(tls_close_after_write());
  }
  misbehaving_server server{script, with_tls()};
  transport_under_test transport{trusting()};
  for (std::size_t i = 0; i < 20; ++i) {
    const auto r = run(transport.send(to(server, request::post("/").body("x")), 1));
    CHECK(bool{r} == (i % 2 == 0));
    CHECK(server.requests_seen() == i + 1);
  }
}
