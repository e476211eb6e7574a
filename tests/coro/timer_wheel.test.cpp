// SPDX-License-Identifier: MIT
#include <again/coro/timer_wheel.hpp>

#include <again/core/random.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <vector>

using namespace std::chrono_literals;
using again::duration;
using again::time_point;
using again::timer_wheel;

namespace {

constexpr time_point first_now{24h};

// The wheel and its model: a map by time, with equal times in the order of insertion.
struct pair_of_queues {
  timer_wheel wheel;
  std::multimap<time_point, again::timer*> model;
  std::vector<again::timer> timers;
  time_point now;
  int faults = 0;

  explicit pair_of_queues(std::size_t n, time_point start = first_now) : timers(n), now{start} {}

  void arm(again::timer& t, time_point when) {
    wheel.insert(t, when, now);
    model.emplace(when < now ? now : when, &t);
  }
  void disarm(again::timer& t) {
    wheel.remove(t);
    for (auto i = model.begin(); i != model.end(); ++i) {
      if (i->second != &t) continue;
      model.erase(i);
      break;
    }
  }
  // Takes one timer that is due, if any, out of both.
  again::timer* pop() {
    again::timer* const popped = wheel.pop_due(now);
    again::timer* expected = nullptr;
    if (!model.empty() && model.begin()->first <= now) {
      expected = model.begin()->second;
      model.erase(model.begin());
    }
    if (popped != expected || (popped != nullptr && popped->armed())) ++faults;
    return popped;
  }
  void compare() {
    if (wheel.size() != model.size() || wheel.empty() != model.empty()) ++faults;
    // Not later than the first timer, and not in the past, or the loop would not sleep.
    const time_point next = wheel.next();
    const time_point first = model.empty() ? again::never : model.begin()->first;
    if (next > first || (first > now && next <= now)) ++faults;
    if (first == again::never && !model.empty() && next != again::never) ++faults;
  }
};

// Spans of the usual lengths, and longer ones.
duration some_span(again::random_stream& random) {
  const auto below = [&](int power) {
    return duration{static_cast<duration::rep>(random.bits() % (std::uint64_t{1} << power))};
  };
  switch (random.bits() % 8) {
    case 0: return 0ns;
    case 1: return below(3);
    case 2: return below(7);
    case 3: return below(13);
    case 4: return below(20);
    case 5: return below(30);
    case 6: return duration{1s * static_cast<int>(random.bits() % 4)};  // many ties
    default: return below(static_cast<int>(random.bits() % 62) + 1);
  }
}

time_point earlier(time_point t, duration by) { return t < time_point::min() + by ? time_point::min() : t - by; }

void compare_with_model(std::uint64_t seed, std::size_t count, int steps, time_point start) {
  again::random_stream random{seed};
  pair_of_queues q{count, start};
  for (int step = 0; step < steps; ++step) {
    again::timer& t = q.timers[static_cast<std::size_t>(random.bits() % count)];
    switch (random.bits() % 8) {
      case 0:
      case 1:
      case 2:
        if (!t.armed()) q.arm(t, again::saturating_add(q.now, some_span(random)));
        break;
      case 3:
        if (!t.armed()) q.arm(t, random.bits() % 16 == 0 ? again::never : earlier(q.now, some_span(random)));
        break;
      case 4: q.disarm(t); break;
      case 5: q.pop(); break;
      case 6:
        q.now = random.bits() % 2 == 0 ? q.wheel.next() : again::saturating_add(q.now, some_span(random));
        if (q.now == again::never) q.now = start;  // the next round's; below the wheel is emptied first
        [[fallthrough]];
      default:
        if (q.now == start) {
          while (!q.model.empty()) q.disarm(*q.model.begin()->second);
        }
        while (again::timer* const fired = q.pop()) {
          if (random.bits() % 8 == 0)
            q.arm(*fired, again::saturating_add(q.now, some_span(random)));  // from inside fire
          if (random.bits() % 8 == 0) q.disarm(q.timers[static_cast<std::size_t>(random.bits() % count)]);
        }
    }
    q.compare();
  }
  CHECK(q.faults == 0);
}

}  // namespace

TEST_CASE("the wheel fires as a sorted list would, whatever is armed and disarmed, however far time jumps") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    compare_with_model(seed, 5, 300, first_now);  // often alone in a slot, often empty
    compare_with_model(seed, 300, 1'000, first_now);
    compare_with_model(seed, 100, 500, time_point{-1s});  // over the epoch
    compare_with_model(seed, 100, 500, time_point::min() + duration{1});
    compare_with_model(seed, 100, 500, again::never - 2s);
  }
}

TEST_CASE("times that differ by a nanosecond fire in order, on both sides of each level") {
  for (int level = 0; level < 62; ++level) {
    const time_point edge{duration{duration::rep{1} << level}};
    pair_of_queues q{6, time_point{}};
    std::size_t i = 0;
    for (const int by : {1, 0, -1, -1, 0, 1}) q.arm(q.timers[i++], edge + duration{by});
    for (i = 0; i < 6; ++i) {
      while (q.wheel.next() > q.now) {
        q.now = q.wheel.next();
        q.compare();
        if (q.pop() != nullptr) break;
      }
      q.pop();
    }
    q.now = edge + 1ns;
    while (q.pop() != nullptr) {}
    q.compare();
    CHECK(q.faults == 0);
    CHECK(q.wheel.empty());
  }
}

TEST_CASE("timers for never are not next, however many there are") {
  pair_of_queues q{100};
  for (again::timer& t : q.timers) q.arm(t, again::never);
  CHECK(q.wheel.next() == again::never);
  q.now = again::never - 1ns;
  CHECK(q.pop() == nullptr);
  for (again::timer& t : q.timers) q.disarm(t);
  q.compare();
  CHECK(q.faults == 0);
}

TEST_CASE("many near timers that are close together do not wake the loop in vain") {
  pair_of_queues q{200};
  q.arm(q.timers[0], q.now);  // what the wheel counts from
  q.arm(q.timers[1], q.now + 100ms);
  CHECK(q.pop() == &q.timers[0]);
  CHECK(q.pop() == nullptr);
  q.now += 99'999us;  // inside the slot of those that follow
  CHECK(q.pop() == nullptr);
  for (std::size_t i = 2; i < 200; ++i) q.arm(q.timers[i], q.now + 1us + duration{i});
  q.compare();
  for (std::size_t i = 0; i < 199; ++i) {
    while (q.wheel.next() > q.now) q.now = q.wheel.next();
    q.compare();
    q.pop();
  }
  CHECK(q.wheel.empty());
  CHECK(q.faults == 0);
}

TEST_CASE("a clock that goes back only delays timers") {
  timer_wheel wheel;
  std::array<again::timer, 8> timers;
  const time_point now = first_now;
  for (std::size_t i = 0; i < 4; ++i) wheel.insert(timers[i], now + 1s * static_cast<int>(i), now);
  CHECK(wheel.pop_due(now + 1500ms) == &timers[0]);
  CHECK(wheel.pop_due(now + 1500ms) == &timers[1]);
  CHECK(wheel.pop_due(now + 1500ms) == nullptr);
  for (std::size_t i = 4; i < 8; ++i) wheel.insert(timers[i], now - 1h, now - 1h);
  CHECK(wheel.pop_due(now - 1h) == nullptr);
  std::size_t fired = 0;
  while (wheel.pop_due(now + 1h) != nullptr) ++fired;
  CHECK(fired == 6);
  CHECK(wheel.empty());
}
