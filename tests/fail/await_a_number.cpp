// SPDX-License-Identifier: MIT
// EXPECT: again: this cannot be awaited; write co_await before a task, an operation or another awaitable
#include <again/again.hpp>

using namespace std::chrono_literals;

again::task<again::expected<int, char>> load();
again::expected<int, char> load_now();
int count_now();
constexpr again::policy polite{};

again::task<> f() {
  auto r = co_await 3;
  (void)r;
}
