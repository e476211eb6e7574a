// SPDX-License-Identifier: MIT
// EXPECT: again::fallback(...).when(pred): a failure without a substitute is the result, so that the substitute must fail with the same error type
#include <again/coro/task.hpp>
#include <again/protection/fallback.hpp>

struct other {};
again::task<again::expected<int, char>> load();
again::task<again::expected<int, other>> load_elsewhere();

auto wrong() {
  return again::fallback(load, load_elsewhere).when([](char c) { return c == 'x'; });
}
