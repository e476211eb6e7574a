// SPDX-License-Identifier: MIT
// Serves a few pages over HTTP on a separate thread. Meant for scrapers on the loopback interface; clients, the bytes of a request
// and the time of an exchange are bounded.
#pragma once

#include "options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace programs {

class status_server {
 public:
  struct page {
    int status = 200;
    std::string body;
    std::string type;
  };
  /// The decoded value of a parameter of the query, if it is there.
  using parameter = std::function<std::optional<std::string>(std::string_view)>;

  static constexpr std::size_t most_clients = 16;       ///< one more replaces the oldest
  static constexpr std::size_t longest_request = 8192;  ///< bytes up to the blank line; a body is not read
  static constexpr std::size_t most_pending = std::size_t{32} << 20U;  ///< bytes of all responses being written
  static constexpr std::chrono::seconds patience{5};                   ///< from accepting a connection to its last byte

  /// `where`: PORT or ADDRESS:PORT. The default address is 127.0.0.1; port 0 is any free port.
  explicit status_server(std::string_view where) {
    const auto colon = where.rfind(':');
    if (colon != std::string_view::npos) host_ = where.substr(0, colon);
    if (host_.size() > 1 && host_.front() == '[' && host_.back() == ']') host_ = host_.substr(1, host_.size() - 2);
    port_ = number_in<int>(colon == std::string_view::npos ? where : where.substr(colon + 1), 0, 65535);
  }
  status_server(const status_server&) = delete;
  status_server& operator=(const status_server&) = delete;
  ~status_server() {
    if (serving_.joinable()) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = ::write(stop_, &one, sizeof one);
      serving_.join();
    }
    if (listener_ >= 0) ::close(listener_);
    if (stop_ >= 0) ::close(stop_);
  }

  /// Adds a page. `make` is called on the server's thread. Call it before `start`.
  void serve(std::string path, std::function<page(const parameter&)> make) {
    pages_.emplace_back(std::move(path), std::move(make));
  }
  /// Listens and returns the port; throws usage_error if it cannot listen.
  int start() {
    listen();
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    if (stop_ < 0) throw std::system_error{errno, std::generic_category(), "eventfd"};
    serving_ = std::thread{[this] { run(); }};
    return port_;
  }
  /// The host as written in a URL.
  std::string host() const { return host_.find(':') == std::string::npos ? host_ : '[' + host_ + ']'; }

 private:
  using time_point = std::chrono::steady_clock::time_point;
  enum class state : std::uint8_t { reading, writing, draining };
  struct client {
    int fd;
    time_point until;
    state now = state::reading;
    std::string in{}, out{};
    std::size_t sent = 0;
  };

  void listen() {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int unknown = ::getaddrinfo(host_.c_str(), std::to_string(port_).c_str(), &hints, &found);
    const auto refused = [this](const char* why) {
      return usage_error{fmt::format("cannot listen on {}:{}: {}", host(), port_, why)};
    };
    if (unknown != 0) throw refused(::gai_strerror(unknown));
    const int on = 1;
    sockaddr_storage bound{};
    auto* const address = reinterpret_cast<sockaddr*>(&bound);
    socklen_t size = sizeof bound;
    listener_ = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const bool listens = listener_ >= 0 && ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                         ::bind(listener_, found->ai_addr, found->ai_addrlen) == 0 && ::listen(listener_, 64) == 0 &&
                         ::getsockname(listener_, address, &size) == 0;
    const int why = errno;
    ::freeaddrinfo(found);
    if (!listens) throw refused(std::strerror(why));
    port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                              : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
  }

  // ── the server's thread ──
  void run() {
    std::vector<client> clients;  // the oldest first
    bool crowded = false;         // no descriptor was left: accept again after a pause
    for (;;) {
      std::vector<pollfd> all{{stop_, POLLIN, 0}, {listener_, static_cast<short>(crowded ? 0 : POLLIN), 0}};
      for (const client& c : clients)
        all.push_back({c.fd, static_cast<short>(c.now == state::writing ? POLLOUT : POLLIN), 0});
      const auto now = std::chrono::steady_clock::now();
      const auto left = clients.empty() ? std::chrono::milliseconds{-1}
                                        : std::chrono::ceil<std::chrono::milliseconds>(clients.front().until - now);
      const auto wait = crowded ? std::chrono::milliseconds{100} : clients.empty() ? left : std::max(left, {});
      if (::poll(all.data(), all.size(), static_cast<int>(wait.count())) < 0 && errno != EINTR) break;
      if (all[0].revents != 0) break;
      for (std::size_t i = 0; i < clients.size(); ++i) {
        client& c = clients[i];
        const bool stays = std::chrono::steady_clock::now() < c.until && (all[i + 2].revents == 0 || step(c, clients));
        if (!stays) ::close(std::exchange(c.fd, -1));
      }
      std::erase_if(clients, [](const client& c) { return c.fd < 0; });
      crowded = (all[1].revents != 0 || crowded) && !take_one(clients);
    }
    for (const client& c : clients) ::close(c.fd);
  }
  bool take_one(std::vector<client>& clients) const {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
    if (clients.size() == most_clients) {
      ::close(clients.front().fd);
      clients.erase(clients.begin());
    }
    clients.push_back({fd, std::chrono::steady_clock::now() + patience});
    return true;
  }
  static bool later() noexcept { return errno == EAGAIN || errno == EINTR; }

  /// Reads and writes what is possible without waiting. Returns false when the client is done.
  bool step(client& c, const std::vector<client>& all) const {
    std::array<char, 4096> part;
    if (c.now != state::writing) {
      const ssize_t n = ::recv(c.fd, part.data(), part.size(), 0);
      if (n < 0) return later();
      if (n == 0) return false;
      if (c.now == state::draining)
        return true;  // read and dropped: closing now would reset the connection before the response arrives
      c.in.append(part.data(), static_cast<std::size_t>(n));
      const bool whole = c.in.find("\r\n\r\n") != std::string::npos || c.in.find("\n\n") != std::string::npos;
      if (!whole && c.in.size() < longest_request) return true;
      std::size_t pending = 0;
      for (const client& other : all) pending += other.out.size();
      c.out = whole && c.in.size() <= longest_request ? response_to(c.in, pending) : text_of({431, "", ""}, false);
      c.in = {};
      c.now = state::writing;
    }
    const ssize_t n = ::send(c.fd, c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL);
    if (n < 0) return later();
    c.sent += static_cast<std::size_t>(n);
    if (c.sent < c.out.size()) return true;
    c.out = {};
    c.now = state::draining;
    return ::shutdown(c.fd, SHUT_WR) == 0;
  }

  std::string response_to(std::string_view request, std::size_t pending) const {
    const std::string_view line = request.substr(0, request.find_first_of("\r\n"));
    const auto first = line.find(' '), last = line.rfind(' ');
    if (first == std::string_view::npos || first == last || !line.substr(last).starts_with(" HTTP/1."))
      return text_of({400, "", ""}, false);
    const std::string_view method = line.substr(0, first), target = line.substr(first + 1, last - first - 1);
    const bool head = method == "HEAD";
    if (method != "GET" && !head) return text_of({405, "", ""}, false);
    const auto mark = std::min(target.find('?'), target.size());
    for (const auto& [path, make] : pages_) {
      if (path != target.substr(0, mark)) continue;
      if (pending > most_pending) return text_of({503, "", ""}, head);
      try {
        const std::string_view query = target.substr(std::min(mark + 1, target.size()));
        return text_of(make([query](std::string_view name) { return value_of(query, name); }), head);
      } catch (const std::exception&) { return text_of({500, "", ""}, head); }
    }
    return text_of({404, "", ""}, head);
  }
  static std::string text_of(const page& p, bool head) {
    std::string out = fmt::format("HTTP/1.1 {} {}\r\nConnection: close\r\n", p.status, meaning(p.status));
    if (p.status == 405) out += "Allow: GET, HEAD\r\n";
    if (p.status != 204) out += fmt::format("Content-Length: {}\r\n", p.body.size());
    if (!p.type.empty() && p.status != 204) out += fmt::format("Content-Type: {}\r\n", p.type);
    out += "\r\n";
    return head || p.status == 204 ? out : out + p.body;
  }
  static std::string_view meaning(int status) noexcept {
    switch (status) {
      case 200: return "OK";
      case 204: return "No Content";
      case 400: return "Bad Request";
      case 404: return "Not Found";
      case 405: return "Method Not Allowed";
      case 431: return "Request Header Fields Too Large";
      case 503: return "Service Unavailable";
      default: return "Internal Server Error";
    }
  }

  static std::optional<std::string> value_of(std::string_view query, std::string_view name) {
    while (!query.empty()) {
      const std::string_view one = query.substr(0, query.find('&'));
      query.remove_prefix(std::min(one.size() + 1, query.size()));
      const auto equals = std::min(one.find('='), one.size());
      if (decoded(one.substr(0, equals)) == name) return decoded(one.substr(std::min(equals + 1, one.size())));
    }
    return std::nullopt;
  }
  static std::string decoded(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef0123456789ABCDEF";
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto high = text[i] == '%' && i + 2 < text.size() ? hex.find(text[i + 1]) : std::string_view::npos;
      const auto low = high != std::string_view::npos ? hex.find(text[i + 2]) : std::string_view::npos;
      if (low == std::string_view::npos) {
        out += text[i] == '+' ? ' ' : text[i];
      } else {
        out += static_cast<char>(static_cast<unsigned char>(high % 16 * 16 + low % 16));
        i += 2;
      }
    }
    return out;
  }

  std::string host_ = "127.0.0.1";
  int port_ = 0;
  int listener_ = -1, stop_ = -1;
  std::vector<std::pair<std::string, std::function<page(const parameter&)>>> pages_;
  std::thread serving_;
};

}  // namespace programs
