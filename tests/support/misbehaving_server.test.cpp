// SPDX-License-Identifier: MIT
#include "misbehaving_server.hpp"

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

using namespace again_test;
using namespace std::chrono_literals;

namespace {

/// A client that does just what it is told. Reads give up after ten seconds, so that a broken server fails a test and does not hang it.
class peer {
 public:
  peer() = default;
  explicit peer(const misbehaving_server& server) { error = connect(server.port()); }
  ~peer() { leave(); }
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;

  /// 0, or the errno; ETIMEDOUT when there was no response within `patience`.
  int connect(int port, std::chrono::milliseconds patience = 10s) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(reinterpret_cast<const sockaddr*>(&to), sizeof to, patience);
  }
  int connect6(int port, std::chrono::milliseconds patience = 10s) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(static_cast<std::uint16_t>(port));
    to.sin6_addr = in6addr_loopback;
    return connect(reinterpret_cast<const sockaddr*>(&to), sizeof to, patience);
  }
  int connect_unix(const std::string& path) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path.data(), path.size());
    return connect(reinterpret_cast<const sockaddr*>(&to), sizeof to, 10s);
  }
  int connect(const sockaddr* to, socklen_t size, std::chrono::milliseconds patience) {
    leave();
    fd = ::socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (::connect(fd, to, size) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    if (!ready(POLLOUT, patience)) return ETIMEDOUT;
    int result = 0;
    socklen_t length = sizeof result;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &length);
    return result;
  }
  bool ready(short events, std::chrono::milliseconds patience = 10s) const {
    pollfd p{fd, events, 0};
    return ::poll(&p, 1, static_cast<int>(patience.count())) > 0;
  }
  void leave() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      if (sent < 0 && (errno != EAGAIN || !ready(POLLOUT))) return false;
    }
    return true;
  }
  /// One recv: what came, "" at the end; `error` tells RST from FIN.
  std::string some(std::size_t at_most = 65536) {
    std::string into(at_most, '\0');
    if (!ready(POLLIN)) {
      error = ETIMEDOUT;
      return {};
    }
    const auto got = ::recv(fd, into.data(), into.size(), 0);
    error = got < 0 ? errno : 0;
    into.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return into;
  }
  std::string until_the_end() {
    std::string all;
    for (;;) {
      const auto piece = some();
      if (piece.empty()) return all;
      all += piece;
    }
  }
  /// A response with Content-Length.
  std::string response() {
    std::string all;
    for (;;) {
      const auto head = all.find("\r\n\r\n");
      if (head != std::string::npos) {
        const auto at = all.find("Content-Length: ");
        const std::size_t body = at < head ? std::stoul(all.substr(at + 16)) : 0;
        if (all.size() >= head + 4 + body) return all;
      }
      const auto piece = some();
      if (piece.empty()) return all;
      all += piece;
    }
  }
  std::string ask(std::string_view text) {
    if (!send(text)) return "send failed";
    return response();
  }

  int fd = -1;
  int error = 0;
};

bool packet_filters_allowed() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sock_filter all{BPF_RET | BPF_K, 0, 0, 0xffffffffU};
  const sock_fprog program{1, &all};
  const bool allowed = ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
  ::close(fd);
  return allowed;
}

std::string get(std::string_view path, std::string_view more = {}) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(more) + "\r\n";
}
std::string post(std::string_view path, std::string_view body) {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}
bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }
int status(const std::string& response) { return response.size() > 12 ? std::stoi(response.substr(9, 3)) : 0; }

