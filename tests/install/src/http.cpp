// SPDX-License-Identifier: MIT
// A consumer of the HTTP client and the sink: compiles, links and runs with what its one dependency brings.
#include <again/again.hpp>
#include <again/http.hpp>
#include <again/metrics.hpp>
#include <again/sink.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

constexpr auto brisk = again::checked({.attempts = 2, .backoff = again::constant(1ms)});

static again::task<int> run(again::http::client& api) {
  auto response = co_await again::retry(brisk, api.get("/"));
  co_return response ? -1 : response.error().attempts();
}

int main() {
  again::http::client api{"http://127.0.0.1:1"};  // nobody listens there
  const int attempts = again::sync_wait(run(api));
  std::printf("refused, attempts: %d\n", attempts);

  again::sink orders{{{.url = *again::http::parse_url("http://127.0.0.1:1/"), .policy = brisk}}};
  const again::delivery d = again::sync_wait(orders.deliver(again::event{"42"}));
  const bool told =
      again::metrics_page{}.add(orders).text().find("again_sink_events_accepted_total 1\n") != std::string::npos;
  return attempts == 2 && d.attempts() == 2 && told ? 0 : 1;
}
