// SPDX-License-Identifier: MIT
// EXPECT: pass std::ref(x) for an object that every attempt shares
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<again::expected<int, char>> tally(int& calls);
again::task<> f() {
  int calls = 0;
  auto r = co_await again::retry(again::policy{}, tally, calls);
}
