// SPDX-License-Identifier: MIT
// EXPECT: again: a coroutine that has no scheduler of its own needs a loop to run on: #include <again/coro/default_loop.hpp>
#include <again/coro/task.hpp>
#include <again/retry.hpp>

#include "../support/minimal_coroutine.hpp"

again::task<again::expected<int, char>> load(int);
again_test::bare<bool> f() {
  auto result = co_await again::retry(again::policy{}, [] { return load(1); });
  co_return result.has_value();
}
