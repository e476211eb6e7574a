// SPDX-License-Identifier: MIT
// A sample of docs/asio.md: a program over Boost.Beast that keeps its own connection and retries its own coroutine.
#include <again/again.hpp>
#include <again/asio.hpp>

#include <boost/asio.hpp>
#include <boost/beast.hpp>

#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
namespace net = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

using response = http::response<http::string_body>;

// What the retry sees: an error of the connection, or a status.
struct call_error {
  error_code io{};
  unsigned status = 0;
  again::verdict verdict() const {
    if (status == 0) return again::verdict_of(io);
    const bool busy = status == 429 || status >= 500;
    return {.kind = busy ? again::disposition::transient : again::disposition::permanent,
            .reach = again::reach::answered,
            .code = static_cast<int>(status),
            .name = "status"};
  }
};

// The connection is kept between attempts, and opened again after it broke.
struct connection {
  net::ip::tcp::endpoint peer;
  std::optional<boost::beast::tcp_stream> stream{};
};

net::awaitable<again::expected<response, call_error>> get(connection& c, std::string target) {
  try {
    if (!c.stream) {
      c.stream.emplace(co_await net::this_coro::executor);
      co_await c.stream->async_connect(c.peer, net::use_awaitable);
    }
    http::request<http::empty_body> request{http::verb::get, target, 11};
    request.set(http::field::host, "localhost");
    co_await http::async_write(*c.stream, request, net::use_awaitable);
    boost::beast::flat_buffer buffer;
    response got;
    co_await http::async_read(*c.stream, buffer, got, net::use_awaitable);
    if (!got.keep_alive()) c.stream.reset();
    if (got.result_int() >= 300) co_return again::unexpected(call_error{.status = got.result_int()});
    co_return got;
  } catch (const boost::system::system_error& e) {
    c.stream.reset();
    co_return again::unexpected(call_error{.io = e.code()});
  }
}

net::awaitable<void> show_quote(connection& c) {
  constexpr auto polite = again::checked({.attempts = 4, .backoff = again::exponential(1ms, 10ms), .deadline = 5s});
  auto ex = co_await net::this_coro::executor;
  int sends = 0;
  auto send = [&] {
    ++sends;
    return net::co_spawn(ex, get(c, "/quote"), again::asio::use_expected);
  };
  auto quote = co_await again::asio::async_retry(polite, send);
  if (quote) {
    std::printf("%s after %d sends\n", quote->body().c_str(), sends);
  } else {
    std::printf("gave up: %s\n", name(quote.error().reason()).data());
  }
}

// A server that closes the first connection, is busy at the second, and answers the third request on the same one.
void serve(net::ip::tcp::acceptor& acceptor) {
  const auto respond = [](net::ip::tcp::socket& s, http::status status, std::string body) {
    boost::beast::flat_buffer buffer;
    http::request<http::empty_body> request;
    http::read(s, buffer, request);
    response r{status, 11};
    r.body() = std::move(body);
    r.prepare_payload();
    http::write(s, r);
  };
  acceptor.accept().close();
  net::ip::tcp::socket s = acceptor.accept();
  respond(s, http::status::service_unavailable, "");
  respond(s, http::status::ok, "ACME 12.34");
}

}  // namespace

int main() {
  net::io_context io;
  net::ip::tcp::acceptor acceptor{io, {net::ip::address_v4::loopback(), 0}};
  std::thread server{[&] { serve(acceptor); }};
  connection c{.peer = acceptor.local_endpoint()};
  net::co_spawn(io, show_quote(c), [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
  server.join();
}
