// SPDX-License-Identifier: MIT
// EXPECT: nodiscard
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<again::expected<int, char>> load(int);
again::task<> f() {
  auto op = [] { return load(1); };
  again::retry(again::policy{}, op);
  co_return;
}
