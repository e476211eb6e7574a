// SPDX-License-Identifier: MIT
// EXPECT: again::resume_on: a task runs once, and one that has a name is moved: resume_on(pool, std::move(task))
#include <again/again.hpp>

again::task<int> load();

again::task<int> show() {
  auto post = [](std::coroutine_handle<> h) { h.resume(); };
  auto named = load();
  co_return co_await again::resume_on(post, named);
}
