// SPDX-License-Identifier: MIT
// EXPECT: nodiscard
#include <again/sync_wait.hpp>
#include <again/task.hpp>

again::task<again::expected<int, char>> load(int);
void f() { again::sync_wait(load(1)); }
