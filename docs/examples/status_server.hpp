// SPDX-License-Identifier: MIT
// Serves a few pages over HTTP on a separate thread. Meant for scrapers and a browser on the loopback interface; clients, the bytes of a
// request and the time of an exchange are bounded, and so is what waits for a client of a page that goes on.
#pragma once

#include "options.hpp"
#include "page_request.hpp"

#include <again/http/date.hpp>
#include <again/http/status.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace programs {

/// Who may ask: a request names one of our hosts, so that a page of somebody else cannot reach us through a name of its own that
/// leads here (DNS rebinding), and a browser's request comes from a page of ours.
class status_server {
 public:
  struct page {
    int status = 200;
    std::string body{};
    std::string type{};
    std::vector<std::string> fields{};  ///< more of the header section, as "Name: value"
  };
  /// What is new on a page that goes on, for a client that has what `seen` says; empty: nothing. Sets `seen`. Of what a client has not
  /// taken yet, it gets the newest state alone: there is one part at a time in its buffer.
  using stream = std::function<std::string(std::uint64_t& seen)>;

  static constexpr std::size_t most_clients = 16;       ///< one more replaces the oldest
  static constexpr std::size_t longest_request = 8192;  ///< bytes up to the blank line; a body is not read
  static constexpr std::size_t most_pending = std::size_t{32} << 20U;  ///< bytes of all responses being written
  static constexpr std::chrono::seconds patience{5};                   ///< from accepting a connection to its last byte
  static constexpr std::size_t most_streams = 8;            ///< clients of pages that go on; one more gets a 503
  static constexpr std::chrono::seconds part_patience{10};  ///< for a client of such a page to take one part of it
  static constexpr int kept_by_system = 16384;              ///< bytes of it, besides the part in the buffer
  static constexpr std::chrono::seconds heartbeat{5};       ///< a comment, where there was nothing new for so long

