// SPDX-License-Identifier: MIT
// sink URL: the sample of docs/sink.md: two orders to a sink, their results, and the numbers.
#include <again/again.hpp>
#include <again/format.hpp>
#include <again/metrics.hpp>
#include <again/sink.hpp>

#include <fmt/format.h>

#include <chrono>
#include <utility>

using namespace std::chrono_literals;

again::task<> place(again::sink& orders, again::event order) {
  again::delivery d = co_await orders.deliver(std::move(order));
  if (d) {
    fmt::print("{}: {}\n", d.event.id, d.outcomes[0].result->status);
  } else {
    fmt::print("{}: {} after {} attempts\n", d.event.id, *d.reason(), d.attempts());
  }
}

again::task<> place_all(again::sink& orders) {
  const again::context& here = co_await again::get_context();
  again::scope all{here};
  all.spawn(place(orders, again::event{"order-1", R"({"total": 3})"}));
  all.spawn(place(orders, again::event{"order-2", R"({"total": 4})"}));
  co_await all.join();
  co_await orders.close(5s);  // drains, then cancels; every order accepted has its result
}

int main(int, char** argv) {
  const auto url = again::http::parse_url(argv[1] != nullptr ? argv[1] : "http://127.0.0.1:8080/orders");
  if (!url) return 2;
  again::sink orders{
      {{.url = *url, .policy = {.attempts = 3, .deadline = 10s}, .headers = {{"Content-Type", "application/json"}}}}};
  again::sync_wait(place_all(orders));
  fmt::print("{} accepted, {} delivered, {} failed\n", orders.accepted(), orders.delivered(), orders.failed());
  return orders.failed() == 0 ? 0 : 1;
}
