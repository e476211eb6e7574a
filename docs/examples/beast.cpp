// SPDX-License-Identifier: MIT
// A sample of docs/asio.md: HTTP with retries on the io_context of the program, without a thread for each request.
#include <again/again.hpp>
#include <again/beast.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <thread>

using namespace std::chrono_literals;
namespace net = boost::asio;
namespace http = again::http;

namespace {

constexpr auto polite =
    again::checked({.attempts = 4, .backoff = again::exponential(1ms, 10ms), .attempt_timeout = 2s, .deadline = 5s});

net::awaitable<void> show_quote(http::client_over<again::beast::transport>& api) {
  auto quote = co_await again::asio::async_retry(polite, api.get("/quote/ACME"));
  if (!quote) {
    std::printf("gave up after %d attempts: %s\n", quote.error().attempts(), quote.error().error()->text().c_str());
    co_return;
  }
  std::printf("%d %s\n", quote->status, quote->body.c_str());
}

// A server that is busy once, on one connection.
void serve(net::ip::tcp::acceptor& acceptor) {
  net::ip::tcp::socket s = acceptor.accept();
  for (const char* response : {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
                               "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nACME 12.34"}) {
    std::string request;
    net::read_until(s, net::dynamic_buffer(request), "\r\n\r\n");
    net::write(s, net::buffer(std::string{response}));
  }
}

}  // namespace

int main() {
  net::io_context io;
  net::ip::tcp::acceptor acceptor{io, {net::ip::address_v4::loopback(), 0}};
  std::thread server{[&] { serve(acceptor); }};

  again::beast::transport transport{io.get_executor()};  // everything runs in handlers of this executor
  const http::origin there{http::scheme::http, "127.0.0.1", acceptor.local_endpoint().port()};
  http::client_over api{transport, there, {.headers = {{"Accept", "text/plain"}}}};
  net::co_spawn(io, show_quote(api), [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
  server.join();
}
