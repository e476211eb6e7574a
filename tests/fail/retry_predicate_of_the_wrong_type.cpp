// SPDX-License-Identifier: MIT
// EXPECT: again::retry(...).when(pred): pred must take const E& of the operation
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<again::expected<int, char>> load(int);
again::task<> f() {
  auto op = [] { return load(1); };
  auto r = co_await again::retry(again::policy{}, op).when([](const char*) { return true; });
}
