// SPDX-License-Identifier: MIT
// EXPECT: again::retry: the function must return a task (or another awaitable) of expected<T, E>
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<int> count(int);
again::task<> f() { auto r = co_await again::retry(again::policy{}, count, 1); }
