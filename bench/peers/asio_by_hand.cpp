// SPDX-License-Identifier: MIT
#include "peers.hpp"

#include <charconv>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace bench::peers {

namespace {

namespace asio = boost::asio;
using asio::use_awaitable;

// The length as the servers here write it.
std::size_t content_length(std::string_view head) {
  constexpr std::string_view name = "\r\nContent-Length: ";
  const std::size_t at = head.find(name);
  std::size_t length = 0;
  if (at == std::string_view::npos) lost();
  const char* const digits = head.data() + at + name.size();
  if (std::from_chars(digits, head.data() + head.size(), length).ec != std::errc{}) lost();
  return length;
}

class by_hand {
 public:
  by_hand(const target& to, std::size_t flights) : to_{to} {
    for (std::size_t i = 0; i < flights; ++i) sockets_.emplace_back(loop_);
    request_ = "GET " + to.path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(to.port) + "\r\n\r\n";
  }
  void operator()(std::size_t n) {
    for (std::size_t i = 0; i < sockets_.size(); ++i)
      asio::co_spawn(loop_, sends(sockets_[i], part(n, sockets_.size(), i)), asio::detached);
    loop_.restart();
    loop_.run();
  }

 private:
  asio::awaitable<void> sends(asio::ip::tcp::socket& socket, std::size_t left) {
    if (!socket.is_open()) {
      const auto port = static_cast<unsigned short>(to_.port);
      co_await socket.async_connect({asio::ip::address_v4::loopback(), port}, use_awaitable);
      socket.set_option(asio::ip::tcp::no_delay{true});
    }
    std::string read;
    for (; left > 0; --left) {
      co_await asio::async_write(socket, asio::buffer(request_), use_awaitable);
      const std::size_t head =
          co_await asio::async_read_until(socket, asio::dynamic_buffer(read), "\r\n\r\n", use_awaitable);
      if (!read.starts_with("HTTP/1.1 200 ")) lost();
      const std::size_t length = content_length({read.data(), head});
      if (const std::size_t have = read.size(); have < head + length) {
        read.resize(head + length);
        co_await asio::async_read(socket, asio::buffer(read.data() + have, head + length - have), use_awaitable);
      }
      const std::string body = read.substr(head, length);  // what the caller wants
      if (body.size() != to_.body) lost();
      read.erase(0, head + length);
    }
  }

  target to_;
  std::string request_;
  asio::io_context loop_{1};
  std::deque<asio::ip::tcp::socket> sockets_;
};

}  // namespace

client asio_by_hand(const target& to, std::size_t flights) {
  return [all = std::make_shared<by_hand>(to, flights)](std::size_t n) { (*all)(n); };
}

}  // namespace bench::peers
