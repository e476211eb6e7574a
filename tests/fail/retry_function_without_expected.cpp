// SPDX-License-Identifier: MIT
// EXPECT: again: the operation must give an expected<T, E>, so that a failure can be seen
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<int> count(int);
again::task<> f() { auto r = co_await again::retry(again::policy{}, count, 1); }
