// SPDX-License-Identifier: MIT
#include <again/httplib/detail/wire.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

using namespace again;
using again::http::detail::wire_listener;
using again::http::detail::wire_stream;
using namespace std::chrono_literals;

namespace {

/// Both ends of a connection. What it is told of the response decides; `peer_does` is called when a write is ended.
class exchange_over_a_pair final : public wire_listener {
 public:
  enum class over { unix_domain, tcp };

  explicit exchange_over_a_pair(over what = over::unix_domain) {
    what == over::tcp ? connect_on_loopback() : connect_locally();
  }
  exchange_over_a_pair(const exchange_over_a_pair&) = delete;
  exchange_over_a_pair& operator=(const exchange_over_a_pair&) = delete;
  ~exchange_over_a_pair() {
    ::close(ours_);
    if (peers_ >= 0) ::close(peers_);
  }

  int ours() const noexcept { return ours_; }
  void peer_says(std::string_view bytes) const {
    REQUIRE(::send(peers_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  void peer_ends() const { ::shutdown(peers_, SHUT_WR); }
  /// With bytes of ours unread, which is a reset.
  void peer_closes() { ::close(std::exchange(peers_, -1)); }
  void peer_resets() {
    const ::linger at_once{.l_onoff = 1, .l_linger = 0};
    REQUIRE(::setsockopt(peers_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    peer_closes();
  }
  std::string heard_by_peer() const {
    std::string all(100000, '\0');
    const auto n = ::recv(peers_, all.data(), all.size(), MSG_DONTWAIT);
    all.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return all;
  }

  bool on_bytes(std::string_view bytes) override {
    heard += bytes;
    return !complete();
  }
  void on_end() override { ended = true; }
  bool complete() const override { return heard.ends_with('.') || (ended && heard.ends_with('~')); }
  bool refuses_rest() const override { return heard.starts_with('!'); }
  std::optional<std::chrono::steady_clock::time_point> wait_until() const override { return until; }
  void on_written(std::size_t n) override { written += n; }
  void on_write_ended() override {
    ++write_ended;
    if (!peer_says_then.empty()) peer_says(peer_says_then);
  }
  void on_failure(int e) override { error = e; }

  std::string heard, peer_says_then;
  bool ended = false;
  std::size_t written = 0;
  int write_ended = 0, error = -1;
  std::optional<std::chrono::steady_clock::time_point> until;

 private:
  void connect_locally() {
    int ends[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    ours_ = ends[0];
    peers_ = ends[1];
  }
  void connect_on_loopback() {
    const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::socklen_t size = sizeof where;
    REQUIRE(::listen(listening, 1) == 0);  // on any free port
    REQUIRE(::getsockname(listening, reinterpret_cast<::sockaddr*>(&where), &size) == 0);
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ours_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::connect(ours_, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) == 0);
    peers_ = ::accept(listening, nullptr, nullptr);
    ::close(listening);
    REQUIRE(peers_ >= 0);
  }

  int ours_ = -1, peers_ = -1;
};

ssize_t write(wire_stream& s, std::string_view text) { return s.write(text.data(), text.size()); }
std::string read(wire_stream& s) {
  char into[100];
  const auto n = s.read(into, sizeof into);
  return n < 0 ? "failed" : std::string(into, static_cast<std::size_t>(n));
}

}  // namespace

TEST_CASE("head and first part of a request are written without a look at the response, which the third write finds") {
  exchange_over_a_pair x;
  wire_stream s{x.ours(), nullptr, 20s, x};
  x.peer_says("whole.");
  CHECK(write(s, "head") == 4);
  CHECK(write(s, "part") == 4);
  CHECK(x.heard.empty());
  CHECK(write(s, "rest") == -1);
  CHECK(x.heard == "whole.");
  CHECK(x.write_ended == 1);
  CHECK(x.error == -1);
  CHECK(x.written == 8);
  CHECK(x.heard_by_peer() == "headpart");
  CHECK(read(s).starts_with("HTTP/1.1 204 "));  // the library is content
}

TEST_CASE("a response that began while the request was written is read on after it") {
  exchange_over_a_pair x;
  wire_stream s{x.ours(), nullptr, 20s, x};
  write(s, "head");
  write(s, "part");
  x.peer_says("begins");
  CHECK(write(s, "rest") == 4);
  CHECK(x.heard == "begins");
  CHECK(x.write_ended == 0);
  x.peer_says(" and ends.");
  CHECK(read(s).starts_with("HTTP/1.1 204 "));
  CHECK(x.heard == "begins and ends.");
  CHECK(x.heard_by_peer() == "headpartrest");
}

TEST_CASE("a response that has no use for the rest of the request ends the write at its head and is read to its end") {
  exchange_over_a_pair x;
  wire_stream s{x.ours(), nullptr, 20s, x};
  write(s, "head");
  write(s, "part");
  x.peer_says("!no");
  x.peer_says_then = ", and why.";  // said when the write has ended, and not before
  CHECK(write(s, "rest") == -1);
  CHECK(x.heard == "!no, and why.");
  CHECK(x.write_ended == 1);
  CHECK(x.heard_by_peer() == "headpart");
}

TEST_CASE("a write that would have to wait looks at the response, and waits no longer than the time limit") {
  const std::string much(8U << 20U, 'x');
  {
    exchange_over_a_pair x;
    wire_stream s{x.ours(), nullptr, 20s, x};
    x.peer_says("whole.");
    CHECK(write(s, much) == -1);
    CHECK(x.heard == "whole.");
    CHECK(x.write_ended == 1);
  }
  {
    exchange_over_a_pair x;
    wire_stream s{x.ours(), nullptr, 1ms, x};
    CHECK(write(s, much) == -1);
    CHECK(x.error == ETIMEDOUT);
    CHECK(x.write_ended == 0);
    CHECK(read(s) == "failed");
  }
}

TEST_CASE("a decided response is waited for until its time is over, while the request is written too") {
  const auto past = std::chrono::steady_clock::now() - 1s;
  {
    exchange_over_a_pair x;
    wire_stream s{x.ours(), nullptr, 20s, x};
    CHECK(write(s, "head") == 4);
    x.until = past;
    CHECK(write(s, "part") == -1);
    CHECK(x.error == ETIMEDOUT);
    CHECK(x.heard_by_peer() == "head");
  }
  {
    exchange_over_a_pair x;
    wire_stream s{x.ours(), nullptr, 20s, x};
    write(s, "head");
    x.until = past;
    CHECK(read(s) == "failed");
    CHECK(x.error == ETIMEDOUT);
  }
}

TEST_CASE("an end of the connection while the request is written ends the write, in order or not") {
  const std::string much(8U << 20U, 'x');
  {
    exchange_over_a_pair x;
    wire_stream s{x.ours(), nullptr, 20s, x};
    x.peer_says("to the end~");
    x.peer_ends();
    CHECK(write(s, much) == -1);
    CHECK(x.complete());
    CHECK(x.write_ended == 1);
    CHECK(x.error == -1);
  }
  {
    exchange_over_a_pair x;
    wire_stream s{x.ours(), nullptr, 20s, x};
    write(s, "head");
    x.peer_closes();
    CHECK(write(s, "part") == -1);
    CHECK(x.error == EPIPE);
    CHECK(read(s) == "failed");
  }
  {
    exchange_over_a_pair x;
    wire_stream s{x.ours(), nullptr, 20s, x};
    write(s, "head");
    x.peer_says("whole.");
    x.peer_closes();
    CHECK(write(s, "part") == -1);  // the response is there all the same
    CHECK(x.heard == "whole.");
    CHECK(x.write_ended == 1);
    CHECK(x.error == -1);
    CHECK(read(s).starts_with("HTTP/1.1 204 "));
  }
}

TEST_CASE("a reset is no end in order: what came before it may be cut short") {
  exchange_over_a_pair x{exchange_over_a_pair::over::tcp};
  wire_stream s{x.ours(), nullptr, 20s, x};
  write(s, "head");
  x.peer_says("to the end~");
  x.peer_resets();
  CHECK(write(s, "part") == -1);
  CHECK(x.heard == "to the end~");
  CHECK(!x.ended);
  CHECK(x.error == ECONNRESET);
  CHECK(x.write_ended == 0);
  CHECK(read(s) == "failed");
}

TEST_CASE("a read says how it has failed: reset, or nothing in time") {
  {
    exchange_over_a_pair x;
    wire_stream s{x.ours(), nullptr, 20s, x};
    write(s, "head");
    x.peer_closes();
    CHECK(read(s) == "failed");
    CHECK(x.error == ECONNRESET);
    CHECK(!x.ended);
  }
  {
    exchange_over_a_pair x;
    const ::timeval soon{.tv_sec = 0, .tv_usec = 1000};
    REQUIRE(::setsockopt(x.ours(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) == 0);
    wire_stream s{x.ours(), nullptr, 1ms, x};
    write(s, "head");
    CHECK(read(s) == "failed");
    CHECK(x.error == ETIMEDOUT);
  }
}

TEST_CASE("the library is never told to wait before a write: the write waits itself") {
  exchange_over_a_pair x;
  wire_stream s{x.ours(), nullptr, 1ms, x};
  const std::string much(8U << 20U, 'x');
  while (::send(x.ours(), much.data(), much.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {}
  const httplib::Stream& as_library = s;
  CHECK(as_library.is_writable());
}
