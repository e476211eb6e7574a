// SPDX-License-Identifier: MIT
// EXPECT: nodiscard
#include <again/retry.hpp>
#include <again/coro/task.hpp>

again::task<again::expected<int, char>> load(int);
again::task<> f() {
  auto op = [] { return load(1); };
  again::retry(again::policy{}, op);
  co_return;
}
