// SPDX-License-Identifier: MIT
#include <again/metrics/counter.hpp>

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace again;

TEST_CASE("a counter grows by one or by more; a gauge rises and falls") {
  counter c;
  c.add();
  c.add(41);
  CHECK(c.value() == 42);
  gauge g;
  g.add(3);
  g.add(-5);
  CHECK(g.value() == -2);
}

TEST_CASE("no addition is lost when several threads add at once") {
  counter c;
  gauge g;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        c.add();
        g.add(i % 2 == 0 ? 1 : -1);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(c.value() == 40'000);
  CHECK(g.value() == 0);
}
