// SPDX-License-Identifier: MIT
#include <again/httplib/detail/dead_fd.hpp>
#include <again/httplib/detail/response_parser.hpp>
#include <again/httplib/detail/socket_watch.hpp>

#include "support/misbehaving_server.hpp"
#include "support/sends.hpp"

#include <doctest/doctest.h>

#include <cerrno>
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

TEST_CASE("what was counted in one attempt is where the next one begins") {
  misbehaving_server server{{respond(200).body("x"), hang()}};
  http::detail::dead_fd dead;
  http::detail::socket_watch watch{false, dead.fd()};
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  watch.begin(false);
  watch.opened(fd);
  const auto where = loopback(server.port());
  REQUIRE(::connect(fd, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) == 0);
  CHECK(watch.examine().how_far == reach::not_sent);
  const std::string_view ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  REQUIRE(::send(fd, ask.data(), ask.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(ask.size()));
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
  REQUIRE(::send(fd, ask.data(), ask.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(ask.size()));
  CHECK(watch.examine().how_far == reach::maybe_sent);
  ::close(fd);
}

TEST_CASE("without a descriptor to watch it by, a socket is refused and nothing is sent") {
  misbehaving_server server{{respond(200)}};
  http::detail::dead_fd dead;
  http::detail::socket_watch watch{false, dead.fd()};
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
  CHECK(report.sockets == 0);
  CHECK(report.how_far == reach::not_sent);
}
