// SPDX-License-Identifier: MIT
// A million waits at once on one thread, and what a timeout costs that is armed and taken back.
#include "harness.hpp"

#include <again/coro/scope.hpp>
#include <again/coro/sleep.hpp>
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>
#include <again/coro/this_context.hpp>

#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// The same waits for everyone: anywhere between 0 and a second.
std::chrono::nanoseconds wait_of(std::size_t i) {
  static const std::vector<std::chrono::nanoseconds> waits = [] {
    std::vector<std::chrono::nanoseconds> all(1 << 16);
    std::mt19937_64 random{42};
    for (auto& w : all) w = std::chrono::nanoseconds{random() % 1'000'000'000};
    return all;
  }();
  return waits[i % waits.size()] + std::chrono::nanoseconds{i};
}

// ── again ────────────────────────────────────────────────────────────────────────────────────────────────────────────

again::task<> sleeper(std::chrono::nanoseconds d, std::size_t& woken) {
  const bool slept = co_await again::sleep_for(d);
  if (slept) ++woken;
}
again::task<std::size_t> all_sleep(std::size_t n) {
  std::size_t woken = 0;
  again::scope all{co_await again::get_context()};
  for (std::size_t i = 0; i < n; ++i) all.spawn(sleeper(wait_of(i), woken));
  co_await all.join();
  co_return woken;
}
again::task<std::size_t> all_cancelled(std::size_t n) {
  std::size_t woken = 0;
  again::scope all{co_await again::get_context()};
  for (std::size_t i = 0; i < n; ++i) all.spawn(sleeper(1h, woken));
  all.request_stop();
  co_await all.join();
  co_return woken;
}

// The scheduler's own nodes, as one would use them without a coroutine.
struct counting_timer : again::timer {
  std::size_t* left = nullptr;
};
void all_nodes(std::size_t n) {
  again::run_loop loop;
  std::vector<counting_timer> nodes(n);
  std::size_t left = n;
  const auto now = loop.now();
  for (std::size_t i = 0; i < n; ++i) {
    nodes[i].left = &left;
    nodes[i].fire = [](again::timer& t) noexcept { --*static_cast<counting_timer&>(t).left; };
    loop.arm(nodes[i], now + wait_of(i));
  }
  if (!loop.run_until([&] { return left == 0; })) std::abort();
}

// With `others` armed already: one more, and taken back.
void arm_and_disarm(again::run_loop& loop, std::size_t n) {
  std::vector<counting_timer> ring(64);
  for (counting_timer& t : ring) t.fire = [](again::timer&) noexcept {};
  for (std::size_t i = 0; i < n; ++i) {
    counting_timer& t = ring[i % 64];
    loop.arm(t, loop.last_wake() + 1h + wait_of(i));
    loop.disarm(t);
  }
}

// ── Boost.Asio ───────────────────────────────────────────────────────────────────────────────────────────────────────

asio::awaitable<void> asio_sleeper(asio::io_context& loop, std::chrono::nanoseconds d, std::size_t& woken) {
  asio::steady_timer t{loop, d};
  co_await t.async_wait(asio::use_awaitable);
  ++woken;
}
void asio_coroutines(std::size_t n) {
  asio::io_context loop{1};
  std::size_t woken = 0;
  for (std::size_t i = 0; i < n; ++i) asio::co_spawn(loop, asio_sleeper(loop, wait_of(i), woken), asio::detached);
  loop.run();
  if (woken != n) std::abort();
}
void asio_callbacks(std::size_t n) {
  asio::io_context loop{1};
  std::vector<asio::steady_timer> timers;
  timers.reserve(n);
  std::size_t woken = 0;
  for (std::size_t i = 0; i < n; ++i) {
    timers.emplace_back(loop, wait_of(i)).async_wait([&woken](const boost::system::error_code&) { ++woken; });
  }
  loop.run();
  if (woken != n) std::abort();
}
struct asio_crowd {
  asio::io_context loop{1};
  std::vector<asio::steady_timer> others;
  explicit asio_crowd(std::size_t n) {
    others.reserve(n);
    for (std::size_t i = 0; i < n; ++i)
      others.emplace_back(loop, 1h + wait_of(i)).async_wait([](const boost::system::error_code&) {});
  }
};
void asio_arm_and_cancel(asio_crowd& crowd, std::size_t n) {
  std::vector<asio::steady_timer> ring;
  ring.reserve(64);
  for (int i = 0; i < 64; ++i) ring.emplace_back(crowd.loop);
  for (std::size_t i = 0; i < n; ++i) {
    asio::steady_timer& t = ring[i % 64];
    t.expires_after(1h + wait_of(i));
    t.async_wait([](const boost::system::error_code&) {});
    t.cancel();
    if (i % 64 == 63) crowd.loop.poll();  // the cancelled handlers
  }
}
asio::awaitable<void> asio_cancelled_sleeper(asio::io_context& loop, std::vector<asio::steady_timer*>& all) {
  asio::steady_timer t{loop, 1h};
  all.push_back(&t);
  boost::system::error_code ignored;
  co_await t.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}
void asio_all_cancelled(std::size_t n) {
  asio::io_context loop{1};
  std::vector<asio::steady_timer*> all;
  all.reserve(n);
  for (std::size_t i = 0; i < n; ++i) asio::co_spawn(loop, asio_cancelled_sleeper(loop, all), asio::detached);
  while (all.size() < n) loop.poll();
  for (asio::steady_timer* t : all) t->cancel();
  loop.run();
}

// ── a thread for each, as the plain loop with sleep_for needs it ─────────────────────────────────────────────────────

void threads(std::size_t n) {
  std::vector<std::thread> all;
  all.reserve(n);
  for (std::size_t i = 0; i < n; ++i) all.emplace_back([i] { std::this_thread::sleep_for(wait_of(i) / 4); });
  for (std::thread& t : all) t.join();
}

}  // namespace

