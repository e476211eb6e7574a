// SPDX-License-Identifier: MIT
// EXPECT: again::when_any: a task runs once, and one that has a name is moved: when_any(std::move(task), ...)
#include <again/coro/task.hpp>
#include <again/coro/when_any.hpp>

again::task<int> load();
again::task<> f() {
  auto first = load();
  auto r = co_await again::when_any(first, load());
  (void)r;
}
