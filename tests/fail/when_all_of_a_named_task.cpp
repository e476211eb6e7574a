// SPDX-License-Identifier: MIT
// EXPECT: again::when_all: a task runs once, and one that has a name is moved: when_all(std::move(task), ...)
#include <again/coro/task.hpp>
#include <again/coro/when_all.hpp>

again::task<int> load();
again::task<> f() {
  auto first = load();
  auto r = co_await again::when_all(first, load());
  (void)r;
}