/// OpenSSL writes with write(), which raises SIGPIPE on a reset connection. Held back for this thread alone, so that tests of the
/// library in the same program still notice it.
class no_sigpipe {
 public:
  no_sigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~no_sigpipe() {
    const timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {}
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  no_sigpipe(const no_sigpipe&) = delete;
  no_sigpipe& operator=(const no_sigpipe&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

/// A TLS client on a blocking socket.
class tls_peer {
 public:
  explicit tls_peer(const misbehaving_server& server, bool with_certificate = false, int max_version = 0,
                    const char* host = "localhost") {
    context = SSL_CTX_new(TLS_client_method());
    const auto& all = certificates::shared();
    SSL_CTX_load_verify_locations(context, all.authority_file().c_str(), nullptr);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_max_proto_version(context, max_version);
    if (with_certificate) {
      SSL_CTX_use_certificate_file(context, all.certificate_file(certificate::client).c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context, all.key_file(certificate::client).c_str(), SSL_FILETYPE_PEM);
    }
    tcp_error = tcp.connect(server.port());
    ::fcntl(tcp.fd, F_SETFL, 0);
    const timeval patience{10, 0};
    ::setsockopt(tcp.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssl = SSL_new(context);
    SSL_set1_host(ssl, host);
    SSL_set_fd(ssl, tcp.fd);
    connected = SSL_connect(ssl) == 1;
    verified = SSL_get_verify_result(ssl);
  }
  ~tls_peer() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
  tls_peer(const tls_peer&) = delete;
  tls_peer& operator=(const tls_peer&) = delete;

  bool send(std::string_view bytes) { return SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())) > 0; }
  /// All up to the end; `last` says how it ended: SSL_ERROR_ZERO_RETURN is a close_notify.
  std::string until_the_end() {
    std::string all;
    std::array<char, 4096> piece;
    for (;;) {
      const int got = SSL_read(ssl, piece.data(), static_cast<int>(piece.size()));
      if (got <= 0) {
        last = SSL_get_error(ssl, got);
        return all;
      }
      all.append(piece.data(), static_cast<std::size_t>(got));
    }
  }

  no_sigpipe quiet;
  peer tcp;
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
  bool connected = false;
  long verified = 0;
  int tcp_error = 0;
  int last = 0;
};

}  // namespace

TEST_CASE("step i is what the i-th request gets, over all connections") {
  misbehaving_server server{{respond(503, {{"Retry-After", "1"}}), respond(200).body("ok"), respond(404)}};
  peer first(server);
  const auto refusal = first.ask(get("/a"));
  CHECK(status(refusal) == 503);
  CHECK(contains(refusal, "Retry-After: 1\r\n"));
  peer second(server);
  CHECK(contains(second.ask(get("/b", "X-One: 1\r\nx-two:  2 \r\n")), "\r\n\r\nok"));
  CHECK(status(first.ask(get("/c"))) == 404);

  CHECK(server.requests_seen() == 3);
  CHECK(server.connections_seen() == 2);
  CHECK(server.counts().steps_left == 0);
  CHECK(server.overruns() == 0);
  const auto seen = server.request(1);
  CHECK(seen.method == "GET");
  CHECK(seen.target == "/b");
  CHECK(seen.connection == 1);
  REQUIRE(seen.headers.size() == 3);
  CHECK(seen.headers[1] == std::pair<std::string, std::string>("X-One", "1"));
  CHECK(seen.headers[2] == std::pair<std::string, std::string>("x-two", "2"));
  CHECK(*seen.header("X-TWO") == "2");
  CHECK(seen.header("absent") == nullptr);
  CHECK(server.request(0).at <= seen.at);
  CHECK(server.request(2).connection == 0);
  CHECK(server.requests_seen("/a") == 1);
  CHECK(server.complaints().empty());

  first.leave();
  second.leave();
  CHECK(server.wait_until_no_connection());
  CHECK_THROWS_AS(server.request(3), std::out_of_range);
}

TEST_CASE("a request past the script gets a 500 that says so and is counted as overrun") {
  misbehaving_server server{{respond(200)}};
  peer client(server);
  client.ask(get("/"));
  const auto response = client.ask(get("/"));
  CHECK(status(response) == 500);
  CHECK(contains(response, "the script has run out: request 2 met a script of 1 steps"));
  CHECK(server.overruns() == 1);
  server.add(respond(201));
  CHECK(status(client.ask(get("/"))) == 201);
}

TEST_CASE("options.otherwise is what requests after the script get, and that is no overrun") {
  misbehaving_server server{{respond(503)}, {.otherwise = respond(204)}};
  peer client(server);
  CHECK(status(client.ask(get("/"))) == 503);
  const auto response = client.ask(get("/"));
  CHECK(status(response) == 204);
  CHECK_FALSE(contains(response, "Content-Length"));
  CHECK(status(client.ask(get("/"))) == 204);
  CHECK(server.overruns() == 0);
}

TEST_CASE("a table decides by request and by how often its key has come") {
  const auto decide = [](const seen_request& r, int nth) {
    if (r.body == "bad") return respond(422);
    return nth < 3 ? respond(503) : respond(200).body(r.body);
  };
  misbehaving_server server{decide, {.key = [](const seen_request& r) { return r.body; }}};
  peer client(server);
  CHECK(status(client.ask(post("/", "one"))) == 503);
  CHECK(status(client.ask(post("/", "two"))) == 503);
  CHECK(status(client.ask(post("/", "one"))) == 503);
  CHECK(contains(client.ask(post("/", "one")), "\r\n\r\none"));
  CHECK(status(client.ask(post("/", "bad"))) == 422);
  CHECK(server.requests_seen("one") == 3);
  CHECK(server.requests_by_key() == std::map<std::string, std::size_t>{{"bad", 1}, {"one", 3}, {"two", 1}});
  CHECK(server.request(1).key == "two");
}

TEST_CASE("a table that throws or asks for the impossible is a 500 with the reason, and a complaint") {
  misbehaving_server server{[](const seen_request&, int nth) -> step {
    if (nth == 1) throw std::runtime_error("no such event");
    return refuse();
  }};
  peer client(server);
  CHECK(contains(client.ask(get("/")), "the table threw: no such event"));
  CHECK(contains(client.ask(get("/")), "a table cannot respond with refuse"));
  CHECK(server.complaints().size() == 2);
}

TEST_CASE("close is a FIN without a byte, reset is an RST, both after the whole request") {
  misbehaving_server server{{close(), reset()}};
  peer client(server);
  client.send(post("/", "body"));
  CHECK(client.some().empty());
  CHECK(client.error == 0);
  CHECK(server.request(0).body == "body");
  peer other(server);
  other.send(post("/", "body"));
  CHECK(other.some().empty());
  CHECK(other.error == ECONNRESET);
  CHECK(server.request(1).body_complete);
  CHECK(server.wait_until_no_connection());
}

TEST_CASE("close_on_accept is a FIN before any request, even to a client that has already written one") {
  misbehaving_server server{{close_on_accept(), respond(200)}};
  peer client(server);
  client.send(get("/"));
  CHECK(client.some().empty());
  CHECK(client.error == 0);
  client.leave();
  peer again(server);
  CHECK(status(again.ask(get("/"))) == 200);
  CHECK(server.requests_seen() == 1);
  CHECK(server.connections_seen() == 2);
}

TEST_CASE("refuse leaves the port closed for one attempt each, told by the client") {
  misbehaving_server server{{refuse(), refuse(), respond(200)}, {.refusals = refusals::told}};
  peer client;
  CHECK(client.connect(server.port()) == ECONNREFUSED);
  CHECK(client.connect(server.port()) == ECONNREFUSED);
  server.refusal_seen();
  CHECK(client.connect(server.port()) == ECONNREFUSED);
  server.refusal_seen();
  REQUIRE(client.connect(server.port()) == 0);
  CHECK(status(client.ask(get("/"))) == 200);
  CHECK(server.counts().refused == 2);
  CHECK(server.requests_seen() == 1);
  CHECK(server.connections_seen() == 1);
}

TEST_CASE("refused attempts are counted without the client's help") {
  family kind = family::ipv4;
  SUBCASE("IPv4") {}
  SUBCASE("IPv6") { kind = family::ipv6; }
  misbehaving_server server{{refuse(), refuse(), respond(200)}, {.family = kind}};
  peer client;
  const auto connect = [&] {
    return kind == family::ipv4 ? client.connect(server.port()) : client.connect6(server.port());
  };
  CHECK(connect() == ECONNREFUSED);
  CHECK(server.wait_until([](const tally& now) { return now.refused == 1 && now.steps_left == 2; }));
  CHECK(connect() == ECONNREFUSED);
  CHECK(server.wait_until([](const tally& now) { return now.refused == 2 && now.steps_left == 1; }));
  REQUIRE(connect() == 0);
  CHECK(status(client.ask(get("/"))) == 200);
}

TEST_CASE("the port is closed before the response that precedes a refusal can be read") {
  misbehaving_server server{{respond(200), refuse(), respond(201), respond(202)}, {.refusals = refusals::told}};
  peer client(server);
  CHECK(status(client.ask(get("/"))) == 200);
  peer other;
  CHECK(other.connect(server.port()) == ECONNREFUSED);
  CHECK(status(client.ask(get("/"))) == 201);  // a connection that is open passes over the refusal
  CHECK(other.connect(server.port()) == ECONNREFUSED);
  server.refusal_seen();
  CHECK(other.connect(server.port()) == 0);
  CHECK(status(other.ask(get("/"))) == 202);
}

TEST_CASE("refuse with a time is an outage that the clock ends") {
  misbehaving_server server{{refuse(30ms), respond(200)}};
  peer client;
  CHECK(client.connect(server.port()) == ECONNREFUSED);
  CHECK(server.wait_until([](const tally& now) { return now.steps_left == 1; }));
  REQUIRE(client.connect(server.port()) == 0);
  CHECK(status(client.ask(get("/"))) == 200);
}

TEST_CASE("blackhole swallows one connection attempt for good, and lets the next one in") {
  family kind = family::ipv4;
  SUBCASE("IPv4") {}
  SUBCASE("IPv6") { kind = family::ipv6; }
  misbehaving_server server{{blackhole(), respond(200)}, {.family = kind}};
  peer lost;
  // Longer than the second after which a SYN is sent again, where a packet filter can be had to drop that one too.
  const auto patience = packet_filters_allowed() ? 1300ms : 700ms;
  std::thread connecting([&] {
    CHECK((kind == family::ipv4 ? lost.connect(server.port(), patience) : lost.connect6(server.port(), patience)) != 0);
  });
  CHECK(server.wait_until([](const tally& now) { return now.blackholed == 1 && now.steps_left == 1; }));
  peer client;
  CHECK((kind == family::ipv4 ? client.connect(server.port()) : client.connect6(server.port())) == 0);
  CHECK(status(client.ask(get("/"))) == 200);
  connecting.join();
  CHECK(server.connections_seen() == 1);
  CHECK(server.requests_seen() == 1);
}

TEST_CASE("hang is silent until its time is over, the client leaves or the server stops") {
  misbehaving_server server{{hang(20ms), hang(), hang()}};
  peer first(server);
  first.send(get("/"));
  CHECK(first.some().empty());
  CHECK(first.error == 0);

  peer second(server);
  second.send(get("/"));
  CHECK_FALSE(second.ready(POLLIN, 50ms));
  second.leave();
  CHECK(server.wait_until_no_connection());

  peer third(server);
  third.send(get("/"));
  CHECK(server.wait_until([](const tally& now) { return now.requests == 3; }));
  server.stop();
  CHECK(server.open_connections() == 0);
  CHECK(third.some().empty());
}

TEST_CASE("delay waits and then does its inner step") {
  misbehaving_server server{{delay(60ms, respond(200).body("late")), delay(1ms, close())}};
  peer client(server);
  client.send(get("/"));
  CHECK_FALSE(client.ready(POLLIN, 20ms));
  CHECK(contains(client.response(), "late"));
  CHECK(client.ask(get("/")).empty());
  CHECK(client.error == 0);
}

TEST_CASE("drip sends the headers at once and the body byte by byte") {
  misbehaving_server server{{drip("abc", 20ms)}};
  peer client(server);
  client.send(get("/"));
  const auto head = client.some();
  CHECK(contains(head, "Content-Length: 3\r\n"));
  CHECK(head.substr(head.size() - 4) == "\r\n\r\n");
  for (const char* const expected : {"a", "b", "c"}) CHECK(client.some() == expected);
}

TEST_CASE("slice sends its inner response in one-byte pieces") {
  misbehaving_server server{{slice(respond(200).body("ok"), 2ms), slice(respond(200).body("ok"))}};
  peer client(server);
  client.send(get("/"));
  std::size_t pieces = 0;
  std::string all;
  while (!contains(all, "\r\n\r\nok")) {
    const auto piece = client.some();
    REQUIRE_FALSE(piece.empty());
    all += piece;
    ++pieces;
  }
  CHECK(pieces > all.size() / 4);  // a slow reader may find two together
  CHECK(contains(client.ask(get("/")), "\r\n\r\nok"));
}

TEST_CASE("truncated ends with FIN or RST before its Content-Length is reached") {
  misbehaving_server server{{truncated("abc", 10), truncated("abc", 10, ending::reset)}};
  peer client(server);
  client.send(get("/"));
  const auto all = client.until_the_end();
  CHECK(contains(all, "Content-Length: 10\r\n"));
  CHECK(contains(all, "\r\n\r\nabc"));
  CHECK(client.error == 0);
  peer other(server);
  other.send(get("/"));
  other.until_the_end();
  CHECK(other.error == ECONNRESET);
}

TEST_CASE("stall_body sends headers and some bytes and then nothing, until its time is over") {
  misbehaving_server server{{stall_body("", 2, 80ms)}};
  peer client(server);
  client.send(get("/"));
  CHECK(contains(client.some(), "Content-Length: 2\r\n"));
  CHECK_FALSE(client.ready(POLLIN, 20ms));
  CHECK(client.some().empty());
}

TEST_CASE("raw sends its bytes verbatim and then closes, resets or stays") {
  misbehaving_server server{{raw("HTTP/1.1 204 No Content\r\n\r\n", ending::keep), raw("HTTP/0.5 200 OK\r\n\r\nbad"),
                             raw("hel", ending::reset), garbage()}};
  peer client(server);
  client.send(get("/"));
  CHECK(client.some() == "HTTP/1.1 204 No Content\r\n\r\n");
  client.send(get("/"));
  CHECK(client.until_the_end() == "HTTP/0.5 200 OK\r\n\r\nbad");
  CHECK(client.error == 0);
  peer other(server);
  other.send(get("/"));
  other.until_the_end();
  CHECK(other.error == ECONNRESET);
  peer last(server);
  last.send(get("/"));
  const auto noise = last.until_the_end();
  CHECK(noise.size() == 512);
  CHECK_FALSE(contains(noise, "HTTP"));
}

TEST_CASE("early_response comes before the body; the server ends its side and reads on, so that the client can read "
          "the response") {
  misbehaving_server server{{early_response(413)}};
  peer client(server);
  client.send("PUT /big HTTP/1.1\r\nHost: test\r\nContent-Length: 8388608\r\n\r\n");
  CHECK(status(client.until_the_end()) == 413);
  CHECK(client.send(std::string(8388608, 'x')));  // no RST
  client.leave();
  CHECK(server.wait_until_no_connection());
  CHECK(server.requests_seen() == 1);
  CHECK_FALSE(server.request(0).body_complete);
}

TEST_CASE("unread says its bytes after the headers and then neither reads nor closes; echo reads and says the same") {
  misbehaving_server server{{unread("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"), echo(), echo()}};
  peer refused(server);
  refused.send("PUT /big HTTP/1.1\r\nHost: test\r\nContent-Length: 8388608\r\n\r\n");
  CHECK(status(refused.response()) == 413);
  CHECK(server.open_connections() == 1);
  refused.leave();
  CHECK(server.wait_until_no_connection());
  CHECK_FALSE(server.request(0).body_complete);
  peer echoed(server);
  CHECK(contains(echoed.ask("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nsame"), "\r\n\r\nsame"));
  echoed.send("PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nsa\r\n2\r\nme\r\n0\r\n\r\n");
  CHECK(contains(echoed.until_the_end(), "\r\n\r\nsame"));
}

TEST_CASE("stop_reading makes the client's write stall") {
  misbehaving_server server{{stop_reading()}};
  peer client(server);
  client.send("PUT /big HTTP/1.1\r\nHost: test\r\nContent-Length: 67108864\r\n\r\n");
  CHECK(server.wait_until([](const tally& now) { return now.requests == 1; }));
  const std::string piece(65536, 'x');
  std::size_t sent = 0;
  bool stalled = false;
  while (!stalled && sent < 67108864) {
    const auto n = ::send(client.fd, piece.data(), piece.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<std::size_t>(n);
    if (n < 0) stalled = errno == EAGAIN && !client.ready(POLLOUT, 300ms);
    if (n < 0 && errno != EAGAIN) break;
  }
  CHECK(stalled);
  server.stop();
  CHECK(server.open_connections() == 0);
}

TEST_CASE("what comes after a response happens on the idle connection") {
  misbehaving_server server{{respond(200).and_then(afterwards::close),
                             respond(200).and_then(afterwards::send_408_close),
                             respond(200).and_then(afterwards::send_extra_response, 5ms), respond(202)}};
  peer client(server);
  CHECK(status(client.ask(get("/"))) == 200);
  CHECK(client.some().empty());
  CHECK(server.wait_until([](const tally& now) { return now.idle_actions == 1; }));
  peer second(server);
  CHECK(status(second.ask(get("/"))) == 200);
  CHECK(status(second.response()) == 408);
  CHECK(second.some().empty());
  peer third(server);
  CHECK(status(third.ask(get("/"))) == 200);
  CHECK(contains(third.response(), "unsolicited"));
  CHECK(status(third.ask(get("/"))) == 202);
  CHECK(server.counts().idle_actions == 3);
  CHECK(server.connections_seen() == 3);
}

TEST_CASE("a request that comes before the idle connection is touched is answered as usual") {
  misbehaving_server server{{respond(200).and_then(afterwards::close, 10s), respond(201)}};
  peer client(server);
  CHECK(status(client.ask(get("/"))) == 200);
  CHECK(status(client.ask(get("/"))) == 201);
  CHECK(server.counts().idle_actions == 0);
}

TEST_CASE("Connection: close in any case closes, unless `then` says keep") {
  misbehaving_server server{{respond(200, {{"Connection", "Close"}}).and_then(afterwards::keep),
                             respond(200, {{"Connection", "Close"}}), respond(200).body("to the end").close_delimited(),
                             respond(200)}};
  peer client(server);
  client.ask(get("/"));
  CHECK(status(client.ask(get("/"))) == 200);
  CHECK(client.some().empty());
  peer other(server);
  other.send(get("/"));
  const auto all = other.until_the_end();
  CHECK_FALSE(contains(all, "Content-Length"));
  CHECK(contains(all, "\r\n\r\nto the end"));
  peer asking(server);
  CHECK(contains(asking.ask(get("/", "Connection: close\r\n")), "Connection: close\r\n"));
  CHECK(asking.some().empty());
}

TEST_CASE("date placeholders become dates when they are sent") {
  misbehaving_server server{{respond(503, {{"A", "@now+2"},
                                           {"B", "@rfc850-100"},
                                           {"C", "@asctime+0"},
                                           {"D", "@nowhere"},
                                           {"E", "@now+x"},
                                           {"F", "a@now+1"}})}};
  peer client(server);
  const auto before = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const auto response = client.ask(get("/"));
  const auto after = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const auto value = [&](const std::string& field) {
    const auto at = response.find("\r\n" + field + ": ") + field.size() + 4;
    return response.substr(at, response.find("\r\n", at) - at);
  };
  const auto parsed = [&](const std::string& field, const char* format) {
    std::tm t{};
    const auto text = value(field);
    const char* const end = ::strptime(text.c_str(), format, &t);
    REQUIRE(end != nullptr);
    CHECK(*end == '\0');
    return ::timegm(&t);
  };
  const auto a = parsed("A", "%a, %d %b %Y %H:%M:%S GMT");
  CHECK((a >= before + 2 && a <= after + 2));
  const auto b = parsed("B", "%A, %d-%b-%y %H:%M:%S GMT");
  CHECK((b >= before - 100 && b <= after - 100));
  const auto c = parsed("C", "%a %b %e %H:%M:%S %Y");
  CHECK((c >= before && c <= after));
  CHECK(value("D") == "@nowhere");
  CHECK(value("E") == "@now+x");
  CHECK(value("F") == "a@now+1");
}

TEST_CASE("request bodies come by Content-Length or in chunks, in any pieces, and are kept up to a bound") {
  misbehaving_server server{{respond(200), respond(200), respond(200)}, {.kept_body = 12}};
  peer client(server);
  CHECK(status(client.ask(post("/", std::string(100'000, 'x')))) == 200);
  CHECK(server.request(0).body == std::string(12, 'x'));
  CHECK(server.request(0).body_bytes == 100'000);
  for (const char c : std::string("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: "
                                  "chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n")) {
    client.send({&c, 1});
  }
  CHECK(status(client.response()) == 200);
  CHECK(server.request(1).body == "hello world");
  CHECK(server.request(1).body_complete);
  CHECK(contains(client.ask(get("/next")), "200"));
  CHECK(server.complaints().empty());
}

TEST_CASE("Expect: 100-continue is answered, or ignored on wish") {
  bool continues = true;
  SUBCASE("answered") {}
  SUBCASE("ignored") { continues = false; }
  misbehaving_server server{{respond(200)}, {.respond_to_expect_continue = continues}};
  peer client(server);
  client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  if (continues) {
    CHECK(client.some() == "HTTP/1.1 100 Continue\r\n\r\n");
  } else {
    CHECK_FALSE(client.ready(POLLIN, 30ms));
  }
  CHECK(status(client.ask("ok")) == 200);
  CHECK(server.counts().continues == (continues ? 1 : 0));
}

TEST_CASE("HEAD and 304 have no body, chunked responses are well-formed") {
  misbehaving_server server{
      {respond(200).body("four"), respond(200).body("chunk").in_chunks(), respond(304), respond(200)}};
  peer client(server);
  client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
  CHECK(client.some() == "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
  peer other(server);
  other.send(get("/", "Connection: close\r\n"));
  CHECK(contains(other.until_the_end(),
                 "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nchunk\r\n0\r\n\r\n"));
  peer third(server);
  third.send(get("/"));
  CHECK(third.some() == "HTTP/1.1 304 Not Modified\r\n\r\n");
  CHECK(status(third.ask(get("/"))) == 200);
}

TEST_CASE("what a client does against HTTP is complained about") {
  misbehaving_server server{{}, {.otherwise = respond(200)}};
  SUBCASE("no request line") {
    CHECK(status(peer(server).ask("hello\r\n\r\n")) == 400);
    CHECK(server.requests_seen() == 0);
  }
  SUBCASE("no Host") { peer(server).ask("GET / HTTP/1.1\r\n\r\n"); }
  SUBCASE("two lengths") {
    peer(server).ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n");
  }
  SUBCASE("bad length") {
    CHECK(status(peer(server).ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n")) == 400);
  }
  SUBCASE("bad chunk") {
    CHECK(status(peer(server).ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")) == 400);
  }
  SUBCASE("left over bytes") { peer(server).ask("\r\n" + get("/")); }
  CHECK(server.complaints().size() == 1);
}

TEST_CASE("a server that is stopped refuses, and goes on on the same port when it is started") {
  misbehaving_server server{{respond(200), respond(201)}};
  const int port = server.port();
  peer client(server);
  CHECK(status(client.ask(get("/"))) == 200);
  server.stop();
  CHECK(client.some().empty());
  CHECK(client.connect(port) == ECONNREFUSED);
  server.stop();
  server.start();
  server.start();
  CHECK(server.port() == port);
  REQUIRE(client.connect(port) == 0);
  CHECK(status(client.ask(get("/"))) == 201);
  CHECK(server.requests_seen() == 2);
  CHECK(server.connections_seen() == 2);
}

TEST_CASE("the destructor does not wait for anything that hangs") {
  std::array<peer, 8> clients;
  {
    misbehaving_server server{{hang(), delay(1h, respond(200)), drip("abc", 1h), stall_body("a", 2), stop_reading(),
                               respond(200), slice(respond(200), 1h), respond(200).body(std::string(16 << 20, 'x'))}};
    for (std::size_t i = 0; i < clients.size(); ++i) {  // one after the other: client i meets step i
      REQUIRE(clients[i].connect(server.port()) == 0);
      clients[i].send(get("/"));
      CHECK(server.wait_until([&](const tally& now) { return now.requests == i + 1; }));
    }
    const auto before = std::chrono::steady_clock::now();
    server.stop();
    MESSAGE(
        "stopped in " << std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - before).count()
                      << " ms");
  }
  CHECK(clients[0].until_the_end().empty());
}

TEST_CASE("many clients at once: every request is counted once, and no connection is left") {
  misbehaving_server server{[](const seen_request&, int nth) {
                              return nth % 3 == 0 ? reset() : nth % 3 == 1 ? respond(200) : close();
                            },
                            {.key = [](const seen_request&) { return std::string("all"); }, .max_connections = 4}};
  std::atomic<int> answered = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 60; ++i) {
        peer client(server);
        if (status(client.ask(get("/", "Connection: close\r\n"))) == 200) ++answered;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(server.requests_seen() == 480);
  CHECK(answered == 160);
  CHECK(server.wait_until_no_connection());
}

TEST_CASE("a server that is killed and restarted under load counts every request that it answered") {
  misbehaving_server server{{}, {.otherwise = respond(200)}};
  std::atomic<bool> over = false;
  std::atomic<std::size_t> answered = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (!over) {
        peer client(server);
        while (!over && client.error == 0 && status(client.ask(get("/"))) == 200) ++answered;
      }
    });
  }
  for (int i = 0; i < 6; ++i) {
    const auto before = server.requests_seen();
    CHECK(server.wait_until([&](const tally& now) { return now.requests > before + 20; }));
    server.stop();
    CHECK(server.open_connections() == 0);
    server.start();
  }
  over = true;
  for (auto& thread : threads) thread.join();
  CHECK(server.wait_until_no_connection());
  CHECK(server.requests_seen() >= answered);
  CHECK(server.requests_seen() <= answered + 28);  // seven times at most one in flight for each of four clients
  CHECK(server.complaints().empty());
}

TEST_CASE("hang_up ends every open connection") {
  misbehaving_server server{{respond(200)}};
  peer client(server);
  client.ask(get("/"));
  CHECK(server.open_connections() == 1);
  server.hang_up();
  CHECK(client.some().empty());
  CHECK(server.wait_until_no_connection());
}

TEST_CASE("it listens on ::1 and on unix-domain sockets too") {
  SUBCASE("::1") {
    misbehaving_server server{{respond(200)}, {.family = family::ipv6}};
    CHECK(server.url("/x") == "http://[::1]:" + std::to_string(server.port()) + "/x");
    peer client;
    REQUIRE(client.connect6(server.port()) == 0);
    CHECK(status(client.ask(get("/"))) == 200);
  }
  SUBCASE("unix") {
    const std::string path = "/tmp/again-test-" + std::to_string(::getpid()) + ".sock";
    {
      misbehaving_server server{{respond(200), refuse(), respond(201)},
                                {.family = family::unix_domain, .unix_path = path}};
      peer client;
      REQUIRE(client.connect_unix(path) == 0);
      CHECK(status(client.ask(get("/"))) == 200);
      peer other;
      CHECK(other.connect_unix(path) == ECONNREFUSED);
      server.refusal_seen();
      REQUIRE(other.connect_unix(path) == 0);
      CHECK(status(other.ask(get("/"))) == 201);
    }
    CHECK(::access(path.c_str(), F_OK) != 0);
  }
}

TEST_CASE("a script that makes no sense is refused with the step's number and name") {
  const auto why = [](std::vector<step> script, server_options options = {}) {
    try {
      misbehaving_server server{std::move(script), std::move(options)};
    } catch (const std::exception& thrown) { return std::string(thrown.what()); }
    return std::string("accepted");
  };
  step empty_delay;
  empty_delay.what = action::delay;
  CHECK(why({respond(200), empty_delay}) == "misbehaving_server: step 1 (delay): needs an inner step");
  CHECK(why({delay(1ms, refuse())}) ==
        "misbehaving_server: step 0 (delay): refuse is about connections and cannot be inside");
  CHECK(why({tls_untrusted()}) == "misbehaving_server: step 0 (tls_untrusted): needs server_options::tls");
  CHECK(why({respond(1000)}) == "misbehaving_server: step 0 (respond): status 1000 is not within 100..999");
  CHECK(contains(why({}, {.family = family::unix_domain}), "unix_path must have 1 to 107 bytes, got 0"));
  misbehaving_server server{{respond(200)}};
  CHECK(contains(why({}, {.port = server.port()}),
                 "bind port " + std::to_string(server.port()) + ": Address already in use"));
}

TEST_CASE("every action has a name and is found by it") {
  for (int i = 0; i <= static_cast<int>(action::plain_http); ++i) {
    const auto what = static_cast<action>(i);
    CHECK(action_named(name(what)) == what);
  }
  CHECK(name(action::stall_body) == "stall_body");
  CHECK_FALSE(action_named("explode").has_value());
}

TEST_CASE("TLS: a trusted certificate for localhost") {
  misbehaving_server server{{respond(200).body("secret")}, {.tls = tls_options{}}};
  CHECK(server.url("/x") == "https://127.0.0.1:" + std::to_string(server.port()) + "/x");
  tls_peer client(server);
  REQUIRE(client.connected);
  client.send(get("/", "Connection: close\r\n"));
  CHECK(contains(client.until_the_end(), "\r\n\r\nsecret"));
  CHECK(client.last == SSL_ERROR_ZERO_RETURN);
  CHECK(server.counts().failed_handshakes == 0);
}

TEST_CASE("TLS: each kind of bad certificate fails verification with its own reason, once per connection") {
  misbehaving_server server{{tls_untrusted(), tls_wrong_host(), tls_expired(), respond(200)}, {.tls = tls_options{}}};
  for (const long reason :
       {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_CERT_HAS_EXPIRED}) {
    tls_peer client(server);
    CHECK_FALSE(client.connected);
    CHECK(client.verified == reason);
  }
  CHECK(server.wait_until([](const tally& now) { return now.failed_handshakes == 3; }));
  CHECK(server.requests_seen() == 0);
  tls_peer client(server);
  CHECK(client.connected);
  CHECK(server.connections_seen() == 4);
}

TEST_CASE("TLS: a server that never speaks, one that speaks plain HTTP, one that closes") {
  misbehaving_server server{{tls_handshake_stall(), plain_http(), close_on_accept()}, {.tls = tls_options{}}};
  peer stalled(server);
  stalled.send("\x16\x03\x01");
  CHECK_FALSE(stalled.ready(POLLIN, 50ms));
  tls_peer plain(server);
  CHECK_FALSE(plain.connected);
  tls_peer closed(server);
  CHECK_FALSE(closed.connected);
  CHECK(server.requests_seen() == 0);
  stalled.leave();
  CHECK(server.wait_until([](const tally& now) { return now.open_connections < 3; }));
}

TEST_CASE("TLS: close_notify or a bare FIN at the end, as configured; tls_close_after_write always notifies") {
  bool notify = true;
  SUBCASE("with") {}
  SUBCASE("without") { notify = false; }
  misbehaving_server server{{respond(200).body("x").close_delimited(), tls_close_after_write(),
                             respond(200).and_then(afterwards::close, 1ms)},
                            {.tls = tls_options{.close_notify = notify}}};
  {
    tls_peer client(server);
    client.send(get("/"));
    CHECK(contains(client.until_the_end(), "\r\n\r\nx"));
    CHECK((client.last == SSL_ERROR_ZERO_RETURN) == notify);
  }
  {
    tls_peer client(server);
    client.send(post("/", "body"));
    CHECK(client.until_the_end().empty());
    CHECK(client.last == SSL_ERROR_ZERO_RETURN);
    CHECK(server.request(1).body == "body");
  }
  tls_peer client(server);
  client.send(get("/"));
  CHECK(contains(client.until_the_end(), "200 OK"));
  CHECK((client.last == SSL_ERROR_ZERO_RETURN) == notify);
}

TEST_CASE("TLS: versions and client certificates as configured") {
  SUBCASE("at most 1.2") {
    misbehaving_server server{{respond(200)}, {.tls = tls_options{.max = tls_version::v1_2}}};
    tls_peer client(server);
    REQUIRE(client.connected);
    CHECK(SSL_version(client.ssl) == TLS1_2_VERSION);
  }
  SUBCASE("at least 1.3") {
    misbehaving_server server{{respond(200)}, {.tls = tls_options{.min = tls_version::v1_3}}};
    CHECK_FALSE(tls_peer(server, false, TLS1_2_VERSION).connected);
    CHECK(tls_peer(server).connected);
  }
  SUBCASE("1.1 only") {
    misbehaving_server server{{respond(200)}, {.tls = tls_options{.max = tls_version::v1_1}}};
    CHECK_FALSE(tls_peer(server).connected);
  }
  SUBCASE("a client certificate") {
    misbehaving_server server{{respond(200)}, {.tls = tls_options{.demand_client_certificate = true}}};
    {
      tls_peer without(server);  // in TLS 1.3 the refusal comes after the client's handshake
      without.send(get("/"));
      CHECK(without.until_the_end().empty());
    }
    CHECK(server.wait_until([](const tally& now) { return now.failed_handshakes == 1; }));
    tls_peer with(server, true);
    with.send(get("/", "Connection: close\r\n"));
    CHECK(contains(with.until_the_end(), "200 OK"));
    CHECK(server.requests_seen() == 1);
  }
  SUBCASE("reset and slices work as in plain text") {
    misbehaving_server server{{slice(respond(200).body("ok")), reset()}, {.tls = tls_options{}}};
    tls_peer client(server);
    client.send(get("/", "Connection: close\r\n"));
    CHECK(contains(client.until_the_end(), "\r\n\r\nok"));
    tls_peer other(server);
    other.send(get("/"));
    CHECK(other.until_the_end().empty());
    CHECK(other.last == SSL_ERROR_SYSCALL);
  }
}
