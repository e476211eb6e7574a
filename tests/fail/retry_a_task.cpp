// SPDX-License-Identifier: MIT
// EXPECT: again: a task runs once and cannot be retried; pass the function that makes it
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<again::expected<int, char>> load(int);
again::task<> f() { auto r = co_await again::retry(again::policy{}, load(1)); }
