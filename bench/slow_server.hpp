// SPDX-License-Identifier: MIT
/// \file
/// A server that takes a while for each response and any number of connections: in a process of its own, so that what is measured of a
/// client is the client's alone.
#pragma once

#include "requests.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {

/// It responds to each GET `delay` seconds after it was read whole. Connections are kept.
class slow_server {
 public:
  static constexpr std::size_t body = 200;

  explicit slow_server(double delay) {
    for (int& listener : listeners_) listener = listening(port_);  // the first gets a free port, the others the same
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      serve(delay);
    }
    for (const int listener : listeners_) ::close(listener);
    if (child_ < 0) lost();
  }
  slow_server(const slow_server&) = delete;
  slow_server& operator=(const slow_server&) = delete;
  ~slow_server() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  [[nodiscard]] target slow() const { return {.port = port_, .path = "/slow", .body = body}; }

 private:
  struct connection {
    std::uint32_t number = 0;  // a descriptor is used again, a number is not
    std::uint8_t ended = 0;    // how much of the empty line that ends a request has come
  };
  struct pending {
    double due = 0;
    int fd = -1;
    std::uint32_t number = 0;
  };

  int listening(int port) {
    const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons(static_cast<std::uint16_t>(port));
    socklen_t size = sizeof a;
    if (::bind(s, reinterpret_cast<sockaddr*>(&a), size) != 0 || ::listen(s, 4096) != 0 ||
        ::getsockname(s, reinterpret_cast<sockaddr*>(&a), &size) != 0)
      lost();
    port_ = ntohs(a.sin_port);
    return s;
  }
  void watch(int fd) const {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) != 0) std::_Exit(1);
  }

  [[noreturn]] void serve(double delay) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    for (const int listener : listeners_) watch(listener);
    const std::string response = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body) +
                                 "\r\nContent-Type: text/plain\r\n\r\n" + std::string(body, 'x');
    for (;;) {
      const int wait_ms = pending_.empty()
                              ? -1
                              : std::max(0, static_cast<int>(std::ceil(1e3 * (pending_.front().due - wall_seconds()))));
      std::array<epoll_event, 512> ready{};
      const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), wait_ms);
      for (int i = 0; i < count; ++i) {
        const int fd = ready[static_cast<std::size_t>(i)].data.fd;
        if (std::find(listeners_.begin(), listeners_.end(), fd) != listeners_.end())
          accept_all(fd);
        else
          read(fd, wall_seconds() + delay);
      }
      for (const double now = wall_seconds(); !pending_.empty() && pending_.front().due <= now; pending_.pop_front()) {
        const pending& p = pending_.front();
        if (connections_[static_cast<std::size_t>(p.fd)].number == p.number)
          (void)::send(p.fd, response.data(), response.size(), MSG_NOSIGNAL);
      }
    }
  }
  void accept_all(int listener) {
    for (;;) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const auto at = static_cast<std::size_t>(fd);
      if (connections_.size() <= at) connections_.resize(at + 1);
      connections_[at] = {.number = ++numbers_};
      watch(fd);
    }
  }
  void read(int fd, double due) {
    connection& c = connections_[static_cast<std::size_t>(fd)];
    std::array<char, 4096> bytes{};
    const ssize_t count = ::recv(fd, bytes.data(), bytes.size(), 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      c.number = 0;
      ::close(fd);
      return;
    }
    constexpr std::string_view end = "\r\n\r\n";
    for (const char byte : std::string_view{bytes.data(), static_cast<std::size_t>(count)}) {
      c.ended = byte == end[c.ended] ? static_cast<std::uint8_t>(c.ended + 1) : byte == '\r' ? 1 : 0;
      if (c.ended < end.size()) continue;
      c.ended = 0;
      pending_.push_back({.due = due, .fd = fd, .number = c.number});
    }
  }

  // Several that share the port: what one may hold of connections that are not accepted yet is less than come at once.
  std::array<int, 8> listeners_{};
  int port_ = 0;
  pid_t child_ = -1;
  int epoll_ = -1;
  std::uint32_t numbers_ = 0;
  std::vector<connection> connections_;  // by descriptor
  std::deque<pending> pending_;          // in the order in which they are due
};

}  // namespace bench
