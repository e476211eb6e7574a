// SPDX-License-Identifier: MIT
// EXPECT: again: this is not an operation; pass a function without parameters that returns a task
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<again::expected<int, char>> load(int);
again::task<> f() { auto r = co_await again::retry(again::policy{}, load); }
