// SPDX-License-Identifier: MIT
#include "tunnel_proxy.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace again_test {
namespace {

[[noreturn]] void failed(const char* call) { throw std::system_error{errno, std::generic_category(), call}; }

::sockaddr_in loopback_at(int port) {
  ::sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return where;
}

/// The port of "CONNECT host:port HTTP/1.1".
int port_of(const std::string& head) {
  const std::string authority = head.substr(0, head.find(" HTTP/"));
  return std::stoi(authority.substr(authority.rfind(':') + 1));
}

}  // namespace

tunnel_proxy::tunnel_proxy(std::function<std::string(const std::string&)> reply) : reply_{std::move(reply)} {
  auto where = loopback_at(0);
  auto* const name = reinterpret_cast<::sockaddr*>(&where);
  ::socklen_t size = sizeof where;
  listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listening_ < 0 || ::bind(listening_, name, size) != 0 || ::listen(listening_, 16) != 0 ||
      ::getsockname(listening_, name, &size) != 0 || ::pipe2(stop_, O_CLOEXEC) != 0)
    failed("tunnel_proxy");
  port_ = ntohs(where.sin_port);
  accepting_ = std::thread{[this] { accept_all(); }};
}

tunnel_proxy::~tunnel_proxy() {
  ::close(stop_[1]);  // its other end is readable now
  accepting_.join();
  for (std::thread& t : connections_) t.join();
  ::close(stop_[0]);
  ::close(listening_);
}

std::string tunnel_proxy::url() const { return "http://127.0.0.1:" + std::to_string(port_); }

std::vector<std::string> tunnel_proxy::heads() const {
  const std::lock_guard lock{mutex_};
  return heads_;
}

bool tunnel_proxy::wait(int fd, short events) const {
  ::pollfd both[2] = {{fd, events, 0}, {stop_[0], POLLIN, 0}};
  return ::poll(both, 2, -1) > 0 && both[1].revents == 0;
}

void tunnel_proxy::accept_all() {
  while (wait(listening_, POLLIN)) {
    const int client = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) {
      connections_.emplace_back([this, client] {
        serve(client);
        ::close(client);
      });
    }
  }
}

void tunnel_proxy::serve(int client) {
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    char byte = 0;
    if (!wait(client, POLLIN) || ::recv(client, &byte, 1, 0) != 1) return;
    head += byte;
  }
  head.resize(head.size() - 4);
  {
    const std::lock_guard lock{mutex_};
    heads_.push_back(head);
  }
  const std::string reply = reply_(head);
  if (reply.empty()) {
    wait(client, POLLRDHUP);
    return;
  }
  if (!reply.starts_with("HTTP/1.1 2")) {
    static_cast<void>(::send(client, reply.data(), reply.size(), MSG_NOSIGNAL));
    return;
  }
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto where = loopback_at(port_of(head));
  if (::connect(server, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) == 0 &&
      ::send(client, reply.data(), reply.size(), MSG_NOSIGNAL) > 0)
    pass_on(client, server);
  ::close(server);
}

void tunnel_proxy::pass_on(int client, int server) const {
  for (;;) {
    ::pollfd all[3] = {{client, POLLIN, 0}, {server, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    if (::poll(all, 3, -1) <= 0 || all[2].revents != 0) return;
    for (const auto& [from, to] : {std::pair{all[0], server}, std::pair{all[1], client}}) {
      if (from.revents == 0) continue;
      char bytes[16384];
      const auto n = ::recv(from.fd, bytes, sizeof bytes, 0);
      if (n <= 0) return;
      for (std::string_view rest{bytes, static_cast<std::size_t>(n)}; !rest.empty();) {
        const auto sent = ::send(to, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;
        rest.remove_prefix(static_cast<std::size_t>(sent));
      }
    }
  }
}

}  // namespace again_test
