// SPDX-License-Identifier: MIT
// EXPECT: again::fallback(...).when(pred): pred must take const E& of the operation's expected<T, E> and return bool
#include <again/coro/task.hpp>
#include <again/protection/fallback.hpp>

again::task<again::expected<int, char>> load();

auto wrong() {
  return again::fallback(load, 42).when([](int* p) { return p != nullptr; });
}
