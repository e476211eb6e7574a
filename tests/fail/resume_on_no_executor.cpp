// SPDX-License-Identifier: MIT
// EXPECT: again::resume_on: the first argument has schedule(), which gives an awaitable, or is a function that resumes a std::coroutine_handle<>
#include <again/again.hpp>

again::task<int> load();

again::task<int> show(int& pool) { co_return co_await again::resume_on(pool, load()); }
