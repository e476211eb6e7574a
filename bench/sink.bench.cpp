// SPDX-License-Identifier: MIT
// Events of 1 KiB delivered through the sink, beside the same requests made by `retry` and by bare cpp-httplib.
#include "harness.hpp"
#include "nginx.hpp"

#include <again/coro/scope.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>
#include <again/http.hpp>
#include <again/retry.hpp>
#include <again/sink.hpp>

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <httplib.h>

namespace {

using bench::lost;
using bench::part;
using bench::timed_requests;

const std::string content(bench::body_size, 'x');
constexpr again::checked_policy usual{again::policy{}};

// ── bare cpp-httplib ─────────────────────────────────────────────────────────────────────────────────────────────────

class bare_httplib {
 public:
  bare_httplib(int port, std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) {
      clients_.push_back(std::make_unique<httplib::Client>("127.0.0.1", port));
      clients_.back()->set_keep_alive(true);
      clients_.back()->set_tcp_nodelay(true);
    }
  }
  void operator()(std::size_t n) {
    std::vector<std::thread> all;
    for (std::size_t t = 0; t < clients_.size(); ++t) {
      all.emplace_back([&client = *clients_[t], left = part(n, clients_.size(), t)]() mutable {
        for (; left > 0; --left) {
          const auto response = client.Post("/orders", content, "text/plain");
          if (!response || response->status != 200) lost();
        }
      });
    }
    for (std::thread& t : all) t.join();
  }

 private:
  std::vector<std::unique_ptr<httplib::Client>> clients_;
};

// ── the client, without a sink ───────────────────────────────────────────────────────────────────────────────────────

again::task<> sends(again::http::client& api, std::size_t left) {
  for (; left > 0; --left) {
    auto order = again::http::request::post("/orders");
    order.body(content).idempotency_key_auto();
    const auto operation = api.send(std::move(order));
    const auto response = co_await again::retry(usual, operation);
    if (!response) lost();
  }
}
again::task<> in_flight(again::http::client& api, std::size_t n, std::size_t flights) {
  again::scope all{co_await again::get_context()};
  for (std::size_t i = 0; i < flights; ++i) all.spawn(sends(api, part(n, flights, i)));
  co_await all.join();
}

// ── the sink ─────────────────────────────────────────────────────────────────────────────────────────────────────────

again::task<> delivers(again::sink& to, std::size_t left, std::size_t first) {
  for (; left > 0; --left) {
    again::event e{std::to_string(first + left), content};
    const auto outcome = co_await to.deliver(std::move(e));
    if (!outcome) lost();
  }
}
again::task<> deliveries(again::sink& to, std::size_t n, std::size_t flights) {
  again::scope all{co_await again::get_context()};
  for (std::size_t i = 0; i < flights; ++i) all.spawn(delivers(to, part(n, flights, i), i * n));
  co_await all.join();
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  bench::suite s{"sink", argc, argv};
  const bench::nginx server;
  if (!server.up()) {
    std::printf("\n== sink == left out: nginx does not start (install nginx-light)\n");
    return 0;
  }
  const std::string origin = "http://127.0.0.1:" + std::to_string(server.port());
  const std::size_t n = s.quick() ? 4'000 : 15'000;
  constexpr std::size_t flights = 64;
  const std::string group = "64 in flight, no faults";

  again::http::client api{origin, again::http::client_options{},
                          again::http::httplib_options{.workers = flights, .max_connections = flights}};
  again::endpoint orders{.url = *again::http::parse_url(origin + "/orders"), .in_flight = flights};
  again::sink to{std::vector<again::endpoint>{orders}, again::sink_options{.in_flight = flights}};
  // One loop for all rounds: a sink is used from one.
  again::run_loop loop;
  using turn = std::function<void(std::size_t)>;
  s.add_once(group, "cpp-httplib, threads", n, timed_requests(std::make_shared<bare_httplib>(server.port(), flights)),
             bench::timed_by::wall);
  s.add_once(group, "again::retry", n, timed_requests(std::make_shared<turn>([&](std::size_t count) {
               again::sync_wait(loop, in_flight(api, count, flights));
             })),
             bench::timed_by::wall);
  s.add_once(group, "again::sink", n, timed_requests(std::make_shared<turn>([&](std::size_t count) {
               again::sync_wait(loop, deliveries(to, count, flights));
             })),
             bench::timed_by::wall);

  using goal = bench::suite::goal;
  s.add_goal(goal{.text = "throughput / the client without a sink",
                  .group = group,
                  .who = "again::sink",
                  .against_group = {},
                  .against = "again::retry",
                  .limit = 0.95,
                  .metric = "krps",
                  .at_least = true});
  s.add_goal(goal{.text = "CPU per event / the client without a sink",
                  .group = group,
                  .who = "again::sink",
                  .against_group = {},
                  .against = "again::retry",
                  .limit = 1.05,
                  .metric = "cpu_us"});
  const int code = s.run();
  again::sync_wait(loop, to.close(std::chrono::seconds{5}));
  return code;
}