  /// `where`: PORT or ADDRESS:PORT. The default address is 127.0.0.1; port 0 is any free port. `hosts`: names that a request may give
  /// as its host, besides addresses, `localhost`, the machine's name and ADDRESS.
  status_server(std::string_view where, std::vector<std::string> hosts) : hosts_{std::move(hosts)} {
    const auto colon = where.rfind(':');
    if (colon != std::string_view::npos) host_ = where.substr(0, colon);
    if (host_.size() > 1 && host_.front() == '[' && host_.back() == ']') host_ = host_.substr(1, host_.size() - 2);
    port_ = number_in<int>(colon == std::string_view::npos ? where : where.substr(colon + 1), 0, 65535);
    hosts_.insert(hosts_.end(), {"localhost", host_});
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) == 0) hosts_.emplace_back(name.data());
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
    for (const int fd : {stop_, news_})
      if (fd >= 0) ::close(fd);
  }

  /// Adds a page. `make` is called on the server's thread, for GET, HEAD and `methods`. Call it before `start`.
  void serve(std::string path, std::vector<std::string> methods, std::function<page(const page_request&)> make) {
    methods.insert(methods.begin(), {"GET", "HEAD"});
    pages_.push_back({std::move(path), std::move(methods), std::move(make), {}});
  }
  /// Adds what is no page: `make` is called for POST alone.
  void serve_actions(std::string path, std::function<page(const page_request&)> make) {
    pages_.push_back({std::move(path), {"POST"}, std::move(make), {}});
  }
  /// Adds a page of server-sent events, for GET. `next` is called on the server's thread: at the beginning, and after `wake`.
  void serve_events(std::string path, stream next) {
    pages_.push_back({std::move(path), {"GET"}, {}, std::move(next)});
  }
  /// There may be something new on the pages that go on. Any thread, between `start` and the end.
  void wake() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(news_, &one, sizeof one);
  }
  /// Clients of pages that go on. Any thread.
  std::size_t streaming() const noexcept { return streaming_.load(std::memory_order_relaxed); }
  /// Listens and returns the port; throws usage_error if it cannot listen.
  int start() {
    listen();
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    news_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_ < 0 || news_ < 0) throw std::system_error{errno, std::generic_category(), "eventfd"};
    clients_.reserve(most_clients);
    polled_.reserve(most_clients + first_client);
    serving_ = std::thread{[this] { run(); }};
    return port_;
  }
  /// The host as written in a URL.
  std::string host() const { return host_.find(':') == std::string::npos ? host_ : '[' + host_ + ']'; }

 private:
  using time_point = std::chrono::steady_clock::time_point;
  enum class state : std::uint8_t { reading, writing, draining, streaming };
  struct entry {
    std::string path;
    std::vector<std::string> methods;
    std::function<page(const page_request&)> make;
    stream next;  // of a page that goes on
  };
  struct client {
    int fd;
    time_point until;
    state now = state::reading;
    std::string in{}, out{};
    std::size_t sent = 0;
    const entry* from = nullptr;  // while it is streaming
    std::uint64_t seen = 0;
    time_point quiet_since{};
    bool idle() const noexcept { return now == state::streaming && out.empty(); }
  };
  static constexpr std::size_t first_client = 3;  // in `polled_`, after the three that wake the thread

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

  // ── the server's thread. Only `step` needs memory: a client for whom there is none is let go ──
  void run() noexcept {
    bool crowded = false;  // no descriptor was left: accept again after a pause
    for (;;) {
      polled_.assign(
          {{stop_, POLLIN, 0}, {news_, POLLIN, 0}, {listener_, static_cast<short>(crowded ? 0 : POLLIN), 0}});
      for (const client& c : clients_)
        polled_.push_back({c.fd, static_cast<short>(c.out.empty() ? POLLIN : POLLOUT), 0});
      const int wait = crowded ? 100 : milliseconds_to_next();
      if (::poll(polled_.data(), polled_.size(), wait) < 0 && errno != EINTR) break;
      if (polled_[0].revents != 0) break;
      if (polled_[1].revents != 0) {
        std::uint64_t times = 0;
        [[maybe_unused]] const auto got = ::read(news_, &times, sizeof times);
      }
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        client& c = clients_[i];
        const bool stays = std::chrono::steady_clock::now() < c.until &&
                           (polled_[i + first_client].revents == 0 || try_step(c)) && (!c.idle() || try_go_on(c));
        if (!stays) ::close(std::exchange(c.fd, -1));
      }
      std::erase_if(clients_, [](const client& c) { return c.fd < 0; });
      crowded = (polled_[2].revents != 0 || crowded) && !take_one();
      streaming_.store(streams(), std::memory_order_relaxed);
    }
    for (const client& c : clients_) ::close(c.fd);
  }
  // Until a client has had its time, or an idle stream wants a sign of life; -1: never.
  int milliseconds_to_next() const noexcept {
    if (clients_.empty()) return -1;
    time_point next = time_point::max();
    for (const client& c : clients_) next = std::min(next, c.idle() ? c.quiet_since + heartbeat : c.until);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - std::chrono::steady_clock::now());
    return static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
  }
  std::size_t streams() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(clients_.begin(), clients_.end(), [](const client& c) { return c.now == state::streaming; }));
  }
  bool take_one() noexcept {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
    if (clients_.size() == most_clients) {  // streams are fewer than that
      const auto oldest =
          std::find_if(clients_.begin(), clients_.end(), [](const client& c) { return c.now != state::streaming; });
      ::close(oldest->fd);
      clients_.erase(oldest);
    }
    clients_.push_back({fd, std::chrono::steady_clock::now() + patience});
    return true;
  }
  static bool later() noexcept { return errno == EAGAIN || errno == EINTR; }

  bool try_step(client& c) noexcept {
    try {
      return step(c);
    } catch (const std::exception&) { return false; }
  }
  /// Gives an idle client of a page that goes on what is new, or a sign of life.
  bool try_go_on(client& c) noexcept {
    try {
      const auto now = std::chrono::steady_clock::now();
      c.out = c.from->next(c.seen);
      if (c.out.empty() && now >= c.quiet_since + heartbeat) c.out = ":\n\n";
      return c.out.empty() || send_part(c, now);
    } catch (const std::exception&) { return false; }
  }
  bool send_part(client& c, time_point now) noexcept {
    c.quiet_since = now;
    c.until = now + part_patience;
    c.sent = 0;
    return send_some(c);
  }
  bool send_some(client& c) noexcept {
    const ssize_t n = ::send(c.fd, c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL);
    if (n < 0) return later();
    c.sent += static_cast<std::size_t>(n);
    if (c.sent < c.out.size()) return true;
    c.out.clear();
    if (c.now == state::streaming) {
      c.until = time_point::max();
      return true;
    }
    c.out = {};
    c.now = state::draining;
    return ::shutdown(c.fd, SHUT_WR) == 0;
  }
  /// Reads and writes what is possible without waiting. Returns false when the client is done.
  bool step(client& c) {
    std::array<char, 4096> part;
    if (c.out.empty()) {
      const ssize_t n = ::recv(c.fd, part.data(), part.size(), 0);
      if (n < 0) return later();
      if (n == 0) return false;
      if (c.now != state::reading)
        return true;  // read and dropped: closing now would reset the connection before the response arrives
      c.in.append(part.data(), static_cast<std::size_t>(n));
      const std::size_t end = end_of_head(c.in);
      const bool whole = end != std::string::npos;
      const bool hopeless = !may_begin_a_request(c.in);
      if (!whole && !hopeless && c.in.size() < longest_request) return true;
      c.now = state::writing;
      c.out = hopeless                          ? text_of({400}, false)
              : whole && end <= longest_request ? response_to(std::string_view{c.in}.substr(0, end), c)
                                                : text_of({431}, false);
      c.in = {};
      if (c.now == state::streaming) return send_part(c, std::chrono::steady_clock::now());
    }
    return send_some(c);
  }

  std::string response_to(std::string_view head, client& c) const {
    const auto r = parse_page_request(head);
    if (!r) return text_of({r.error()}, false);
    const bool without_body = r->method == "HEAD";
    if (!is_ours(r->url.origin.host)) return text_of({421}, without_body);
    if (!may_ask(*r)) return text_of({403}, without_body);
    for (const entry& e : pages_) {
      if (e.path != r->path()) continue;
      if (std::find(e.methods.begin(), e.methods.end(), r->method) == e.methods.end())
        return text_of({405}, without_body, e.methods);
      std::size_t pending = 0;
      for (const client& other : clients_) pending += other.out.size();
      if (pending > most_pending) return text_of({503}, without_body);
      if (e.next) return first_part(e, c, without_body);
      page p;
      try {
        p = e.make(*r);
      } catch (const std::exception&) { p = {500}; }
      return text_of(p, without_body, p.status == 405 ? e.methods : std::vector<std::string>{});
    }
    return text_of({404}, without_body);
  }
  std::string first_part(const entry& e, client& c, bool without_body) const {
    if (!without_body && streams() >= most_streams) return text_of({503, {}, {}, {"Retry-After: 5"}}, false);
    std::string out = head_of({200, {}, "text/event-stream"}) + "\r\n";
    if (without_body) return out;
    ::setsockopt(c.fd, SOL_SOCKET, SO_SNDBUF, &kept_by_system, sizeof kept_by_system);
    out += "retry: 1000\n\n" + e.next(c.seen);
    c.from = &e;
    c.now = state::streaming;
    return out;
  }
  bool is_ours(const std::string& host) const {
    std::array<unsigned char, sizeof(in6_addr)> address;
    if (::inet_pton(AF_INET, host.c_str(), address.data()) == 1 || host.find(':') != std::string::npos) return true;
    return std::any_of(hosts_.begin(), hosts_.end(), [&host](const std::string& ours) {
      return host.size() == ours.size() && ::strcasecmp(host.c_str(), ours.c_str()) == 0;
    });
  }
  /// A browser says which page asks: the same origin, or none where a person typed the address.
  static bool may_ask(const page_request& r) {
    if (const auto site = r.headers.find("Sec-Fetch-Site"); site && *site != "same-origin" && *site != "none")
      return false;
    const auto from = r.headers.find("Origin");
    if (!from) return true;
    const auto page = again::http::parse_origin(*from);
    return page && *page == r.url.origin;
  }

  static std::string text_of(const page& p, bool without_body, const std::vector<std::string>& allowed = {}) {
    std::string out = head_of(p);
    if (!allowed.empty()) out += fmt::format("Allow: {}\r\n", fmt::join(allowed, ", "));
    if (p.status != 204) out += fmt::format("Content-Length: {}\r\n", p.body.size());
    out += "\r\n";
    return without_body || p.status == 204 ? out : out + p.body;
  }
  /// Without the blank line.
  static std::string head_of(const page& p) {
    const auto now = std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
    std::string out = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\nConnection: close\r\n", p.status,
                                  again::http::reason_phrase(p.status), again::http::format_http_date(now));
    if (!p.type.empty() && p.status != 204) out += fmt::format("Content-Type: {}\r\n", p.type);
    for (const std::string& field : p.fields) out += field + "\r\n";
    return out += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  }

  std::vector<std::string> hosts_;
  std::string host_ = "127.0.0.1";
  int port_ = 0;
  int listener_ = -1, stop_ = -1, news_ = -1;
  std::vector<entry> pages_;
  std::vector<client> clients_;  // the oldest first
  std::vector<pollfd> polled_;
  std::atomic<std::size_t> streaming_{0};
  std::thread serving_;
};

}  // namespace programs
