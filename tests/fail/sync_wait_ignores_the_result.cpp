// SPDX-License-Identifier: MIT
// EXPECT: nodiscard
#include <again/coro/sync_wait.hpp>
#include <again/coro/task.hpp>

again::task<again::expected<int, char>> load(int);
void f() { again::sync_wait(load(1)); }
