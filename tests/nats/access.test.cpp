// SPDX-License-Identifier: MIT
/// \file
/// Who is let in, and to what: TLS, users, credentials, and streams that are none of ours.
#include <again/nats/store.hpp>

#include "nats/store_on_server.hpp"
#include "support/certificates.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace again;
using namespace again_test;
using journal::error_kind;

namespace {

const certificates& shown() { return certificates::shared(); }
std::string tls(certificate which, bool of_client = false) {
  need_nats_server();
  return "tls {\ncert_file: \"" + shown().certificate_file(which).string() + "\"\nkey_file: \"" +
         shown().key_file(which).string() + "\"\nca_file: \"" + shown().authority_file().string() +
         (of_client ? "\"\nverify: true\n}" : "\"\n}");
}
bool works(store_on_server& f) {
  auto t = f.test();
  return t.append(numbered(1, 1)) == journal::acknowledged{1, 0} && take_some(t, 1) == ids{"1"};
}
void make(const nats::options& o, const std::string& description) {
  nats::detail::connection c{o};
  c.connect();
  c.exchange(nats::detail::request{"$JS.API.STREAM.CREATE." + o.stream,
                                   R"({"name":")" + o.stream + R"(","description":")" + description +
                                       R"(","subjects":[")" + o.stream + R"(.event.*.*"],"num_replicas":1})"});
}

}  // namespace

TEST_CASE("TLS: with the authority that has signed the certificate, and not without it") {
  nats_server server{tls(certificate::trusted)};
  store_on_server f{server};
  f.settings.timeout = 1s;
  CHECK(f.refusal().kind == error_kind::unreachable);
  f.settings.ca = shown().authority_file().string();
  CHECK(works(f));
}

TEST_CASE("TLS: a certificate for another host, one that is over, and a server without TLS are refused") {
  store_on_server plain;
  plain.settings.ca = shown().authority_file().string();
  CHECK(plain.refusal().text.find("no TLS connection") != std::string::npos);
  for (const certificate bad : {certificate::wrong_host, certificate::expired, certificate::self_signed}) {
    nats_server server{tls(bad)};
    store_on_server f{server};
    f.settings.ca = shown().authority_file().string();
    const journal::error why = f.refusal();
    CHECK(why.kind == error_kind::unreachable);
    CHECK(why.text.find("no TLS connection") != std::string::npos);
  }
}

TEST_CASE("TLS: a server that wants a certificate of the client gets it") {
  nats_server server{tls(certificate::trusted, true)};
  store_on_server f{server};
  f.settings.timeout = 1s;
  f.settings.ca = shown().authority_file().string();
  CHECK(f.refusal().kind == error_kind::unreachable);
  f.settings.certificate = shown().certificate_file(certificate::client).string();
  f.settings.key = shown().key_file(certificate::client).string();
  CHECK(works(f));
}

TEST_CASE("a user and a token are let in with their secrets, which no message has") {
  need_nats_server();
  nats_server users{"authorization { user: \"me\", password: \"geheim\" }"};
  store_on_server f{users};
  const auto refused = [](store_on_server& at) {
    const journal::error why = at.refusal();
    CHECK(why.kind == error_kind::unreachable);
    CHECK(why.text.find("the server refuses this user; name a file of credentials that it knows") != std::string::npos);
    CHECK(why.text.find("falsch") == std::string::npos);
  };
  refused(f);
  f.settings.user = "me";
  f.settings.password = "falsch";
  refused(f);
  f.settings.password = "geheim";
  CHECK(works(f));
  nats_server tokens{"authorization { token: \"geheim\" }"};
  store_on_server g{tokens};
  g.settings.token = "falsch";
  refused(g);
  g.settings.token = "geheim";
  CHECK(works(g));
}

TEST_CASE("files that cannot be read are named") {
  store_on_server f;
  for (std::string nats::options::* const file :
       {&nats::options::ca, &nats::options::certificate, &nats::options::key, &nats::options::credentials}) {
    f.settings.*file = "/nonexistent/file";
    const journal::error why = f.refusal();
    CHECK(why.kind == error_kind::invalid);
    CHECK(why.text == "/nonexistent/file cannot be read; name a file that exists, or change its mode");
    (f.settings.*file).clear();
  }
}

TEST_CASE("no server: one sentence, and the list of servers is tried in turns") {
  store_on_server f;
  f.settings.timeout = 1s;
  f.settings.servers = {"127.0.0.1:1"};
  const journal::error why = f.refusal();
  CHECK(why.kind == error_kind::unreachable);
  CHECK(why.text.starts_with("nats://127.0.0.1:1: no connection to a server ("));
  CHECK(why.text.ends_with("); start it, or name one that runs"));
  f.settings.servers = {"127.0.0.1:1", f.server.address()};
  CHECK(works(f));
}

TEST_CASE("a stream of another program, or of a newer version, is left alone") {
  store_on_server f;
  make(f.settings, "orders of somebody");
  CHECK(f.refusal().kind == error_kind::version);
  CHECK(f.refusal().text == "stream " + f.settings.stream + " is no journal; name another one");
  store_on_server g;
  make(g.settings, "again journal, format 2");
  CHECK(g.refusal().kind == error_kind::version);
  CHECK(g.refusal().text ==
        "the format of stream " + g.settings.stream + " is 2, this program knows 1; use the newer program");
}

TEST_CASE("replicas that one server cannot have, or that the stream has not, are refused") {
  store_on_server f;
  f.settings.replicas = 3;
  CHECK(f.refusal().kind == error_kind::unreachable);
  CHECK(f.refusal().text.find("start as many servers of the cluster, or ask for fewer") != std::string::npos);
  f.settings.replicas = 1;
  f.open();
  f.close();
  f.settings.replicas = 3;
  CHECK(f.refusal().kind == error_kind::invalid);
  CHECK(f.refusal().text.find("has 1 replicas and not 3") != std::string::npos);
}

TEST_CASE("a worker that wants longer leases than the stream has is refused: it would extend them too late") {
  store_on_server f;
  f.settings.lease = 2s;
  f.open();
  f.close();
  f.settings.lease = 1s;
  f.open();
  f.close();
  f.settings.lease = 3s;
  CHECK(f.refusal().kind == error_kind::invalid);
  CHECK(f.refusal().text.find("has leases of 2000 ms, less than the 3000 ms that were asked for") != std::string::npos);
}

TEST_CASE("a server without JetStream is told so") {
  need_nats_server();
  nats_server server{"jetstream: false"};
  store_on_server f{server};
  f.settings.timeout = 1s;
  CHECK(f.refusal().kind == error_kind::unreachable);
}