int main(int argc, char** argv) {
  bench::suite s{"timers", argc, argv};
  const std::size_t many = s.quick() ? 100'000 : 1'000'000;
  const auto once = [](auto f) { return [f](std::size_t n, std::map<std::string, double>&) { f(n); }; };

  s.add_once("sleeping at once, CPU of each", "again::task + sleep_for", many, once([](std::size_t n) {
               if (again::sync_wait(all_sleep(n)) != n) std::abort();
             }));
  s.add_once("sleeping at once, CPU of each", "again::timer, no coroutine", many, once(all_nodes));
  s.add_once("sleeping at once, CPU of each", "asio awaitable + steady_timer", many, once(asio_coroutines));
  s.add_once("sleeping at once, CPU of each", "asio steady_timer, callbacks", many, once(asio_callbacks));
  s.add_once("sleeping at once, CPU of each", "std::thread for each, 2000", 2'000, once(threads));

  const std::size_t cancelled = many / 10;
  s.add_once("spawned, then all cancelled", "again::task + sleep_for", cancelled, once([](std::size_t n) {
               if (again::sync_wait(all_cancelled(n)) != 0) std::abort();
             }));
  s.add_once("spawned, then all cancelled", "asio awaitable + steady_timer", cancelled, once(asio_all_cancelled));

  constexpr std::size_t crowd = 10'000;
  again::run_loop loop;
  std::vector<counting_timer> others(crowd);
  for (std::size_t i = 0; i < crowd; ++i) loop.arm(others[i], loop.now() + 1h + wait_of(i));
  asio_crowd asio_others{crowd};
  constexpr std::size_t turns = 200'000;
  s.add_once("arm + cancel beside 10 000", "again::timer", turns,
             once([&](std::size_t n) { arm_and_disarm(loop, n); }));
  s.add_once("arm + cancel beside 10 000", "asio steady_timer", turns,
             once([&](std::size_t n) { asio_arm_and_cancel(asio_others, n); }));

  using goal = bench::suite::goal;
  const std::string sleeping = "sleeping at once, CPU of each";
  s.add_goal(goal{.text = "CPU / asio coroutine",
                  .group = sleeping,
                  .who = "again::task + sleep_for",
                  .against_group = {},
                  .against = "asio awaitable + steady_timer",
                  .limit = 0.35});
  s.add_goal(goal{.text = "CPU / asio callbacks",
                  .group = sleeping,
                  .who = "again::task + sleep_for",
                  .against_group = {},
                  .against = "asio steady_timer, callbacks",
                  .limit = 0.8});
  s.add_goal(goal{.text = "peak memory / asio coroutine",
                  .group = sleeping,
                  .who = "again::task + sleep_for",
                  .against_group = {},
                  .against = "asio awaitable + steady_timer",
                  .limit = 0.25,
                  .metric = "peak"});
  s.add_goal(goal{.text = "arm + cancel / asio",
                  .group = "arm + cancel beside 10 000",
                  .who = "again::timer",
                  .against_group = {},
                  .against = "asio steady_timer",
                  .limit = 0.4});
  s.add_goal(goal{.text = "spawn + cancel / asio coroutine",
                  .group = "spawned, then all cancelled",
                  .who = "again::task + sleep_for",
                  .against_group = {},
                  .against = "asio awaitable + steady_timer",
                  .limit = 0.4});
  const int code = s.run();
  for (counting_timer& t : others) loop.disarm(t);
  return code;
}
