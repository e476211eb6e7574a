// SPDX-License-Identifier: MIT
#include <again/testing/chaos.hpp>

#include <again/coro/task.hpp>
#include <again/retry.hpp>
#include <again/retry/timeout.hpp>

#include "support/trouble.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <vector>

using namespace again_test;
using namespace std::chrono_literals;

namespace {

again::task<outcome> fine() { co_return 1; }
trouble fault() { return trouble{7}; }

std::vector<int> play(const again::chaos_rules& how, int times, again::duration* took = nullptr) {
  world w;
  auto op = again::chaos(how, fine, fault);
  std::vector<int> seen;
  for (int i = 0; i < times; ++i) {
    const outcome o = w.run(op);
    seen.push_back(o ? *o : o.error().number);
  }
  if (took != nullptr) *took = w.elapsed();
  return seen;
}

long count(const std::vector<int>& seen, int what) {
  long n = 0;
  for (const int s : seen) n += s == what;
  return n;
}

}  // namespace

TEST_CASE("faults come at their rate; the rest is the operation's own") {
  const std::vector<int> seen = play({.faults = 0.2, .seed = 3}, 10'000);
  CHECK(count(seen, 7) > 1900);
  CHECK(count(seen, 7) < 2100);
  CHECK(count(seen, 7) + count(seen, 1) == 10'000);
}
TEST_CASE("no faults and nothing but faults") {
  CHECK(count(play({}, 100), 1) == 100);
  CHECK(count(play({.faults = 1}, 100), 7) == 100);
}
TEST_CASE("the same seed gives the same run, another one another") {
  CHECK(play({.faults = 0.5, .seed = 5}, 200) == play({.faults = 0.5, .seed = 5}, 200));
  CHECK(play({.faults = 0.5, .seed = 5}, 200) != play({.faults = 0.5, .seed = 6}, 200));
}
TEST_CASE("a setting does not change who is hit by another one") {
  CHECK(play({.faults = 0.5, .seed = 5}, 200) == play({.faults = 0.5, .slow = 1, .latency = 1s, .seed = 5}, 200));
}
TEST_CASE("slow starts wait between half the latency and all of it") {
  again::duration took{};
  play({.slow = 0.5, .latency = 100ms, .seed = 9}, 1000, &took);
  CHECK(took > 500 * 65ms);
  CHECK(took < 500 * 85ms);
}
TEST_CASE("a stop request ends an injected latency at once") {
  world w;
  const auto r = w.run(again::timeout(1s, again::chaos({.slow = 1, .latency = 1h}, fine, fault)));
  CHECK(w.elapsed() == 1s);
  CHECK(r.value() == 1);  // the operation itself takes no notice
}
TEST_CASE("a retry gets through") {
  world w;
  auto shaky = again::chaos({.faults = 0.5, .seed = 1}, fine, fault);
  auto op = again::retry(again::policy{.attempts = 30, .deadline = 10min}, shaky);
  for (int i = 0; i < 100; ++i) CHECK(w.run(op));
}
TEST_CASE("shares and latencies that make no sense are refused") {
  CHECK_THROWS_AS((void)again::chaos({.faults = 1.5}, fine, fault), std::invalid_argument);
  CHECK_THROWS_AS((void)again::chaos({.slow = -1}, fine, fault), std::invalid_argument);
  CHECK_THROWS_AS((void)again::chaos({.latency = -1s}, fine, fault), std::invalid_argument);
}
