// SPDX-License-Identifier: MIT
#include <again/sink/detail/key_turn.hpp>

#include "sink/pretend_sink.hpp"

#include <again/coro/sleep.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace again;
using namespace again_test;

namespace {

event keyed(std::string id, std::string key) {
  event e{std::move(id), key};
  e.order_key = std::move(key);
  return e;
}

}  // namespace

TEST_CASE("a slow key holds a share of the sink only: the events of other keys pass it") {
  pretend_sink b{
      [](const pretend_transport::request& r) { return r.body == "k7" ? response(503, 999ms) : response(200); },
      {at("a")},
      {.order = ordering::per_key, .in_flight = 16, .queue = 16}};
  std::vector<event> all;
  for (int i = 0; i < 2000; ++i) all.push_back(keyed(std::to_string(i), "k" + std::to_string(i % 20)));
  time_point healthy{};
  std::size_t passed = 0;
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    for (event& e : all) b.hand_in(s, std::move(e));
    const time_point start = b.time.now();
    while (b.to.delivered() < 1900) {
      const bool slept = co_await sleep_for(10ms);
      CHECK(slept);
      if (b.time.now() > start + 60s) break;
    }
    passed = b.to.delivered();
    healthy = time_point{b.time.now() - start};
    co_await b.to.close(0s);
    co_await s.join();
  };
  sync_wait(b.loop, scenario());
  CHECK(passed == 1900);
  CHECK(healthy.time_since_epoch() < 1s);
  CHECK(b.balanced());
}

TEST_CASE("events of one key stay in order, also those that wait for a place of their key") {
  pretend_sink b{[n = 0](const auto&) mutable {
                   ++n;
                   return response(n % 3 == 0 ? 503 : 200, n % 2 == 0 ? 5ms : 1ms);
                 },
                 {at("a"), at("b")},
                 {.order = ordering::per_key, .in_flight = 2, .queue = 6}};
  std::vector<event> all;
  for (int i = 0; i < 100; ++i) all.push_back(keyed(std::to_string(i), "k"));
  b.deliver(std::move(all));
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) expected.push_back(std::to_string(i));
  CHECK(b.finished == expected);
  CHECK(b.balanced());
}

TEST_CASE("try_deliver is overloaded where the key has its share, and others are taken") {
  pretend_sink b{[](const auto&) { return response(200, 1s); },
                 {at("a")},
                 {.order = ordering::per_key, .in_flight = 4, .queue = 4}};
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    for (int i = 0; i < 2; ++i) b.hand_in(s, keyed(std::to_string(i), "k"));  // a quarter of 8
    const delivery refused = co_await b.to.try_deliver(keyed("2", "k"));
    CHECK(refused.reason() == stop_reason::overloaded);
    CHECK(!refused.accepted);
    const delivery other = co_await b.to.try_deliver(keyed("3", "other"));
    CHECK(other);
    co_await s.join();
    const delivery later = co_await b.to.try_deliver(keyed("4", "k"));
    CHECK(later);
  };
  sync_wait(b.loop, scenario());
  CHECK(b.to.refused() == 1);
  CHECK(b.balanced());
}

TEST_CASE("close refuses at once the events that wait for a place of their key") {
  pretend_sink b{[](const auto&) { return response(200, 10s); },
                 {at("a")},
                 {.order = ordering::per_key, .in_flight = 4, .queue = 4}};
  const auto scenario = [&]() -> task<> {
    const context& here = co_await get_context();
    scope s{here};
    for (int i = 0; i < 4; ++i) b.hand_in(s, keyed(std::to_string(i), "k"));
    const bool slept = co_await sleep_for(1ms);
    CHECK(slept);
    CHECK(b.to.accepted() == 2);
    const time_point before = b.time.now();
    co_await b.to.close(100ms);
    CHECK(b.time.now() - before == 100ms);
    co_await s.join();
  };
  sync_wait(b.loop, scenario());
  for (const std::size_t i : {2U, 3U}) {
    CHECK(!b.results[i]->accepted);
    CHECK(b.results[i]->reason() == stop_reason::cancelled_before_start);
  }
  CHECK(b.to.refused() == 2);
  CHECK(b.balanced());
}
