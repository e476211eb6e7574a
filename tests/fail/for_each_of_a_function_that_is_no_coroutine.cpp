// SPDX-License-Identifier: MIT
// EXPECT: again: the function given to for_each or transform returns what can be awaited: a task or an operation; make a coroutine of it
#include <again/again.hpp>

#include <vector>

int load(int id);

again::task<> all(std::vector<int>& ids) { static_cast<void>(co_await again::for_each(ids, 32, load)); }
