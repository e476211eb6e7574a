// SPDX-License-Identifier: MIT
#include <again/httplib/detail/dead_fd.hpp>
#include <again/httplib/detail/response_parser.hpp>
#include <again/httplib/detail/socket_watch.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace again;
using namespace again::http;
using namespace again_test;
using namespace std::chrono_literals;
using again::http::request;

namespace {

using again::http::detail::peer_address;
using again::http::detail::socket_watch;

constexpr std::string_view ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

bool says(int fd, std::string_view text) {
  return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

/// A pair of connected sockets of which the first has the number `wanted`.
struct pair_at {
  explicit pair_at(int wanted) {
    int ends[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    first = ends[0] == wanted ? ends[0] : ::dup2(ends[0], wanted);
    if (first != ends[0]) ::close(ends[0]);
    second = ends[1];
    REQUIRE(first == wanted);
    REQUIRE(second != wanted);
  }
  pair_at(const pair_at&) = delete;
  pair_at& operator=(const pair_at&) = delete;
  ~pair_at() {
    ::close(first);
    ::close(second);
  }
  bool whole() const {
    char c = 0;
    return says(first, "x") && ::recv(second, &c, 1, MSG_DONTWAIT) == 1;
  }
  int first = -1, second = -1;
};

}  // namespace

TEST_CASE("what was counted in one attempt is where the next one begins") {
  misbehaving_server server{{respond(200).body("x"), hang()}};
  socket_watch watch{false, -1};
  watch.begin(false);
  const int fd = watch.connect(peer_address::tcp("127.0.0.1", server.port()), 20s);
  REQUIRE(fd >= 0);
  CHECK(watch.examine().how_far == reach::not_sent);
  REQUIRE(says(fd, ask));
  http::detail::response_parser parser{100};
  std::size_t heard = 0;
  for (char part[512]; !parser.whole();) {
    const auto n = ::recv(fd, part, sizeof part, 0);
    REQUIRE(n > 0);
    heard += static_cast<std::size_t>(n);
    parser.feed({part, static_cast<std::size_t>(n)});
  }
  CHECK(watch.examine().how_far == reach::answered);
  watch.moved(ask.size(), heard);
  watch.begin(true);
  CHECK(watch.examine().how_far == reach::not_sent);
  CHECK(!watch.examine().received);
  REQUIRE(says(fd, ask));
  CHECK(watch.examine().how_far == reach::maybe_sent);
  watch.closing();
  ::close(fd);
}

TEST_CASE("what the kernel had counted is known after the library has closed its socket") {
  misbehaving_server server{{close()}};
  socket_watch watch{false, -1};
  watch.begin(false);
  const int fd = watch.connect(peer_address::tcp("127.0.0.1", server.port()), 20s);
  REQUIRE(says(fd, ask));
  char c = 0;
  CHECK(::recv(fd, &c, 1, 0) == 0);
  watch.closing();
  ::close(fd);
  const auto report = watch.examine();
  CHECK(report.how_far == reach::maybe_sent);
  CHECK(report.peer_closed);
  CHECK(!report.reset);
  CHECK(!watch.silent());
}

TEST_CASE("an interruption after the socket was closed hits no other file that has its number now") {
  misbehaving_server server{{hang()}};
  socket_watch watch{false, -1};
  watch.begin(false);
  const int fd = watch.connect(peer_address::tcp("127.0.0.1", server.port()), 20s);
  REQUIRE(says(fd, ask));
  watch.closing();
  ::close(fd);
  const pair_at other{fd};
  CHECK(watch.interrupt() == reach::maybe_sent);
  watch.release();
  CHECK(other.whole());
}

TEST_CASE("TLS: between connection and handshake an interruption hits nothing, and the handshake then finds it") {
  misbehaving_server server{{hang()}};
  socket_watch watch{true, -1};
  watch.begin(false);
  const int fd = watch.connect(peer_address::tcp("127.0.0.1", server.port()), 20s);
  REQUIRE(fd >= 0);
  CHECK(watch.interrupt() == reach::not_sent);
  CHECK(says(fd, ask));
  watch.handshake_begins(fd);
  CHECK(!says(fd, ask));
  watch.closing();
  ::close(fd);
}

TEST_CASE("a connection that cannot be says why, and leaves no descriptor; one attempt opens one") {
  misbehaving_server server{{hang()}};
  const auto there = peer_address::tcp("127.0.0.1", server.port());
  socket_watch watch{false, -1};
  watch.begin(false);
  const int fd = watch.connect(there, 20s);
  CHECK(watch.connect(there, 20s) == -1);
  CHECK(watch.examine().second_refused);
  watch.closing();
  ::close(fd);
  server.stop();
  watch.begin(false);
  CHECK(watch.connect(there, 20s) == -1);
  CHECK(watch.examine().connect_error == ECONNREFUSED);
  const pair_at other{fd};  // the number is free
  CHECK(watch.interrupt() == reach::not_sent);
  CHECK(other.whole());
  watch.begin(false);
  static_cast<void>(watch.interrupt());
  CHECK(watch.connect(there, 20s) == -1);
  CHECK(!watch.examine().second_refused);
}

TEST_CASE("an address is a number of either family, or the path of a Unix-domain socket") {
  CHECK(peer_address::tcp("127.0.0.1", 80).family() == AF_INET);
  CHECK(peer_address::tcp("::1", 80).family() == AF_INET6);
  CHECK(peer_address::tcp("localhost", 80).size == 0);
  CHECK(peer_address::tcp("", 80).size == 0);
  CHECK(peer_address::unix_domain("/x").family() == AF_UNIX);
  CHECK(peer_address::unix_domain(std::string(200, 'x')).size == 0);
}

TEST_CASE("where the library connects: without a descriptor to watch it by, a socket is refused and nothing is sent") {
  misbehaving_server server{{respond(200)}};
  http::detail::dead_fd dead;
  socket_watch watch{true, dead.fd()};
  ::rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  ::rlimit few = before;
  std::vector<int> held;
  while (held.empty() || held.back() < 200) held.push_back(::dup(dead.fd()));
  few.rlim_cur = 201;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  while (held.back() >= 0) held.push_back(::dup(dead.fd()));  // until there is none
  held.pop_back();
  ::close(held.back());
  const int fd = held.back() = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  watch.begin(false);
  watch.opened(fd);
  const auto where = loopback(server.port());
  const int connected = ::connect(fd, reinterpret_cast<const ::sockaddr*>(&where), sizeof where);
  const int why = errno;
  const auto report = watch.examine();
  for (const int h : held) ::close(h);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(connected == -1);
  CHECK(why == ENOTSOCK);
  CHECK(report.connect_error == EMFILE);
  CHECK(report.how_far == reach::not_sent);
}
