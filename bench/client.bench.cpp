// SPDX-License-Identifier: MIT
// What the client, the retry and the sink cost where there is no network: over a transport that has a response at once. One at a time, so
// that nothing waits.
#include "harness.hpp"

#include <again/coro/awaitable.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/http/client.hpp>
#include <again/http/url.hpp>
#include <again/retry.hpp>
#include <again/sink.hpp>

#include <cstddef>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t body_size = 1024;
constexpr again::checked_policy usual{again::policy{}};

/// Each request has the same response, made anew as a parser would make it.
class instant_transport {
 public:
  class send_type {
   public:
    using result_type = again::http::send_result;
    explicit send_type(std::size_t body) noexcept : body_{body} {}
    send_type(const send_type&) = delete;
    send_type& operator=(const send_type&) = delete;
    bool start(again::continuation, const again::context&) noexcept { return true; }
    result_type take() const {
      again::http::response r;
      r.status = 200;
      r.headers.add("Server", "nginx/1.22.1");
      r.headers.add("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
      r.headers.add("Content-Type", "application/octet-stream");
      r.headers.add("Content-Length", std::to_string(body_));
      r.headers.add("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
      r.headers.add("Connection", "keep-alive");
      r.headers.add("ETag", "\"2eb7d0ba-400\"");
      r.headers.add("Accept-Ranges", "bytes");
      r.body.assign(body_, 'x');
      return r;
    }
    static std::exception_ptr exception() noexcept { return nullptr; }

   private:
    std::size_t body_;
  };
  explicit instant_transport(std::size_t body) noexcept : body_{body} {}
  send_type send(const std::shared_ptr<const again::http::outgoing>& what, int number) const {
    bench::keep(what->request.fields(number));  // every transport needs them
    return send_type{body_};
  }

 private:
  std::size_t body_;
};
static_assert(again::http::transport<instant_transport>);
using client = again::http::client_over<instant_transport>;

void expect(bool good) {
  if (!good) std::abort();
}

again::task<> responses(instant_transport& through, std::shared_ptr<const again::http::outgoing> what, std::size_t n) {
  for (; n > 0; --n) {
    auto response = through.send(what, 1).take();
    expect(response && response->body.size() == body_size);
  }
  co_return;
}
again::task<> bare_gets(client& api, std::size_t n) {
  for (; n > 0; --n) {
    const auto response = co_await api.get("/quote");
    expect(response && response->body.size() == body_size);
  }
}
again::task<> retried_gets(client& api, std::size_t n) {
  for (; n > 0; --n) {
    const auto response = co_await again::retry(usual, api.get("/quote"));
    expect(response && response->body.size() == body_size);
  }
}
again::task<> retried_posts(client& api, const std::string& content, std::size_t n) {
  for (; n > 0; --n) {
    auto order = again::http::request::post("/orders");
    order.body(content).idempotency_key("reading-1");
    const auto response = co_await again::retry(usual, api.send(std::move(order)));
    expect(response.has_value());
  }
}
again::task<> delivers(again::sink_over<instant_transport>& to, const std::string& content, std::size_t n) {
  for (; n > 0; --n) {
    again::event e{std::to_string(n), content};
    e.key = "reading-1";  // else the sink draws one, which is a system call
    const auto outcome = co_await to.deliver(std::move(e));
    expect(bool(outcome));
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::suite s{"client", argc, argv};
  const auto origin = again::http::parse_origin("http://127.0.0.1:8080");
  expect(origin.has_value());

  instant_transport kilobyte{body_size};
  client api{kilobyte, *origin};
  const char* const get = "GET, a response of 1 KiB";
  const auto what = std::make_shared<const again::http::outgoing>(*origin, again::http::request::get("/quote"),
                                                                  again::http::send_limits{});
  s.add(get, "the transport alone", [&](std::size_t n) { again::sync_wait(responses(kilobyte, what, n)); });
  s.add(get, "again without retry", [&](std::size_t n) { again::sync_wait(bare_gets(api, n)); });
  s.add(get, "again::retry", [&](std::size_t n) { again::sync_wait(retried_gets(api, n)); });

  instant_transport brief{5};
  client orders{brief, *origin};
  again::sink_over<instant_transport> to{
      brief, {again::endpoint{.url = *again::http::parse_url("http://127.0.0.1:8080/orders")}}, {}};
  const std::string content(200, 'x');
  const char* const post = "POST of 200 bytes, a brief response";
  s.add(post, "again::retry", [&](std::size_t n) { again::sync_wait(retried_posts(orders, content, n)); });
  again::run_loop loop;  // a sink is used from one
  s.add(post, "again::sink", [&](std::size_t n) { again::sync_wait(loop, delivers(to, content, n)); });
  const int code = s.run();
  again::sync_wait(loop, to.close(std::chrono::seconds{5}));
  return code;
}
