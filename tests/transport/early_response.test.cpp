// SPDX-License-Identifier: MIT
// A response that comes while the request is still being written (RFC 9112 9.3, 9.5).
#include <again/retry/retry.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"
#include "support/transport_under_test.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

constexpr std::size_t more_than_buffers = 48U << 20U;

/// So many bytes, of known size or in chunks.
class zeros final : public chunk_source {
 public:
  explicit zeros(bool announced) : announced_{announced} {}
  expected<std::size_t, std::string> read(std::span<char> into) override {
    const std::size_t n = std::min(into.size(), left_);
    std::fill_n(into.begin(), n, '0');
    left_ -= n;
    return n;
  }
  std::optional<std::uint64_t> size() const override {
    if (!announced_) return std::nullopt;
    return more_than_buffers;
  }

 private:
  const bool announced_;
  std::size_t left_ = more_than_buffers;
};

/// A large body, in each way in which a body can be given.
std::vector<std::pair<const char*, body>> large_bodies(const std::string& path) {
  std::ofstream{path} << std::string(more_than_buffers, 'f');
  return {{"bytes", body{std::string(more_than_buffers, 'b')}},
          {"file", body::file(path)},
          {"source of known size", body::factory([] { return std::make_unique<zeros>(true); })},
          {"source in chunks", body::factory([] { return std::make_unique<zeros>(false); })}};
}

}  // namespace

TEST_CASE("a response from the head alone ends the write of every kind of body, over plain and TLS") {
  const std::string path = "/tmp/again-early-" + std::to_string(::getpid());
  struct row {
    const char* bytes;
    int status;
  };
  const row rows[] = {
      {"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig", 413},
      {"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n",
       401},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbig", 200},
      {"HTTP/1.1 204 No Content\r\n\r\n", 204},
  };
  for (const auto& [kind, content] : large_bodies(path)) {
    for (const bool tls : {false, true}) {
      if (tls && !tls_reads_while_it_writes) continue;
      CAPTURE(kind);
      CAPTURE(tls);
      for (const row& r : rows) {
        CAPTURE(r.status);
        misbehaving_server server{{unread(r.bytes), respond(200)}, tls ? with_tls() : server_options{}};
        transport_under_test transport{trusting()};
        const auto got = run(transport.send(to(server, request::put("/").body(content)), 1));
        CAPTURE(got ? std::string{} : got.error().detail);
        CHECK(kind_of(got) == "response " + std::to_string(r.status));
        if (got) CHECK(got->body == (r.status == 204 ? "" : "big"));
        CHECK(server.requests_seen() == 1);
        // Half a request is on that connection.
        CHECK(kind_of(run(transport.send(to(server, request::get("/")), 2))) == "response 200");
        CHECK(server.connections_seen() == 2);
      }
    }
  }
  std::filesystem::remove(path);
}

TEST_CASE("an interim response while the body is written does not end the write") {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    misbehaving_server server{{respond(201)}, tls ? with_tls() : server_options{}};
    transport_under_test transport{trusting()};
    const auto got = run(transport.send(
        to(server, request::put("/").header("Expect", "100-continue").body(std::string(more_than_buffers, 'b'))), 1));
    CHECK(kind_of(got) == "response 201");
    CHECK(server.counts().continues == 1);
    CHECK(server.request(0).body_bytes == more_than_buffers);
    CHECK(server.open_connections() == 1);
  }
}

TEST_CASE("what a peer said before it reset the connection is its response, over plain and TLS") {
  for (const bool tls : {false, true}) {
    CAPTURE(tls);
    server_options options = tls ? with_tls() : server_options{};
    options.decide_before_body = true;
    misbehaving_server server{[](const seen_request&, int) { return early_response(413); }, options};
    transport_under_test transport{trusting()};
    const auto got = run(transport.send(to(server, request::put("/").body(std::string(more_than_buffers, 'b'))), 1));
    CHECK(kind_of(got) == "response 413");
  }
}

TEST_CASE("a peer that responds while it reads gets the whole request, and neither waits for the other for ever") {
  const std::string text(more_than_buffers, 'e');
  for (const bool tls : {false, true}) {
    if (tls && !tls_reads_while_it_writes) continue;
    CAPTURE(tls);
    misbehaving_server server{{echo(), respond(200)}, tls ? with_tls() : server_options{}};
    transport_under_test transport{trusting()};
    const auto got = run(transport.send(to(server, request::put("/").body(text).max_body(more_than_buffers)), 1));
    CAPTURE(got ? std::string{} : got.error().detail);
    REQUIRE(kind_of(got) == "response 200");
    CHECK(got->body.size() == text.size());
    CHECK(server.request(0).body_complete);
    CHECK(run(transport.send(to(server, request::get("/")), 2)));
    CHECK(server.connections_seen() == 1);  // the request went out whole
  }
}

TEST_CASE("a 413 while the body is written is a final response to a retry, which sends nothing again") {
  misbehaving_server server{
      [](const seen_request&, int) { return unread("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"); },
      {.decide_before_body = true}};
  client api{server.url("")};
  constexpr policy twice{.attempts = 2, .backoff = constant(1ms), .attempt_timeout = 10s};
  const auto r = run(retry(twice, api.send(request::put("/").body(std::string(more_than_buffers, 'b')))));
  REQUIRE(!r);
  CHECK(r.error().reason() == stop_reason::permanent);
  REQUIRE(r.error().error());
  CHECK(r.error().error()->status() == 413);
  CHECK(r.error().error()->reach() == reach::answered);
  CHECK(server.requests_seen() == 1);
}

TEST_CASE("a response cut short while the body is written is truncated, and reached the server") {
  for (const bool tls : {false, true}) {
    if (tls && !tls_reads_while_it_writes) continue;
    CAPTURE(tls);
    misbehaving_server server{{unread("HTTP/1.1 413 Too Large\r\nContent-Length: 30\r\n\r\nhalf")},
                              tls ? with_tls() : server_options{}};
    transport_under_test transport{trusting()};
    const auto got =
        run(transport.send(to(server, request::put("/").body(std::string(more_than_buffers, 'b')), hasty), 1));
    CHECK(kind_of(got) == "timeout");
    CHECK(reach_of(got) == "answered");
    if (!got) {
      REQUIRE(got.error().partial);
      CHECK(got.error().partial->body == "half");
    }
  }
}
