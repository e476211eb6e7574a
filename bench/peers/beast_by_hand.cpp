// SPDX-License-Identifier: MIT
#include "peers.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace bench::peers {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::use_awaitable;

class by_hand {
 public:
  by_hand(const target& to, std::size_t flights, bool bounded) : to_{to}, bounded_{bounded} {
    for (std::size_t i = 0; i < flights; ++i) streams_.emplace_back(loop_);
  }
  void operator()(std::size_t n) {
    for (std::size_t i = 0; i < streams_.size(); ++i)
      asio::co_spawn(loop_, sends(streams_[i], part(n, streams_.size(), i)), asio::detached);
    loop_.restart();
    loop_.run();
  }

 private:
  asio::awaitable<void> sends(beast::tcp_stream& stream, std::size_t left) {
    if (!stream.socket().is_open()) {
      const auto port = static_cast<unsigned short>(to_.port);
      co_await stream.async_connect({asio::ip::address_v4::loopback(), port}, use_awaitable);
      stream.socket().set_option(asio::ip::tcp::no_delay{true});
    }
    beast::http::request<beast::http::empty_body> request{beast::http::verb::get, to_.path, 11};
    request.set(beast::http::field::host, "127.0.0.1:" + std::to_string(to_.port));
    beast::flat_buffer read;
    read.reserve(8192);  // else Beast asks for 512 bytes at a time: three reads for a response
    for (; left > 0; --left) {
      if (bounded_) stream.expires_after(std::chrono::seconds{30});
      co_await beast::http::async_write(stream, request, use_awaitable);
      beast::http::response<beast::http::string_body> response;
      co_await beast::http::async_read(stream, read, response, use_awaitable);
      if (response.result() != beast::http::status::ok || response.body().size() != to_.body) lost();
    }
    if (bounded_) stream.expires_never();
  }

  target to_;
  bool bounded_;
  asio::io_context loop_{1};
  std::deque<beast::tcp_stream> streams_;
};

}  // namespace

client beast_by_hand(const target& to, std::size_t flights, bool bounded) {
  return [all = std::make_shared<by_hand>(to, flights, bounded)](std::size_t n) { (*all)(n); };
}

}  // namespace bench::peers
