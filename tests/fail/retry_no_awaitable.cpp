// SPDX-License-Identifier: MIT
// EXPECT: again: this callable returns nothing that can be awaited
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<> f() {
  auto r = co_await again::retry(again::policy{}, [] { return 42; });
}
