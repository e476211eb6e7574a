// SPDX-License-Identifier: MIT
// EXPECT: again: this function returns nothing that can be awaited; make a coroutine of it
#include <again/coro/task.hpp>
#include <again/retry.hpp>

again::task<> f() {
  auto r = co_await again::retry(again::policy{}, [] {});
}
